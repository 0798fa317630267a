"""Write a run's report again: one HTML file that needs no network."""

from __future__ import annotations

import argparse

from reslab.cli.arguments import Arguments


def add_arguments(parser: Arguments) -> None:
    """Declare the flags of `reslab report`."""
    parser.add_argument("run_dir", metavar="RUN", help="run directory that 'reslab train' wrote")
    parser.add_argument(
        "-o", "--out", metavar="FILE", help="where to write the page (default: RUN/report.html)"
    )


def run(args: argparse.Namespace) -> int:
    """Write the page and print where it is."""
    import os
    import sys
    from pathlib import Path

    from reslab.report import write_report

    path = write_report(Path(args.run_dir), out=Path(args.out) if args.out else None)
    # The name as it is in the file system, so that a script can open it whatever its bytes.
    sys.stdout.buffer.write(os.fsencode(path) + b"\n")
    return 0
