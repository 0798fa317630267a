"""How long until the test accuracy that akamaster's recipe reaches in three hours of this machine.

    python -m bench.time_to_accuracy DATA                       # some hours
    python -m bench.time_to_accuracy DATA --schedules 2 4 --lengths 1 2 --seeds 0

1. Its recipe is trained to the end on short schedules; test error against epochs is a power law
   above a floor (error = floor + a * epochs^-b, by least squares), taken on to the epochs that it
   does in three hours. Its speed is the one measured by `python -m bench train-resnet20`, which
   must have run before. A law through three runs is a guess, so the accuracy it leads to
   is written down beside the ratio. A schedule of all those epochs needs no law. Schedules that
   are in the results, of the same data, are not trained again.
2. `reslab train --recipe fast` is run on lengths that grow until the mean over the seeds reaches
   that accuracy. Every run is the whole command from nothing: files decoded, kernels compiled.
   The length is chosen by the test images that judge it; the ones before it are listed.

The ratio is three hours, and the time that the tuned trainer takes for the same epochs, to ours.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import results
from bench.__main__ import say
from bench.cases.data import unpacked
from bench.harness import ROOT, environment
from bench.spread import spread
from bench.verdict import verdict
from reslab import child
from reslab.data.sources.archive import archive_stem

NAME = "time-to-accuracy"
TITLE = "time to the accuracy of akamaster's recipe in three hours"
SPEED = "train-resnet20"
BY = "by another recipe, from the command on"
HOURS = 3
TARGETS = {"as found": 8.0, "tuned": 3.0}
FLOORS = 200  # tried, between nothing and the least error


def main() -> int:
    args = parse()
    folder = args.out or results.HERE / results.machine_name()
    data = unpacked(args.data)
    speeds = measured_speeds(folder)
    num_train = sum(1 for path in (data / "train").glob("*/*") if path.is_file())
    epochs = HOURS * 3600 * speeds["as found"] / num_train
    if len(set(args.schedules)) < 2 and max(args.schedules) < epochs:
        sys.exit(f"a law needs schedules of two lengths, or one of {epochs:.0f} epochs")
    record = results.opened(folder, quick=False)
    schedules = their_schedules(data, args, record)
    floor, error = extrapolated(schedules, epochs)
    threshold = 100 - error
    say(
        f"akamaster's recipe: {epochs:.0f} epochs in {HOURS} h, so about {threshold:.2f}% "
        f"(its error ends at {floor:.1f}%)"
    )
    lengths, reached = ours_until(data, threshold, args)
    found = {
        "title": f"{threshold:.1f}% on {archive_stem(args.data)}, {BY}",
        "unit": "runs/s",
        "data_name": archive_stem(args.data),
        "limit_s": None,
        "threshold_pct": threshold,
        "their_epochs_in_time": epochs,
        "their_floor_pct": floor,
        "their_schedules": schedules,
        "our_lengths": lengths,
        "network": args.network,
        "recipe": args.recipe,
        "groups": {},
    }
    if reached:
        times = [run["wall_s"] for run in reached]
        rates = [1 / one for one in times]
        found["ours"] = {
            "name": f"reslab train --model {args.network} --recipe {args.recipe}",
            "cold": {"ready_s": 0.0},
            "rate": spread(rates),
            "seconds_each": spread(times),
        }
        for group, target in TARGETS.items():
            theirs_s = epochs * num_train / speeds[group]
            ratios = [theirs_s / one for one in times]
            found["groups"][group] = {
                "name": f"akamaster's recipe ({group}), extrapolated",
                "target": target,
                "rate": spread([1 / theirs_s]),
                "ratios": ratios,
                "ratio": spread(ratios),
                "cold": {"ready_s": 0.0},
                "trials": {},
            }
            say(f"{group}: {verdict(found['groups'][group])}")
    else:
        found["skipped"] = f"{threshold:.2f}% was not reached in {args.lengths[-1]:g} epochs"
        say(found["skipped"])
    record.put(NAME, found)
    results.draw(folder)
    return 0 if reached else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.time_to_accuracy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("data", type=Path, help="folder or archive with train/ and test/")
    parser.add_argument("--network", default="airbench94_relu")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--schedules", type=int, nargs="+", default=[4, 8, 16, 32, 64])
    parser.add_argument("--lengths", type=float, nargs="+", default=[4, 6, 8, 10, 13, 16])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of ours")
    parser.add_argument("--their-seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, help="folder for results")
    return parser.parse_args()


def measured_speeds(folder: Path) -> dict[str, float]:
    """Return the peers' training images by the second, as the bench has measured them here."""
    file = folder / results.FILE
    groups = json.loads(file.read_text())["cases"].get(SPEED, {}) if file.exists() else {}
    groups = groups.get("groups", {})
    if not all("rate" in groups.get(group, {}) for group in TARGETS):
        sys.exit(f"the peers' speed is not known here: run `python -m bench {SPEED}` first")
    return {group: groups[group]["rate"]["median"] for group in TARGETS}


