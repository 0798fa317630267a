"""Compare finished or running runs side by side.

Each RUN is a directory that 'reslab train' wrote. Runs that were tested on the same images are
compared by a paired test; curves, cost and settings are compared in any case. Nothing is
recomputed, so it takes a moment.

examples:
  reslab compare runs/digits-1 runs/digits-2
  reslab compare runs/* -o comparison.html
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from reslab.cli.arguments import Arguments

if TYPE_CHECKING:
    from reslab.report.comparison import Comparison


def add_arguments(parser: Arguments) -> None:
    """Declare the flags of `reslab compare`."""
    parser.add_argument(
        "runs", metavar="RUN", nargs="+", help="run directories that 'reslab train' wrote"
    )
    parser.add_argument(
        "-o", "--out", metavar="FILE", help="write the comparison as an offline page too"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Compare, then print tables or JSON, and write the page where one is asked for."""
    from pathlib import Path

    from reslab.cli.output import emit_json
    from reslab.display.stderr import note
    from reslab.report.comparison import compare_runs
    from reslab.report.comparison_page import write_comparison

    comparison = compare_runs([Path(name) for name in args.runs])
    if args.out:
        write_comparison(comparison, Path(args.out))
        note(f"page: {args.out}")
    if args.json:
        emit_json(comparison.to_json())
        return 0
    _print(comparison)
    if not args.out:
        note("with -o FILE.html: the same with curves, as a page")
    return 0


def _print(comparison: Comparison) -> None:
    from reslab.cli.output import table
    from reslab.display import wording
    from reslab.display.stderr import note
    from reslab.report.comparison import finding, p_value

    rows = []
    for entry in comparison.entries:
        found = entry.evaluation
        measured = ["–", "–"]
        if found is not None:
            low, high = found.ci95_pct
            measured = [f"{found.accuracy_pct:.2f} ({entry.split})", f"{low:.2f} to {high:.2f}"]
        rows.append(
            [
                entry.name
                if entry.run.state == "finished"
                else f"{entry.name} ({entry.run.state})",
                str(entry.run.section("spec").get("name", "–")),
                *measured,
                wording.large(entry.cost("params")),
                wording.large(entry.cost("macs")),
                wording.duration(entry.wall_s),
                wording.number(entry.images_per_s),
            ]
        )
    headings = ("accuracy %", "95% interval", "parameters", "multiply-adds", "time", "images/s")
    table([("run", "left"), ("network", "left"), *((h, "right") for h in headings)], rows)
    if comparison.pairs:
        print()
        tests = [
            [
                pair.first,
                pair.second,
                f"{pair.found.only_first} / {pair.found.only_second}",
                f"{pair.found.difference_pct:+.2f}",
                f"{pair.found.ci95_pct[0]:+.2f} to {pair.found.ci95_pct[1]:+.2f}",
                p_value(pair.found.p_mid),
                p_value(pair.p_holm),
            ]
            for pair in comparison.pairs
        ]
        names = ("only one right", "second - first", "95% interval", "p", "p corrected")
        table(
            [("first", "left"), ("second", "left"), *((h, "right") for h in names)],
            tests,
            title=f"paired tests on {comparison.pairs[0].found.num_images:,} images",
        )
    if comparison.differences:
        print()
        table(
            [("differs", "left"), *((entry.name, "left") for entry in comparison.entries)],
            [
                [row.what, *(wording.shortened(value, 40) for value in row.values)]
                for row in comparison.differences
            ],
        )
    print()
    print(finding(comparison))
    for line in comparison.refused:
        note(line)
