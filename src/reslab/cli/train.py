"""Train a network on your own images, or on a named data set.

DATA is a folder (train|val|test/<class>/..., or just <class>/...), a CSV file
(path,label[,split,group]), or a name: digits, fashion-mnist, mnist, cifar10, cifar100, shapes.
What you leave out is chosen from the data, and printed with its reason.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.cli.arguments import Arguments
from reslab.cli.options import (
    add_data_arguments,
    at_least,
    data_options_of,
    fill_from_environment,
    parse_duration,
    parse_numbers,
    parse_pair,
)
from reslab.cli.output import emit_json
from reslab.display.stderr import note
from reslab.errors import UsageError
from reslab.settings import Setting, grouped, settings_of
from reslab.training.recipe import Recipe
from reslab.training.recipes import RECIPES

if TYPE_CHECKING:
    from reslab.training.config import Request
    from reslab.training.finish import Result


def add_arguments(parser: Arguments) -> None:
    """Add the flags of `reslab train`."""
    parser.add_argument("data", nargs="?", metavar="DATA", help="folder, CSV or name")
    main = parser.add_argument_group("what to train")
    main.add_argument("--model", help="network (see 'reslab list'), or auto")
    main.add_argument("--recipe", help=f"{', '.join(RECIPES.names())}, or auto")
    main.add_argument("--start", type=Path, metavar="MODEL", help="start from a trained model")
    main.add_argument(
        "--deepen-from",
        type=Path,
        metavar="MODEL",
        help="start from a trained shallower model, deepened to --model",
    )
    main.add_argument("--stem", choices=("small", "imagenet"), help="first layers of the network")
    main.add_argument("--time", type=parse_duration, help="time budget, as 90s, 10m or 1.5h")
    main.add_argument(
        "-o", "--out", type=Path, metavar="DIR", help="run directory (default: runs/...)"
    )
    main.add_argument("--resume", type=Path, metavar="RUN", help="continue a run exactly")
    main.add_argument(
        "--seed", type=int, help="of initialization, order and augmentation (default 0)"
    )
    main.add_argument("--config", type=Path, metavar="FILE", help="TOML file of flags")
    main.add_argument(
        "--json", action="store_true", default=None, help="print the result as JSON on stdout"
    )
    main.add_argument("--quiet", action="store_true", default=None, help="no progress on stderr")
    for title, settings in grouped(Recipe).items():
        group = parser.add_argument_group(title)
        for setting in settings:
            _add(group, setting)
    rest = parser.add_argument_group("machine and data")
    rest.add_argument(
        "--data",
        dest="place",
        metavar="PLACE",
        help="the same as DATA; with --resume, where the images are now",
    )
    rest.add_argument("--device", help="auto, cpu, cuda, cuda:N or mps")
    rest.add_argument(
        "--workers", type=at_least(0), help="threads that decode images (0: one a core)"
    )
    rest.add_argument(
        "--test-fraction", type=float, help="share held out for the test of a flat folder"
    )
    rest.add_argument(
        "--skip-corrupt",
        action="store_true",
        default=None,
        help="leave unreadable images out, recorded",
    )
    add_data_arguments(rest)
    rest.add_argument("--save-every", type=parse_duration, help="time between checkpoints")
    rest.add_argument(
        "--probe",
        action="store_true",
        default=None,
        help="record activations, gradients and residuals by depth after each epoch (probe.jsonl)",
    )
    rest.add_argument(
        "--probe-every", type=int, metavar="STEPS", help="the same after so many updates, too"
    )
    rest.add_argument("--cache", type=Path, metavar="DIR", help="where decoded images are kept")


def _add(group: Arguments, setting: Setting) -> None:
    """Add the flag of a recipe's field; one that is not written is None."""
    if setting.kind is bool:
        group.add_argument(
            setting.flag, action=argparse.BooleanOptionalAction, default=None, help=setting.help
        )
    elif setting.choices:
        group.add_argument(setting.flag, choices=setting.choices, help=setting.help)
    else:
        group.add_argument(
            setting.flag, type=_parse(setting.kind), metavar=setting.metavar, help=setting.help
        )


