"""Measure this machine for a few seconds, and predict the time and memory of a training.

Takes the flags of 'reslab train': put 'plan' in place of 'train' to see time and memory first.
Real steps are taken on images of noise, in a process of their own, so that the figures are those
of the very code that trains. What was measured is kept for this machine.

examples:
  reslab plan fashion-mnist --model resnet20
  reslab plan photos/ --model resnet50 --batch-sizes 16,32,64 --img-sizes 160,224
  reslab plan photos/ --time 30m --models resnet18,resnet34,resnet50
  reslab plan --model resnet50 --img-size 224 --images 10000 --classes 20
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING, Any

from reslab.cli import train
from reslab.cli.arguments import Arguments
from reslab.cli.options import fill_from_environment
from reslab.display.stderr import note
from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.plan.subject import Subject
    from reslab.training.config import Request

UNITS = {"": 1 / (1 << 20), "K": 1 / (1 << 10), "M": 1.0, "G": 1 << 10, "T": 1 << 20}


def parse_sizes(text: str) -> tuple[int, ...]:
    """Turn ``64,128`` into whole numbers of 1 and more."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"'{text}' is no list of sizes (write 64,128)")
    return tuple(dict.fromkeys(int(part) for part in parts))


def parse_names(text: str) -> tuple[str, ...]:
    """Turn ``resnet20,resnet56`` into names."""
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not parts:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of names")
    return parts


def parse_memory(text: str) -> float:
    """Turn ``8G``, ``900M`` or a number of bytes into MiB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no size of a memory (write 8G or 900M)")
    return float(match[1]) * UNITS[match[2].upper()]


def add_arguments(parser: Arguments) -> None:
    """Add the flags of `reslab plan`, and those of `reslab train`."""
    own = parser.add_argument_group("what to compare")
    own.add_argument(
        "--models", type=parse_names, metavar="A,B", help="with --time: networks to choose from"
    )
    own.add_argument(
        "--batch-sizes", type=parse_sizes, metavar="N,N", help="batches that may be proposed"
    )
    own.add_argument(
        "--img-sizes", type=parse_sizes, metavar="N,N", help="image sizes that may be proposed"
    )
    own.add_argument("--precisions", type=parse_names, metavar="A,B", help="of fp32, bf16 and fp16")
    own.add_argument(
        "--thorough",
        action="store_true",
        default=None,
        help="try a compiled network, NCHW and fewer threads too: some minutes",
    )
    own.add_argument(
        "--memory", type=parse_memory, metavar="SIZE", help="what a run may take, as 8G"
    )
    own.add_argument("--images", type=int, metavar="N", help="without DATA: how many images")
    own.add_argument("--classes", type=int, metavar="N", help="without DATA: how many classes")
    own.add_argument(
        "--no-cache",
        action="store_true",
        default=None,
        help="measure again, whatever is known",
    )
    train.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, predict, propose."""
    from reslab.cli import planned
    from reslab.machine import available_mib
    from reslab.plan.batches import Effort
    from reslab.plan.compare import compare
    from reslab.plan.networks import choose_network, usual_networks

    written = argparse.Namespace(**vars(args))  # what the environment adds, it adds to train too
    fill_from_environment(Arguments.of(add_arguments), args)
    _refuse_nonsense(args)
    subject = _subject(args)
    memory_mib = args.memory or available_mib(str(subject.device))
    say = None if args.quiet else note
    effort = Effort(fresh=bool(args.no_cache), note=say, memory_mib=memory_mib)
    if say is not None:
        _introduce(subject, memory_mib, (subject.chosen.recipe.precision, *(args.precisions or ())))
    if args.time is not None:
        named = args.model not in (None, "auto") or args.start is not None
        usual = usual_networks(subject.chosen.recipe.img_size)
        names = args.models or ((subject.chosen.spec.name,) if named else usual)
        choice = choose_network(subject, names, args.time, effort)
        planned.show_networks(args, written, choice)
        return 0
    planned.show_trials(args, written, compare(subject, _search_space(args), effort))
    return 0


def _refuse_nonsense(args: argparse.Namespace) -> None:
    train.take_data(args)
    if args.resume is not None:
        raise UsageError("plan looks at new runs", remedy="leave --resume out")
    if args.data is None and args.images is None:
        raise UsageError(
            "no data given",
            remedy="name a folder or a data set, or say how many there will be with --images",
        )
    if args.data is not None and (args.images is not None or args.classes is not None):
        raise UsageError("--images and --classes stand for data that are not there yet")
    if args.models is not None and args.time is None:
        raise UsageError("a list of networks needs the time there is", remedy="add --time 30m")
    lists = {"--batch-sizes": args.batch_sizes, "--img-sizes": args.img_sizes}
    lists |= {"--precisions": args.precisions, "--thorough": args.thorough}
    given = [flag for flag, value in lists.items() if value]
    if args.time is not None and given:
        raise UsageError(
            f"--time chooses among networks, {', '.join(given)} among ways to train one",
            remedy="ask for one after the other",
        )
    allowed = ("fp32", "bf16", "fp16")
    for precision in args.precisions or ():
        if precision not in allowed:
            raise UsageError(f"unknown precision '{precision}' (known: {', '.join(allowed)})")


def _subject(args: argparse.Namespace) -> Subject:
    from reslab.cli.progress import make_observer
    from reslab.plan import subject

    request: Request = train.request_of(args)
    if args.data is None:
        return subject.imagine(request, num_images=args.images, num_classes=args.classes)
    return subject.resolve(request, make_observer(bool(args.quiet)))


def _search_space(args: argparse.Namespace) -> Any:
    from reslab.plan.search_space import SearchSpace

    return SearchSpace(
        batch_sizes=args.batch_sizes or (),
        img_sizes=args.img_sizes or (),
        precisions=args.precisions or (),
        thorough=bool(args.thorough),
    )


def _introduce(subject: Subject, memory_mib: float | None, precisions: tuple[str, ...]) -> None:
    """Say what is measured, and on what machine."""
    from reslab.machine import available_cores, describe, slow_precision

    machine = describe(subject.device)
    where = f"{machine['cpu']}, {available_cores()} cores"
    if subject.device.type != "cpu":
        where = str(machine["device"])
    room = "" if memory_mib is None else f", {memory_mib:,.0f} MiB for a run"
    counts = ", ".join(f"{len(part):,} {name}" for name, part in subject.dataset.splits.items())
    note(f"{where}{room}")
    note(f"{subject.dataset.name}: {counts} images")
    for choice in subject.chosen.choices:
        note(f"{choice.what}: {choice.chosen} ({choice.why})")
    bf16 = "bf16" if "bf16" in precisions else ""
    if slow := slow_precision(bf16, subject.device):
        note(slow)
