"""Measure reslab side by side with other people's code, on this machine.

    python -m bench                         # every case but the long ones
    python -m bench train-resnet20 --data cifar10-jpeg.tar.gz --pairs 7
    python -m bench --quick                 # seconds a case: does everything work?
    python -m bench --draw                  # the table and the picture again, from results.json

Each arm of a case is a process of its own, warm before it counts. They are told in turn, A B B A,
to do a chunk of the same work with all cores; the result is the median of the pairs' ratios.
Before that both say what they compute, and an arm with other answers is left out. Results go to
bench/results/<machine>/: results.json, table.md, chart.svg. Leave the machine alone meanwhile.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from bench import results
from bench.case import FULL_CASE_S, QUICK_CASE_S, Case, Options, Skipped
from bench.cases import CASES
from bench.harness import TimeUp, WorkerError, measure
from bench.verdict import limit_verdict, verdict

BUSY = 0.5


def main() -> int:
    args = parse()
    folder = args.out or results.HERE / results.machine_name()
    if args.draw:
        results.draw(folder)
        return 0
    chosen = [CASES[name] for name in args.cases] or [
        case for case in CASES.values() if not case.by_name_only
    ]
    load = os.getloadavg()[0]
    if load > BUSY and not args.quick:
        say(f"the load of this machine is {load:.2f}: something else is running")
    with tempfile.TemporaryDirectory(prefix="reslab-bench-") as scratch:
        options = Options(
            data=args.data,
            pairs=args.pairs or (1 if args.quick else 5),
            seconds=args.seconds,
            quick=args.quick,
            without=args.without,
            threads=args.threads,
            scratch=Path(scratch),
            out=folder,
            case_s=args.case_seconds or (QUICK_CASE_S if args.quick else FULL_CASE_S),
            bf16=results.instructions()["bf16"],
        )
        record = results.opened(folder, quick=args.quick)
        failed = [case.name for case in chosen if not one(case, options, record)]
    if record.value["cases"]:
        results.draw(folder)
    say(f"results: {folder}")
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def one(case: Case, options: Options, record: results.Record) -> bool:
    """Measure one case and write what came out; returns whether nothing went wrong."""
    say(f"{case.name}: {case.title}")
    began = time.monotonic()
    try:
        found = measure(case, options, say)
    except Skipped as reason:
        say(f"  skipped: {reason}")
        record.put(case.name, {"title": case.title, "unit": case.unit, "skipped": str(reason)})
        return True
    except TimeUp as error:
        say(f"  {case.ours.name}: {error}")
        why = f"{case.ours.name} {error}"
        record.put(case.name, {"title": case.title, "unit": case.unit, "skipped": why})
        return False
    except WorkerError as error:
        say(f"  failed: {error}")
        return False
    found["took_s"] = round(time.monotonic() - began, 1)
    record.put(case.name, found)
    for group, peer in found["groups"].items():
        say(f"  {group}: {verdict(peer)}")
    if found["limit_s"] is not None:
        say(f"  {limit_verdict(found)}")
    return not any("skipped" in peer for peer in found["groups"].values())


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)}")
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with train/<class>/*.jpg of 32 px, or an archive of one (default: drawn "
        "shapes)",
    )
    parser.add_argument("--pairs", type=int, help="pairs a comparison (default: 5)")
    parser.add_argument("--seconds", type=float, help="length of a chunk (default: the case's)")
    parser.add_argument(
        "--case-seconds",
        type=float,
        help="a case may take so long in all; a candidate may take a third of it, compiling "
        f"included, and is ended then (default: {FULL_CASE_S:g}; quick: {QUICK_CASE_S:g})",
    )
    parser.add_argument("--quick", action="store_true", help="tiny: does everything work?")
    parser.add_argument("--without", default="", metavar="WORD", help="leave such arms out")
    parser.add_argument("--threads", type=int, default=0, help="of every arm (default: the cores)")
    parser.add_argument("--out", type=Path, help="folder for results")
    parser.add_argument("--draw", action="store_true", help="draw what was measured before")
    args = parser.parse_args()
    unknown = [name for name in args.cases if name not in CASES]
    if unknown:
        parser.error(f"unknown case {', '.join(unknown)}; there are {', '.join(CASES)}")
    if args.data is not None and not args.data.exists():
        parser.error(f"there is no {args.data}")
    if args.quick and args.out is None and not args.draw:
        parser.error("--quick measures nothing worth keeping: name another folder with --out")
    return args


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