def their_schedules(
    data: Path, args: argparse.Namespace, record: results.Record
) -> list[dict[str, Any]]:
    """Train their recipe on schedules of its own, each kept as soon as it is there."""
    former = record.value["cases"].get(NAME, {})
    same = former.get("data_name") == archive_stem(args.data)
    kept = former["their_schedules"] if same else []
    known = {(run["epochs"], run["seed"]): run for run in kept}
    for epochs in args.schedules:
        for seed in args.their_seeds:
            if (epochs, seed) in known:
                continue
            run = command(
                "-m", "bench.peers.accuracy", str(data), "--epochs", epochs, "--seed", seed
            )
            say(f"akamaster, {epochs} epochs, seed {seed}: {run['accuracy_pct']:.2f}%")
            known[epochs, seed] = {**run, "seed": seed}
            partial = {
                "title": TITLE,
                "unit": "runs/s",
                "groups": {},
                "data_name": archive_stem(args.data),
            }
            schedules = list(known.values())
            record.put(NAME, {**partial, "skipped": "unfinished", "their_schedules": schedules})
    return [known[epochs, seed] for epochs in args.schedules for seed in args.their_seeds]


def extrapolated(schedules: list[dict[str, Any]], epochs: float) -> tuple[float, float]:
    """Fit error = floor + a * epochs^-b, percent, by least squares in the errors' logarithms.

    Where the longest schedule is as long as that, both are what its runs ended at.

    Args:
        schedules: "epochs" and "accuracy_pct" of runs of three lengths or more; of fewer the
            floor is 0.
        epochs: how far to take the law.

    Returns:
        The floor, and the error at `epochs`.
    """
    longest = max(run["epochs"] for run in schedules)
    if longest >= epochs:
        ends = [100 - run["accuracy_pct"] for run in schedules if run["epochs"] == longest]
        return statistics.fmean(ends), statistics.fmean(ends)
    x = [math.log(run["epochs"]) for run in schedules]
    errors = [100 - run["accuracy_pct"] for run in schedules]
    floors = [0.0]
    if len({run["epochs"] for run in schedules}) >= 3:
        floors = [min(errors) * share / FLOORS for share in range(FLOORS)]

    def fitted(floor: float) -> tuple[float, float, float]:
        y = [math.log(error - floor) for error in errors]
        slope, start = statistics.linear_regression(x, y)
        missed = [
            math.log(error) - math.log(floor + math.exp(start + slope * at))
            for at, error in zip(x, errors, strict=True)
        ]
        return sum(one**2 for one in missed), slope, start

    floor = min(floors, key=lambda one: fitted(one)[0])
    _, slope, start = fitted(floor)
    return floor, floor + math.exp(start + slope * math.log(epochs))


def ours_until(
    data: Path, threshold: float, args: argparse.Namespace
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Run longer and longer until the mean over the seeds is there.

    Returns:
        All runs, and those of the length that reached it (none if none did).
    """
    runs: list[dict[str, Any]] = []
    for epochs in args.lengths:
        of_length = [ours(data, epochs, seed, args) for seed in args.seeds]
        runs += of_length
        if statistics.fmean(run["accuracy_pct"] for run in of_length) >= threshold:
            return runs, of_length
    return runs, []


def ours(data: Path, epochs: float, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """Run the whole command from nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        argv = ["train", str(data), "--model", args.network, "--recipe", args.recipe]
        argv += [
            "--epochs",
            f"{epochs:g}",
            "--seed",
            str(seed),
            "--val-fraction",
            "0",
            "--json",
            "--quiet",
        ]
        argv += ["--out", f"{scratch}/run"]
        began = time.perf_counter()
        result = command("-m", "reslab", *argv, own=Path(scratch))
        wall_s = time.perf_counter() - began
    accuracy = float(result["test"]["accuracy_pct"])
    say(f"ours, {epochs:g} epochs, seed {seed}: {accuracy:.2f}% in {wall_s:.0f} s")
    return {"epochs": epochs, "seed": seed, "accuracy_pct": accuracy, "wall_s": wall_s}


def command(*words: object, own: Path | None = None) -> dict[str, Any]:
    """Run Python and read the JSON that it prints."""
    env = environment(own, os.cpu_count() or 1) if own else None
    argv = [sys.executable, *map(str, words)]
    code, printed = child.run(argv, cwd=ROOT, environment=env)
    if code:
        raise subprocess.CalledProcessError(code, argv)
    return json.loads(printed[printed.index("{") :])


if __name__ == "__main__":
    sys.exit(main())
