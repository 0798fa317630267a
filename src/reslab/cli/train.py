"""Train a network on your own images, or on a named data set.

DATA is a folder (train|val|test/<class>/..., or just <class>/...), a CSV file
(path,label[,split,group]), or a name: digits, fashion-mnist, mnist, cifar10, cifar100, shapes.
Whatever you leave out is chosen from the data, and said with its reason.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from reslab.cli.options import (
    add_data_arguments,
    at_least,
    data_options_of,
    fill_from_environment,
    parse_duration,
    parse_numbers,
    parse_pair,
)
from reslab.cli.output import emit_json, note
from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.training.config import Request
    from reslab.training.finish import Result

HELP = "train a network on a folder of images or a named data set"


class Setting(NamedTuple):
    """A flag that sets a field of the recipe."""

    flag: str
    field: str
    type: Callable[[str], Any] | None
    help: str
    choices: tuple[str, ...] | None = None


def _on_off(flag: str, field: str, text: str) -> Setting:
    return Setting(flag, field, None, text)


LENGTH = (
    Setting("--epochs", "epochs", float, "passes over the training images"),
    Setting("--steps", "steps", int, "updates, instead of epochs"),
    Setting("--batch-size", "batch_size", int, "images an update, over all processes"),
    Setting("--accumulate", "accumulate", int, "compute a batch in so many parts"),
)
OPTIMIZER = (
    Setting("--opt", "optimizer", str, "optimizer", ("sgd", "adamw", "muon")),
    Setting("--lr", "lr", float, "peak learning rate"),
    Setting("--head-lr", "head_lr", float, "rate of the classifier, in multiples of --lr"),
    Setting("--bias-lr", "bias_lr", float, "rate of biases and norms, in multiples of --lr"),
    Setting("--momentum", "momentum", float, "of SGD (beta1 of AdamW)"),
    _on_off("--nesterov", "nesterov", "Nesterov's momentum"),
    Setting(
        "--weight-decay", "weight_decay", float, "on weights of convolutions and linear layers"
    ),
    _on_off("--decay-all", "decay_all", "decay norm scales and biases too"),
    Setting(
        "--sched",
        "schedule",
        str,
        "form of the learning rate",
        ("constant", "step", "plateau", "cosine", "one-cycle"),
    ),
    Setting("--milestones", "milestones", parse_numbers, "step: fractions of the run, as 0.5,0.75"),
    Setting("--gamma", "gamma", float, "step, plateau: what the rate is multiplied with"),
    Setting("--plateau-patience", "plateau_patience", int, "plateau: epochs without improvement"),
    Setting("--warmup-steps", "warmup_steps", int, "length of the warm-up, updates"),
    Setting("--warmup-lr", "warmup_lr", float, "constant rate of the warm-up (0: linear rise)"),
    Setting(
        "--warmup-until-error-pct",
        "warmup_until_error_pct",
        float,
        "warm up until the training error is below this (He et al. 2015: 80)",
    ),
    Setting("--clip", "clip", float, "largest gradient norm (0: none)"),
    Setting("--max-filter-rms", "max_filter_rms", float, "largest RMS of a filter (0: any)"),
    Setting("--ema", "ema", float, "decay of the averaged weights (0: none)"),
)
LOSS = (
    Setting("--smoothing", "smoothing", float, "label smoothing"),
    Setting("--dropout", "dropout", float, "before the classifier"),
    _on_off("--class-weights", "class_weights", "weight the loss by inverse class frequency"),
    _on_off("--balanced", "balanced", "draw every class equally often"),
    Setting(
        "--initial-weights",
        "initial_weights",
        str,
        "law they are drawn from",
        ("network", "he", "glorot", "gaussian"),
    ),
    _on_off("--zero-last-scale", "zero_last_scale", "start residual branches at zero"),
)
VIEWS = (
    Setting("--pad-crop", "pad_crop", int, "zero padding before a random crop, pixels"),
    _on_off("--flip", "flip", "mirror half of the images"),
    _on_off("--alternating-flip", "alternating_flip", "mirror each image every other epoch"),
    Setting("--crop-scale", "crop_scale", parse_pair, "random resized crop: area, as 0.5,1"),
    Setting("--crop-ratio", "crop_ratio", parse_pair, "random resized crop: aspect, as 0.8,1.25"),
    Setting("--rotate", "rotate", float, "greatest rotation, degrees"),
    Setting("--jitter", "jitter", float, "brightness, contrast, saturation: 1 ± this"),
    Setting("--pca-colour", "pca_colour", float, "AlexNet's colour shift: standard deviation"),
    Setting("--erase", "erase", float, "probability of erasing a rectangle"),
    Setting("--mixup", "mixup", float, "alpha of mixup"),
    Setting("--cutmix", "cutmix", float, "alpha of cutmix"),
)
IMAGES = (
    Setting("--img-size", "img_size", int, "side of the network's input, pixels"),
    Setting("--early-size", "early_size", int, "side of the training images early in the run"),
    Setting("--early-share", "early_share", float, "share of the run that is early (0: none)"),
    Setting("--resize", "resize", str, "how images become square", ("squash", "crop", "pad")),
    Setting(
        "--bit-depth", "bit_depth", int, "bits in use of 16-bit images (0: found in the images)"
    ),
    Setting(
        "--normalisation",
        "normalisation",
        str,
        "per-channel mean and std, or the paper's per-pixel mean",
        ("channel", "pixel-mean", "start"),
    ),
    Setting("--val", "val_fraction", float, "share of train held out for validation"),
    _on_off("--track-test", "track_test", "measure the test split after each epoch, for the curve"),
    Setting("--rows-per-epoch", "rows_per_epoch", int, "measurements an epoch, for the curves"),
)
CONTROL = (
    Setting(
        "--monitor",
        "monitor",
        str,
        "keep the weights that are best in this, and stop by it",
        ("none", "val_loss", "val_accuracy"),
    ),
    Setting("--patience", "patience", int, "stop after so many epochs without improvement"),
    Setting("--freeze", "freeze", int, "leading parts that stay fixed (-1: all but the head)"),
)
COMPUTE = (
    Setting("--precision", "precision", str, "of the arithmetic", ("auto", "fp32", "bf16", "fp16")),
    _on_off("--channels-last", "channels_last", "NHWC memory layout"),
    _on_off("--compile", "compile", "compile the network"),
    _on_off(
        "--checkpoint-activations", "checkpoint_activations", "recompute activations: less memory"
    ),
)
GROUPS = {
    "length": LENGTH,
    "optimizer": OPTIMIZER,
    "loss and regularisation": LOSS,
    "random views": VIEWS,
    "images": IMAGES,
    "control": CONTROL,
    "computation": COMPUTE,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `reslab train`."""
    parser.add_argument("data", nargs="?", metavar="DATA", help="folder, CSV or name")
    main = parser.add_argument_group("what to train")
    main.add_argument("--model", help="network (see 'reslab list'), or auto")
    main.add_argument(
        "--recipe",
        help="he2015-cifar, he2015-imagenet, keras-tutorial, small-images, fast, fine-tune, "
        "deepened, or auto",
    )
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
    main.add_argument("--resume", type=Path, metavar="RUN", help="go on with a run, exactly")
    main.add_argument("--seed", type=int, help="of initialisation, order and views (default 0)")
    main.add_argument("--config", type=Path, metavar="FILE", help="TOML file of flags")
    main.add_argument(
        "--json", action="store_true", default=None, help="print the result as JSON on stdout"
    )
    main.add_argument("--quiet", action="store_true", default=None, help="no progress on stderr")
    for title, settings in GROUPS.items():
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
    rest.add_argument("--test", type=float, help="share held out for the test of a flat folder")
    rest.add_argument(
        "--skip-bad",
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


def _add(group: argparse._ArgumentGroup, setting: Setting) -> None:
    if setting.type is None:
        group.add_argument(
            setting.flag,
            dest=setting.field,
            action=argparse.BooleanOptionalAction,
            default=None,
            help=setting.help,
        )
    else:
        group.add_argument(
            setting.flag,
            dest=setting.field,
            type=setting.type,
            choices=setting.choices,
            metavar=None if setting.choices else setting.flag.strip("-").split("-")[-1].upper(),
            help=setting.help,
        )


def run(args: argparse.Namespace) -> int:
    """Train, and say where everything is."""
    if args.resume is None:
        fill_from_environment(_parser(), args)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    return parser


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
        "--test": args.test,
        "--workers": args.workers,
        "--skip-bad": args.skip_bad,
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
    return {
        setting.field: getattr(args, setting.field)
        for settings in GROUPS.values()
        for setting in settings
        if getattr(args, setting.field) is not None
    }


def request_of(args: argparse.Namespace) -> Request:
    """Return what the flags ask for."""
    from reslab.data.options import DataOptions
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
        test_fraction=0.2 if args.test is None else args.test,
        skip_bad=bool(args.skip_bad),
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
