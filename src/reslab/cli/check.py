"""Look for what is wrong with a data set before training on it.

Reads every image, and names files that cannot be read, classes that differ between splits, tiny
classes, exact and near duplicates within and across splits, odd sizes and modes, and EXIF
rotation. Exit code 0: sound, there may be warnings; 3: training would fail or mislead.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from reslab.cli.arguments import Arguments
from reslab.cli.options import add_data_arguments, at_least, data_options_of

if TYPE_CHECKING:
    from reslab.data.check import CheckReport
    from reslab.data.collect import Finding

_EXAMPLES = 2
_MOST_NOTES = 8  # they say how the data are read, which nothing else says
_CLASS_ROWS = 20
_STYLES = {"error": "bold red", "warning": "bold yellow", "note": "bold"}


def add_arguments(parser: Arguments) -> None:
    """Add the flags of `reslab check`."""
    parser.add_argument("data", metavar="DATA", help="a folder, CSV, archive or named data set")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--quick", action="store_true", help="read classes and file headers, decode nothing"
    )
    parser.add_argument(
        "--near-duplicates",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare all images with each other (default: yes)",
    )
    parser.add_argument(
        "--plan", type=Path, metavar="FILE", help="write a shell script that fixes the folder"
    )
    add_data_arguments(parser)
    parser.add_argument(
        "--workers", type=at_least(1), metavar="N", help="threads (default: all cores)"
    )


def run(args: argparse.Namespace) -> int:
    """Check, print, write the plan."""
    from reslab.cli import output
    from reslab.data.check import check_dataset, default_workers
    from reslab.data.mending import mending_plan
    from reslab.data.open import collect_dataset
    from reslab.data.sources.tables.parse import SUFFIXES
    from reslab.display.stderr import note
    from reslab.durable import write_file
    from reslab.errors import DataError, UsageError

    data = Path(os.path.expanduser(args.data))
    if args.plan is not None and args.plan.exists():
        raise UsageError(f"{args.plan} exists already", remedy="name another file for the plan")
    if args.plan is not None and not (data.is_dir() or data.suffix.lower() in SUFFIXES):
        raise UsageError("--plan needs a folder or CSV file", remedy="leave it out")
    collected = collect_dataset(args.data, options=data_options_of(args), notify=note)
    report = check_dataset(
        collected.dataset,
        deep=not args.quick,
        workers=args.workers or default_workers(),
        near_duplicates=args.near_duplicates,
        earlier=collected.findings,
        progress=_progress(),
    )
    if args.json:
        output.emit_json(report.to_json())
    else:
        _print_report(report, args.data)
    if args.plan is not None:
        plan = mending_plan(report.findings, data)
        write_file(args.plan, plan.encode("utf-8", "surrogateescape"))
        note(f"plan: {args.plan} (read it, then run: sh {args.plan})")
    return 0 if report.ok else DataError.exit_code


def _print_report(report: CheckReport, data: str) -> None:
    """Print the classes, the findings and the verdict."""
    from reslab.cli import output
    from reslab.data.collect import count
    from reslab.display.names import shown

    if report.classes:
        how = f"{report.decoded:,} decoded" if report.decoded else "file headers only"
        classes = count(len(report.classes), "class", "classes")
        print(f"{shown(data)}: {count(report.num_images, 'image')}, {classes} ({how})\n")
        output.table(*_class_table(report))
    if report.findings:
        print()
        _print_findings(report.findings, data)
        print()
    errors = sum(finding.severity == "error" for finding in report.findings)
    warnings = sum(finding.severity == "warning" for finding in report.findings)
    if not errors + warnings:
        if not report.findings:
            print()
        print("sound: nothing was found that would spoil training")
    elif report.ok:
        print(f"sound, with {count(warnings, 'warning')}")
    else:
        tail = f" and {count(warnings, 'warning')}" if warnings else ""
        print(f"not fit for training: {count(errors, 'error')}{tail}")
        print("`--plan FILE` writes a script that moves aside what cannot stay")


def _class_table(report: CheckReport) -> tuple[list[tuple[str, str]], list[list[str]]]:
    """Make a row a class; of very many classes the largest and the smallest ones."""
    from reslab.display.names import shown

    splits = list(report.counts)
    first = report.counts[splits[0]]
    order = list(range(len(report.classes)))
    if len(order) > _CLASS_ROWS:
        by_size = sorted(order, key=lambda n: (-first[n], n))
        half = _CLASS_ROWS // 2
        order = [*by_size[:half], -1, *by_size[-half:]]
    rows = [
        [shown(report.classes[n]), *(f"{report.counts[s][n]:,}" for s in splits)]
        if n >= 0
        else [f"({len(report.classes) - _CLASS_ROWS} classes between)", *("" for _ in splits)]
        for n in order
    ]
    rows.append(["all classes", *(f"{sum(report.counts[split]):,}" for split in splits)])
    return [("class", "left"), *((split, "right") for split in splits)], rows


def _print_findings(findings: tuple[Finding, ...], data: str) -> None:
    """Print a block for each kind of finding, with the first few of it and the remedy."""

    from rich.table import Table
    from rich.text import Text

    from reslab.cli import output
    from reslab.data.collect import count

    alike: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        key = (finding.severity, finding.kind, finding.remedy)
        alike.setdefault(key, []).append(finding)
    grid = Table(box=None, show_header=False, padding=(0, 3, 1, 0), pad_edge=False)
    for (severity, kind, remedy), those in alike.items():
        paths = len({path for finding in those for path in finding.paths})
        files = f", {count(paths, 'image')}" if paths > 1 else ""
        label = Text.assemble((kind, _STYLES[severity]), f"\n{severity}{files}")
        what = Text("\n".join(_messages(those, data)))
        if remedy:
            what.append(f"\n-> {remedy}", style="green")
        grid.add_row(label, what)
    output.show(grid)


def _messages(findings: list[Finding], data: str) -> list[str]:
    """Give the first few messages, without the folder that all paths begin with."""
    from reslab.data.collect import count
    from reslab.display.names import shown

    folder = f"{shown(os.path.expanduser(data))}/"
    most = _MOST_NOTES if findings[0].severity == "note" else _EXAMPLES
    lines = [finding.message.replace(folder, "") for finding in findings[:most]]
    if len(findings) > most:
        lines.append(f"... and {count(len(findings) - most, 'more such finding')}")
    return lines


def _progress() -> Callable[[int, int], None] | None:
    """Show on a terminal how far the decoding is; a log file gets no bar."""
    import sys

    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        end = "\r" if done < total else "\r\033[K"
        text = f"decoding {done:,} of {total:,} images" if done < total else ""
        print(text, end=end, file=sys.stderr, flush=True)

    return show
