"""Measure one or several trained models on a data set.

Each MODEL is a run directory or a model folder; DATA is a folder, a CSV, an archive or a name,
as for 'reslab train'. Several models are measured each and together (their probabilities
averaged); two are compared by a paired test as well.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.cli.arguments import Arguments
from reslab.cli.options import add_data_arguments, at_least, data_options_of

if TYPE_CHECKING:
    from reslab.artifact import Artifact
    from reslab.data.arrays import Indices
    from reslab.data.dataset import Dataset
    from reslab.evaluate.evaluation import Evaluation
    from reslab.evaluate.protocol import Seen
    from reslab.evaluate.views import ViewName

CLASS_LIMIT = 20
CONFUSION_LIMIT = 5
VIEWS = {
    "center": "center view",
    "10-crop": "ten crops averaged",
    "multi-scale": "several scales averaged",
}


def add_arguments(parser: Arguments) -> None:
    """Declare the flags of `reslab eval`."""
    parser.add_argument(
        "models", metavar="MODEL", nargs="+", help="run directories or model folders"
    )
    parser.add_argument("data", metavar="DATA", help="a folder, CSV, archive or named data set")
    parser.add_argument(
        "--split",
        choices=("test", "val", "train", "all"),
        help="which images (default: test, else val, else all)",
    )
    parser.add_argument(
        "--tta",
        type=lambda text: "center" if text == "centre" else text,
        choices=tuple(VIEWS),
        default="center",
        help="views of each image whose predictions are averaged (center)",
    )
    parser.add_argument(
        "--average",
        choices=("softmax", "logits"),
        help="10-crop: average probabilities (softmax), or logits",
    )
    parser.add_argument(
        "--scales", metavar="PX,PX,...", help="multi-scale: sides to show the whole image at"
    )
    parser.add_argument(
        "--metrics", metavar="FILE", help="a .py file with metrics of your own (docs/evaluate.md)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--csv", metavar="FILE", help="write a line for each image to a file")
    parser.add_argument("--skip-corrupt", action="store_true", help="leave unreadable images out")
    add_data_arguments(parser)
    parser.add_argument(
        "--batch-size", type=int, default=128, metavar="N", help="images computed at once (128)"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument(
        "--precision",
        default="fp32",
        choices=("fp32", "bf16", "fp16", "auto"),
        help="arithmetic (fp32)",
    )
    parser.add_argument(
        "--workers",
        type=at_least(0),
        default=0,
        metavar="N",
        help="threads that decode (0: one a core)",
    )


def run(args: argparse.Namespace) -> int:
    """Measure, then print tables or JSON."""
    from reslab import artifact
    from reslab.cli.output import emit_json
    from reslab.data.collect import recorded_options
    from reslab.data.open import open_dataset
    from reslab.display.names import shown
    from reslab.display.stderr import note
    from reslab.evaluate import protocol
    from reslab.user_file import run_file

    _check_values(args)
    if args.metrics:
        run_file(Path(args.metrics), "metrics")
    models = {name: artifact.load(name) for name in dict.fromkeys(args.models)}
    first = args.models[0]
    dataset = open_dataset(
        args.data,
        options=data_options_of(args) or recorded_options(args.data, models[first].provenance),
        skip_bad=args.skip_corrupt,
        need_train=False,
        notify=note,
    )
    if dataset.excluded:
        note(f"left out as unreadable: {', '.join(map(shown, dataset.excluded))}")
    if args.split != "all":
        dataset = protocol.without_seen(dataset, Path(first), models[first])
    split, samples = protocol.choose_split(dataset, args.split)
    if dataset.note:
        note(dataset.note)
    for name, model in models.items():
        seen = protocol.seen_in_training(dataset, samples, Path(name), model)
        _warn_of_seen(name, seen, len(samples))
        if args.tta == "10-crop" and model.preprocess.img_size == model.preprocess.resize_size:
            note(f"{name} sees whole images: its crops are the image and its mirror image only")
    evaluations = _measure(args, models, dataset, samples)
    try:
        if args.csv:
            _write_csv(Path(args.csv), evaluations, dataset)
    finally:  # a disk that is full by now does not cost the numbers
        if args.json:
            emit_json(_to_json(args, evaluations, dataset.name, split))
        else:
            _print(args, evaluations, dataset.name, split)
    return 0


def _check_values(args: argparse.Namespace) -> None:
    from reslab.errors import UsageError

    if args.batch_size < 1:
        raise UsageError(f"--batch-size must be 1 or more, received {args.batch_size}")
    if args.average and args.tta != "10-crop":
        raise UsageError("--average belongs to --tta 10-crop")
    if args.scales and args.tta != "multi-scale":
        raise UsageError("--scales belongs to --tta multi-scale")
    try:
        args.scales = tuple(int(side) for side in (args.scales or "").split(",") if side.strip())
    except ValueError:
        raise UsageError(f"--scales must be sides in pixels, received '{args.scales}'") from None
    if any(side < 1 for side in args.scales):
        raise UsageError("--scales must be 1 or more")
    if args.csv:
        _check_csv(Path(args.csv))


def _check_csv(path: Path) -> None:
    """Refuse what cannot become a file, before hours of measuring."""
    from reslab.display.names import shown
    from reslab.errors import UsageError

    what = ""
    above = next(folder for folder in path.absolute().parents if os.path.exists(folder))
    if os.path.exists(path) and not path.is_file():
        what = f"--csv: {shown(path)} is no file"
    elif not above.is_dir():
        what = f"--csv: {shown(above)} is no folder"
    elif not os.access(above, os.W_OK):
        what = f"--csv: nothing can be written into {shown(above)}"
    if what:
        raise UsageError(what, remedy="name another file")


def _measure(
    args: argparse.Namespace,
    models: Mapping[str, Artifact],
    dataset: Dataset,
    samples: Indices,
) -> dict[str, Evaluation]:
    """Measure every model; all results are in the class order of the first."""
    from reslab.display.stderr import note
    from reslab.errors import DataError
    from reslab.evaluate.compare import reorder_classes
    from reslab.evaluate.protocol import match_classes
    from reslab.evaluate.views import Setup, evaluate_model
    from reslab.machine import autocast_dtype, choose_device, slow_precision

    device = choose_device(args.device)
    precision = autocast_dtype(args.precision, device)
    if slow := slow_precision(args.precision, device):
        note(slow)
    classes = next(iter(models.values())).classes
    for name, model in models.items():
        if set(model.classes) != set(classes):
            other = sorted(set(model.classes) ^ set(classes))[0]
            raise DataError(f"{name} has other classes than {args.models[0]} ('{other}')")
    rounds = len(args.scales) or (3 if args.tta == "multi-scale" else 1)
    evaluations = {}
    with _progress(len(models) * rounds * len(samples)) as advance:
        for name, model in models.items():
            setup = Setup(
                views=_views(args),
                average=args.average or "softmax",
                scales=args.scales,
                batch_size=args.batch_size,
                workers=args.workers,
                device=device,
                precision=precision,
                progress=advance,
            )
            labels = match_classes(dataset, model.classes)
            found = evaluate_model(model, dataset, labels, samples, setup)
            evaluations[name] = reorder_classes(found, classes)
    return evaluations


def _views(args: argparse.Namespace) -> ViewName:
    """Return what --tta is called where images are evaluated, and in what is written."""
    views: ViewName = "centre" if args.tta == "center" else args.tta
    return views


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal's stderr, nothing elsewhere."""
    import sys

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True, highlight=False)
    with Progress(
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        task = bar.add_task("images", total=total)
        yield lambda count: bar.advance(task, count)


def _warn_of_seen(name: str, seen: Seen, count: int) -> None:
    from reslab.display.stderr import note

    if seen.count is None and seen.same_data:
        note(
            f"warning: {name} was trained on part of these very images, and it is not recorded "
            "which; its accuracy here says little about new images"
        )
    elif seen.count is None:
        note(
            f"{name} does not record which images it was trained on (it is of an older reslab, or "
            "was published), so none of these are left out"
        )
    elif seen.count:
        note(f"warning: {name} was trained on {seen.count:,} of these {count:,} images")


def _to_json(
    args: argparse.Namespace, evaluations: Mapping[str, Evaluation], data: str, split: str
) -> dict[str, Any]:
    from reslab.evaluate.compare import compare, together

    about = {"data": data, "split": split, "views": _views(args)}
    each = [{**found.to_json(), "model": name, **about} for name, found in evaluations.items()]
    if len(each) == 1:
        return each[0]
    found = list(evaluations.values())
    value: dict[str, Any] = {"models": each, "ensemble": {**together(found).to_json(), **about}}
    if len(found) == 2:
        value["paired"] = compare(*found).to_json()
    return value


def _print(
    args: argparse.Namespace, evaluations: Mapping[str, Evaluation], data: str, split: str
) -> None:
    from reslab.cli.output import table
    from reslab.display.names import shown
    from reslab.evaluate import summary
    from reslab.evaluate.compare import compare, together

    found = list(evaluations.values())
    names = summary.short_names(list(evaluations))
    rows = [summary.score_row(name, one) for name, one in zip(names, found, strict=True)]
    overall = found[0]
    if len(found) > 1:
        overall = together(found)
        rows.append(summary.score_row("together", overall))
    title = f"{shown(data)}, {split}: {len(overall):,} images, {VIEWS[args.tta]}"
    table(summary.score_columns(overall), rows, title=title)
    if len(found) == 2:
        print()
        first, second = names
        for line in summary.paired_lines(first, second, compare(*found)):
            print(shown(line))
    print()
    class_rows, left_out = summary.class_rows(overall, CLASS_LIMIT)
    title = "by class" if len(found) == 1 else "together, by class"
    if left_out:
        title += f" (the {len(class_rows)} with the lowest F1 of {len(class_rows) + left_out})"
    table(summary.CLASS_COLUMNS, class_rows, title=title)
    confusions = summary.confusion_rows(overall, CONFUSION_LIMIT)
    if confusions:
        print()
        table(summary.CONFUSION_COLUMNS, confusions, title="most frequent confusions")


def _write_csv(path: Path, evaluations: Mapping[str, Evaluation], dataset: Dataset) -> None:
    from reslab.durable import write_file
    from reslab.evaluate.summary import image_csv

    names = {
        i: dataset.images.name(i) for one in evaluations.values() for i in one.samples.tolist()
    }
    text = "".join(image_csv(evaluations, names))
    write_file(path, text.encode("utf-8", "surrogateescape"))
