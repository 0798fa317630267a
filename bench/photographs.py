"""From a folder of photographs to a classifier: `reslab train FOLDER` beside another tool.

    python bench/photographs.py FOLDER --peer 'COMMAND {folder}' --pairs 5 --out RESULT.json

FOLDER has train/<class> and valid/<class>; both tools see the same files, cores and threads, in
turn (A B B A ...), each from its first byte read, with no decoded store left from before. The
peer's command prints a JSON line with accuracy_pct and wall_s.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reslab import child


def ours(folder: Path, seed: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch:
        argv = [sys.executable, "-m", "reslab", "train", str(folder), "--json", "--quiet"]
        argv += ["--seed", str(seed), "--out", f"{scratch}/run", "--cache", f"{scratch}/cache"]
        began = time.perf_counter()
        result = json.loads(output(argv))
        split = next(result[name] for name in ("test", "val") if result.get(name))
        return {
            "accuracy_pct": split["accuracy_pct"],
            "wall_s": time.perf_counter() - began,
        }


def peer(command: str, folder: Path, seed: int) -> dict[str, float]:
    argv = [part.format(folder=folder, seed=seed) for part in shlex.split(command)]
    began = time.perf_counter()
    printed = json.loads(output(argv).strip().splitlines()[-1])
    return {
        "accuracy_pct": printed["accuracy_pct"],
        "wall_s": time.perf_counter() - began,
    }


def output(argv: list[str]) -> str:
    code, printed = child.run(argv)
    if code:
        raise subprocess.CalledProcessError(code, argv)
    return printed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer", required=True, help="command; {folder} and {seed} are filled in")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    arms: dict[str, list[dict[str, float]]] = {"ours": [], "peer": []}
    for pair in range(args.pairs):
        order = ("ours", "peer") if pair % 2 == 0 else ("peer", "ours")
        for arm in order:
            run = ours(args.folder, pair) if arm == "ours" else peer(args.peer, args.folder, pair)
            arms[arm].append(run)
            print(f"{arm:<5} {run['accuracy_pct']:.2f}%  {run['wall_s']:.0f} s", file=sys.stderr)
    ratios = [o["wall_s"] / p["wall_s"] for o, p in zip(arms["ours"], arms["peer"], strict=True)]
    result = {
        "folder": args.folder.name,
        "peer": args.peer,
        "cores": os.cpu_count(),
        "runs": arms,
        "wall_ratio_ours_to_peer": {
            "median": statistics.median(ratios),
            "least": min(ratios),
            "most": max(ratios),
        },
    }
    text = json.dumps(result, indent=2)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