def _parse(kind: Any) -> Callable[[str], Any]:
    """Return what turns a flag's text into a value of a field's type."""
    if kind == tuple[float, float]:
        return parse_pair
    if kind == tuple[float, ...]:
        return parse_numbers
    assert kind in (int, float), kind
    parse: Callable[[str], Any] = kind
    return parse


def run(args: argparse.Namespace) -> int:
    """Train, and say where everything is."""
    if args.resume is None:
        fill_from_environment(Arguments.of(add_arguments), args)
    overrides = overrides_of(args)
    take_data(args)
    if args.resume is not None:
        _refuse_with_resume(args)
    elif args.data is None:
        raise UsageError("no data given", remedy="name a folder or a data set, e.g. digits")
    from reslab import api
    from reslab.cli.progress import make_observer

    observer = make_observer(bool(args.quiet))
    if args.resume is not None:
        result = api.resume(
            args.resume, overrides=overrides, device=args.device, data=args.data, observer=observer
        )
    else:
        result = api.train_request(request_of(args), observer)
    if result.writes:
        if args.json:
            emit_json(result.to_json())
        if not args.quiet:
            _say(result)
    return 0


def take_data(args: argparse.Namespace) -> None:
    """Take what --data says for DATA.

    Raises:
        UsageError: both are given.
    """
    if args.place is not None:
        if args.data is not None:
            raise UsageError("DATA and --data both name the images", remedy="leave one of them out")
        args.data = args.place


def _refuse_with_resume(args: argparse.Namespace) -> None:
    given = {
        "--config": args.config,
        "--model": args.model,
        "--recipe": args.recipe,
        "--start": args.start,
        "--deepen-from": args.deepen_from,
        "--stem": args.stem,
        "--time": args.time,
        "--out": args.out,
        "--seed": args.seed,
        "--test-fraction": args.test_fraction,
        "--workers": args.workers,
        "--skip-corrupt": args.skip_corrupt,
        "--columns": args.columns,
        "--root": args.root,
        "--label-from-name": args.label_from_name,
        "--merge-similar-classes": args.merge_similar_classes,
        "--save-every": args.save_every,
        "--probe": args.probe,
        "--probe-every": args.probe_every,
        "--cache": args.cache,
    }
    named = [name for name, value in given.items() if value is not None]
    if named:
        raise UsageError(
            f"--resume takes {', '.join(named)} from the run itself",
            remedy="leave it out, or start a new run",
        )


def overrides_of(args: argparse.Namespace) -> dict[str, Any]:
    """Return the recipe fields that were given, with their values."""
    given = {setting.name: getattr(args, setting.name) for setting in settings_of(Recipe)}
    return {name: value for name, value in given.items() if value is not None}


def request_of(args: argparse.Namespace) -> Request:
    """Return what the flags ask for."""
    from reslab.data.collect import DataOptions
    from reslab.training.config import Request

    return Request(
        data=args.data,
        model=args.model or "auto",
        recipe=args.recipe or "auto",
        overrides=overrides_of(args),
        out=args.out,
        seed=args.seed or 0,
        time_s=args.time,
        device=args.device or "auto",
        workers=args.workers or 0,
        start=args.start,
        deepen_from=args.deepen_from,
        stem=args.stem,
        test_fraction=0.2 if args.test_fraction is None else args.test_fraction,
        skip_corrupt=bool(args.skip_corrupt),
        save_every_s=30.0 if args.save_every is None else args.save_every,
        probe=_probe(args),
        cache=args.cache,
        data_options=data_options_of(args) or DataOptions(),
        command=("reslab", *sys.argv[1:]),
    )


def _probe(args: argparse.Namespace) -> int | None:
    if args.probe_every is not None and args.probe_every < 1:
        raise UsageError(f"--probe-every must be 1 or more, received {args.probe_every}")
    return args.probe_every or (0 if args.probe else None)


def _say(result: Result) -> None:
    """Say how well the model does, where everything is, and what to try next."""
    note("")
    for line in result.lines():
        note(line)
    note("try next:")
    run = shlex.quote(str(result.run_dir))
    note(f"  reslab eval {run} {shlex.quote(result.data)}")
    note(f"  reslab predict {run} IMAGES...")
    note(f"  reslab show {result.network}")
