"""Label images with a trained model.

MODEL is a run directory or a model folder. PATHS are image files, folders (searched recursively),
patterns like 'photos/**/*.jpg', or - for paths on standard input. Every path gets a result: an
image that cannot be read has its error in place of labels, and the exit code is then 3.

The runtime is chosen by the number of images: a few are computed by plain torch; for many, faster
runtimes are timed on the first batch and compared with torch, and the timings are cached.
--benchmark tries them all and prints how fast each is and how well it agrees.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from reslab.cli.arguments import Arguments
from reslab.cli.options import at_least

if TYPE_CHECKING:
    from reslab.predict import Prediction, Predictor

ROWS_A_TABLE = 200
SHARE_WORTH_SHOWING = 0.005
RUNTIMES = ("auto", "eager", "compiled", "openvino", "onnxruntime")
# Beyond so many images it makes no difference to the choice how many there are.
COUNTED = 10_000


def add_arguments(parser: Arguments) -> None:
    """Declare the flags of `reslab predict`."""
    parser.add_argument("model", metavar="MODEL", help="run directory or model folder")
    parser.add_argument(
        "paths", metavar="PATHS", nargs="*", help="files, folders, patterns, or - for stdin"
    )
    parser.add_argument("--top", type=int, default=5, metavar="K", help="classes to name (5)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one line of JSON per image")
    form.add_argument("--csv", action="store_true", help="a CSV with one line per image")
    parser.add_argument(
        "-0", dest="nul", action="store_true", help="paths on stdin end with NUL, not newline"
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=64,
        metavar="N",
        help="images computed at once (64); 1 answers each path on stdin before reading the next",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--runtime",
        default="auto",
        choices=RUNTIMES,
        help="what computes (auto: the one that finishes first and agrees with torch)",
    )
    parser.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "fp32", "bf16", "fp16"),
        help="arithmetic (auto: bf16 only where it is faster and labels stay)",
    )
    parser.add_argument(
        "--benchmark",
        action="store_true",
        help="try every runtime on a batch of the PATHS (without any: of noise), print a table",
    )
    parser.add_argument(
        "--workers",
        type=at_least(0),
        default=0,
        metavar="N",
        help="threads that decode (0: one a core)",
    )


def run(args: argparse.Namespace) -> int:
    """Print a prediction for every image; return 3 where one could not be read."""
    from reslab.display.stderr import note
    from reslab.errors import UsageError
    from reslab.predict import load

    if not args.paths and not args.benchmark:
        raise UsageError(
            "no images given", remedy="name files, folders or patterns, or - for stdin"
        )
    if args.benchmark and args.csv:
        raise UsageError("--benchmark prints a table or --json, no CSV")
    predictor = load(
        args.model,
        device=args.device,
        batch_size=args.batch_size,
        precision=args.precision,
        workers=args.workers,
        runtime=args.runtime,
        notify=note,
    )
    paths = _paths(args.paths, args.nul)
    if args.benchmark:
        return _measure(args, predictor, paths)
    count = None
    if "-" not in args.paths:  # whoever writes to stdin may wait for answers
        first = list(itertools.islice(paths, COUNTED))
        count, paths = len(first), itertools.chain(first, paths)
    predictions = predictor.predict_paths(paths, args.top, count=count)
    counted = _Count(predictions)
    if args.json:
        _print_json(counted)
    elif args.csv:
        _print_csv(counted, min(args.top, len(predictor.classes)))
    else:
        _print_tables(counted)
    return counted.report()


def _measure(args: argparse.Namespace, predictor: Predictor, paths: Iterator[str]) -> int:
    """Print what each runtime is worth for this model on this machine."""
    from reslab.cli.output import emit_json, table

    found = predictor.measure(paths)
    if args.json:
        emit_json([one.to_json() for one in found])
        return 0
    columns = (
        ("runtime", "left"),
        ("precision", "left"),
        ("images/s", "right"),
        ("startup s", "right"),
        ("prob apart", "right"),
        ("other labels", "right"),
        ("", "left"),
    )
    rows = [
        (
            one.name,
            one.precision,
            f"{one.images_per_s:,.1f}" if one.images_per_s else "-",
            f"{one.startup_s:.1f}" if one.images_per_s else "-",
            f"{one.difference:.1e}" if one.difference is not None else "-",
            "-" if one.changed is None else f"{one.changed} of {one.images}",
            one.remark,
        )
        for one in found
    ]
    size = predictor.artifact.preprocess.img_size
    table(columns, rows, title=f"batches of {args.batch_size} images of {size}x{size}")
    return 0


class _Count:
    """Pass predictions on and count those that failed."""

    def __init__(self, predictions: Iterable[Prediction]) -> None:
        self._predictions = predictions
        self.total = self.failed = 0

    def __iter__(self) -> Iterator[Prediction]:
        for prediction in self._predictions:
            self.total += 1
            self.failed += bool(prediction.error)
            yield prediction

    def report(self) -> int:
        from reslab.display.stderr import note

        if self.failed:
            note(f"{self.failed} of {self.total} images could not be read")
        return 3 if self.failed else 0


def _paths(places: Sequence[str], nul: bool) -> Iterator[str]:
    from reslab.predict import find_images

    for place in places:
        if place == "-":
            yield from _stdin_paths(b"\0" if nul else b"\n")
        else:
            yield from find_images([place])


def _stdin_paths(end: bytes) -> Iterator[str]:
    """Yield the paths on stdin as soon as each is complete."""
    import os

    rest = b""
    # os.read hands out what is there instead of waiting for a full buffer.
    while data := os.read(sys.stdin.fileno(), 65536):
        *whole, rest = (rest + data).split(end)
        yield from (os.fsdecode(name) for name in whole if name)
    if rest:
        yield os.fsdecode(rest)


def _print_json(predictions: Iterable[Prediction]) -> None:
    from reslab.cli.output import emit_line

    for prediction in predictions:
        emit_line(prediction.to_json())


def _print_csv(predictions: Iterable[Prediction], top: int) -> None:
    import csv
    import io

    def write(cells: Sequence[object]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow(cells)
        # File names are bytes: they go out as they came in, UTF-8 or not.
        sys.stdout.buffer.write(line.getvalue().encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()

    guesses = [f"{name}{i}" for i in range(1, top + 1) for name in ("label", "prob")]
    write(["path", *guesses, "error"])
    for prediction in predictions:
        cells = [cell for label, prob in prediction.top for cell in (label, f"{prob:.6f}")]
        cells += [""] * (2 * top - len(cells))
        write([prediction.path, *cells, prediction.error])


def _print_tables(predictions: Iterable[Prediction]) -> None:
    """Print tables of some hundred rows each, so that long lists begin to show at once."""
    from reslab.cli.output import table

    columns = (("image", "left"), ("label", "left"), ("prob %", "right"), ("then", "left"))
    rows: list[tuple[str, ...]] = []
    for prediction in predictions:
        rows.append(_row(prediction))
        if len(rows) == ROWS_A_TABLE:
            table(columns, rows)
            rows = []
    if rows:
        table(columns, rows)


def _row(prediction: Prediction) -> tuple[str, ...]:
    from reslab.display.names import shown

    name = shown(prediction.path)
    if prediction.error:
        return (name, "(unreadable)", "-", prediction.error.removeprefix(name).strip())
    (label, prob), *others = prediction.top
    worth = [(other, p) for other, p in others if p >= SHARE_WORTH_SHOWING]
    then = ", ".join(f"{other} {100 * p:.1f}" for other, p in worth)
    return (name, label, f"{100 * prob:.1f}", then)
