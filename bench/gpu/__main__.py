"""Measure training on this machine's GPU side by side with PyTorch as others write it.

    python -m bench.gpu --out DIR                     # every case, in under 8 minutes
    python -m bench.gpu --out DIR train-resnet20      # one; others measured before stay
    python -m bench.gpu --out DIR --device cpu --quick    # does everything work?

Needs no package besides those that reslab needs, no installed reslab and no network. Each arm is
a process of its own; ours and theirs do chunks of the same work in turn, A B B A. Before that
all say what they compute, and an arm with other answers is left out. Writes DIR/results.json and
DIR/table.md after every case.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SOURCE = str(ROOT / "src")
MARGIN_S = 25.0


def main() -> int:
    began = time.monotonic()
    args = parse()
    use_source()
    from bench.case import Options
    from bench.gpu.cases import CASES, CHECK_STEPS
    from bench.gpu.run import measure
    from bench.harness import WorkerError
    from bench.results import Record

    settings = {
        "device": args.device,
        "check_steps": 2 if args.quick else CHECK_STEPS,
        "warm_up": 2 if args.quick else 40,
    }
    deadline = began + args.time - MARGIN_S
    args.out.mkdir(parents=True, exist_ok=True)
    value = opened(args.out, args.device, quick=args.quick)
    record, failed = Record(args.out, value), False
    with tempfile.TemporaryDirectory(prefix="reslab-bench-") as scratch:
        options = Options(
            data=None,
            pairs=args.pairs or (1 if args.quick else 5),
            seconds=args.seconds,
            quick=args.quick,
            without="",
            threads=args.threads,
            scratch=Path(scratch),
            out=args.out,
        )
        for name in args.cases or CASES:
            case = CASES[name]
            say(f"{name}: {case.title} (after {time.monotonic() - began:.0f} s)")
            if time.monotonic() > deadline:
                skipped: dict[str, Any] = {"title": case.title, "skipped": "the time was up"}
                record.put(name, skipped)
            else:
                try:
                    record.put(name, measure(case, options, settings, deadline, say))
                except WorkerError as error:
                    failed = True
                    say(f"  failed: {error}")
            draw(args.out, value)
    say((args.out / "table.md").read_text())
    return 1 if failed else 0


def use_source() -> None:
    """Let this process and those it starts import reslab from the checkout."""
    paths = [SOURCE, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "8")
    sys.path.insert(0, SOURCE)


def opened(folder: Path, device: str, *, quick: bool) -> dict[str, Any]:
    """Read what was measured before, and measure the device's ceilings anew."""
    file = folder / "results.json"
    cases = json.loads(file.read_text())["cases"] if file.exists() else {}
    from reslab import child

    argv = [sys.executable, "-m", "bench.gpu.device", device, *(["--quick"] if quick else [])]
    code, printed = child.run(argv, cwd=ROOT)
    if code:
        sys.exit(f"{' '.join(argv)} ended with {code}")
    return {"quick": quick, "ceilings": json.loads(printed), "cases": cases}


def draw(folder: Path, value: dict[str, Any]) -> None:
    """Write the table of what was measured so far."""
    from bench.gpu.table import table

    (folder / "table.md").write_text(table(value))


def parse() -> argparse.Namespace:
    from bench.gpu.cases import CASES

    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of: {', '.join(CASES)}")
    parser.add_argument("--out", type=Path, required=True, help="folder for results")
    parser.add_argument("--device", default="cuda", help="default: cuda")
    parser.add_argument("--time", type=float, default=470.0, help="seconds in all (default: 470)")
    parser.add_argument("--pairs", type=int, help="pairs a comparison (default: 5)")
    parser.add_argument("--seconds", type=float, help="length of a chunk (default: 0.8)")
    parser.add_argument("--threads", type=int, default=0, help="of every arm (default: the cores)")
    parser.add_argument("--quick", action="store_true", help="tiny: does everything work?")
    args = parser.parse_args()
    unknown = [name for name in args.cases if name not in CASES]
    if unknown:
        parser.error(f"unknown case {', '.join(unknown)}; there are {', '.join(CASES)}")
    return args


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
