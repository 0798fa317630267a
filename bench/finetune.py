"""A trained network tuned on a few images of other classes, against training on them from scratch.

    python bench/finetune.py CIFAR10_FOLDER --out RESULT.json
    python bench/finetune.py CIFAR10_FOLDER --pretrained MODEL     # any model or imported weights

CIFAR10_FOLDER has train/<class> and test/<class>. A network is trained once on the six animals
(bird, cat, deer, dog, frog, horse). Then, for each seed, a few training images of each of the four
vehicles (airplane, automobile, ship, truck) are drawn, and each arm learns from those alone and is
measured on all test images of the vehicles:

- tuned: from the animals' weights with a new head, by the recipe that `--start` chooses;
- head: the same, but only the head learns;
- scratch: the same network from its own first weights, by the recipe for that.

All arms see the same files for the same number of epochs on the same cores, and share the seed;
everything else is what `reslab train` chooses for them. `--set ARM:FLAGS` changes an arm, e.g.
`--set "scratch:--lr 0.05"`.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shlex
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from reslab import artifact, child

ANIMALS = ("bird", "cat", "deer", "dog", "frog", "horse")
VEHICLES = ("airplane", "automobile", "ship", "truck")
# Two-sided 97.5% quantiles of Student's t by degrees of freedom, for the paired interval.
STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
Row = dict[str, Any]


def copy(source: Path, target: Path, classes: tuple[str, ...], limit: int, seed: int) -> None:
    """Copy up to `limit` images a class, drawn by the seed; links out of a folder are refused."""
    for name in classes:
        files = sorted(path for path in (source / name).iterdir() if path.is_file())
        if limit < len(files):
            files = random.Random(f"{seed} {name}").sample(files, limit)
        (target / name).mkdir(parents=True)
        for path in files:
            shutil.copyfile(path, target / name / path.name)


def train(folder: Path, run: Path, flags: list[str]) -> Row:
    """Run `reslab train` and return its result with the whole command's time."""
    argv = [sys.executable, "-m", "reslab", "train", str(folder), "--out", str(run)]
    argv += ["--json", "--quiet", "--cache", str(run.parent / "cache"), *flags]
    began = time.perf_counter()
    code, printed = child.run(argv)
    if code:
        sys.exit(f"{shlex.join(argv)} ended with {code}")
    config = json.loads((run / "config.json").read_text())
    return {
        "accuracy_pct": json.loads(printed)["test"]["accuracy_pct"],
        "wall_s": round(time.perf_counter() - began, 1),
        "flags": shlex.join(flags),
        "recipe": {k: config["recipe"][k] for k in ("name", "epochs", "lr", "batch_size")},
        "network": config["spec"]["name"],
    }


def pretrain(args: argparse.Namespace, scratch: Path) -> tuple[Path, Row]:
    """Train on the animals; returns the run and how well it does on them."""
    for split in ("train", "test"):
        copy(args.folder / split, scratch / "animals" / split, ANIMALS, args.pretrain_images, 0)
    flags = ["--model", args.model, "--seed", "0", "--epochs", str(args.pretrain_epochs)]
    row = train(scratch / "animals", scratch / "pretrained", flags)
    say("animals", row)
    return scratch / "pretrained", row


def say(name: str, row: Row) -> None:
    print(f"{name:<10} {row['accuracy_pct']:6.2f}%  {row['wall_s']:6.0f} s", file=sys.stderr)


def summary(values: list[float]) -> Row:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": round(statistics.mean(values), 3), "sd": round(deviation, 3), "runs": values}


def paired(one: list[float], other: list[float]) -> Row:
    """Return the mean difference over seeds with its 95% interval."""
    differences = [a - b for a, b in zip(one, other, strict=True)]
    value = summary(differences)
    if quantile := STUDENT.get(len(differences) - 1):
        half = quantile * statistics.stdev(differences) / math.sqrt(len(differences))
        low, high = value["mean"] - half, value["mean"] + half
        value["ci95"] = [round(max(low, -100.0), 3), round(min(high, 100.0), 3)]  # of accuracies
    return value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="resnet20")
    parser.add_argument("--pretrained", type=Path, help="a run or model folder; nothing is trained")
    parser.add_argument("--pretrain-epochs", type=float, default=10)
    parser.add_argument("--pretrain-images", type=int, default=5_000, help="a class, at most")
    parser.add_argument("--per-class", type=int, default=50, help="training images of each vehicle")
    parser.add_argument("--test-images", type=int, default=1_000, help="of each vehicle, at most")
    parser.add_argument("--epochs", type=float, default=60, help="of every arm")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", default=["tuned", "head", "scratch"])
    parser.add_argument("--set", action="append", default=[], metavar="ARM:FLAGS", dest="settings")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = measure(args, Path(folder))
    text = json.dumps(result, indent=2)
    print(text)
    if args.out is not None:
        args.out.write_text(text + "\n")


def measure(args: argparse.Namespace, scratch: Path) -> Row:
    extra = dict(setting.split(":", 1) for setting in args.settings)
    source, about = args.pretrained, None
    if source is None:
        source, about = pretrain(args, scratch)
    spec = artifact.load(source).network.spec
    arms = {
        "tuned": ["--start", str(source)],
        "head": ["--start", str(source), "--freeze", "-1"],
        "scratch": ["--model", spec.name, "--img-size", str(spec.img_size)],
    }
    runs: dict[str, list[Row]] = {name: [] for name in args.arms}
    for number, seed in enumerate(args.seeds):
        data = scratch / f"vehicles-{seed}"
        copy(args.folder / "train", data / "train", VEHICLES, args.per_class, seed)
        copy(args.folder / "test", data / "test", VEHICLES, args.test_images, 0)
        for name in args.arms if number % 2 == 0 else args.arms[::-1]:
            flags = [*arms[name], "--seed", str(seed), "--epochs", str(args.epochs)]
            row = train(
                data, scratch / f"{name}-{seed}", [*flags, *shlex.split(extra.get(name, ""))]
            )
            runs[name].append({"seed": seed, **row})
            say(name, row)
    accuracy = {name: [row["accuracy_pct"] for row in rows] for name, rows in runs.items()}
    for name, values in accuracy.items():
        found = summary(values)
        print(f"{name:<10} {found['mean']:.2f} ± {found['sd']:.2f}%", file=sys.stderr)
    result: Row = {
        "per_class": args.per_class,
        "test_images": args.test_images * len(VEHICLES),
        "pretrained": about or str(source),
        "accuracy_pct": {name: summary(values) for name, values in accuracy.items()},
        "runs": runs,
    }
    if {"tuned", "scratch"} <= set(accuracy):
        result["tuned_minus_scratch"] = paired(accuracy["tuned"], accuracy["scratch"])
        difference = result["tuned_minus_scratch"]
        print(f"tuned - scratch {difference['mean']:.2f} points", file=sys.stderr)
    return result


if __name__ == "__main__":
    main()
