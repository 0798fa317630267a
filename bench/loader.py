"""How fast batches come: decode once, then whole batches augmented as tensors.

    python bench/loader.py FOLDER
    python bench/loader.py FOLDER --size 96 --views resized-crop --batch 64
    python bench/loader.py FOLDER --peer "python loader_torch.py FOLDER"

FOLDER holds one folder of images a class. Cold is everything from the listing of the folder to
the last image decoded, with an empty cache; warm is one epoch of batches after that, through
the thread that training uses. `cpu_ms_per_1000` is processor time, what training has to share.

A peer is any command that prints one JSON object with `images_per_s` last; it is run in turn
with ours (A B B A), and the ratio is the median of the pairs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import statistics as stats
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reslab.data.augment import Augment
from reslab.data.bank import Bank, open_bank
from reslab.data.dataset import Dataset, FileImages
from reslab.data.loader import TrainLoader
from reslab.data.order import Order
from reslab.data.preprocess import Preprocess
from reslab.data.statistics import statistics

VIEWS = {
    "none": Augment(),
    "pad-crop": Augment(pad_crop=4, flip=True),
    "resized-crop": Augment(crop_scale=(0.3, 1.0), flip=True),
    "all": Augment(
        crop_scale=(0.3, 1.0), flip=True, rotate=10, jitter=0.3, pca_colour=0.1, erase=0.25
    ),
}


def read_folder(folder: Path) -> Dataset:
    """List the images of a folder of class folders."""
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    paths: list[Path] = []
    labels: list[int] = []
    for number, name in enumerate(classes):
        names = sorted(entry.name for entry in os.scandir(folder / name))
        paths += [Path(name, file) for file in names]
        labels += [number] * len(names)
    images = FileImages(folder, tuple(paths))
    train = np.arange(len(paths))
    return Dataset(folder.name, tuple(classes), images, np.array(labels), {"train": train})


def cold(folder: Path, preprocess: Preprocess, cache: Path) -> tuple[Dataset, Bank, float]:
    start = time.perf_counter()
    dataset = read_folder(folder)
    bank = open_bank(dataset, preprocess, cache=cache)
    return dataset, bank, time.perf_counter() - start


def warm(loader: TrainLoader, num_images: int) -> dict[str, float]:
    """Take batches from the loader's thread, as training does."""
    steps = max(1, num_images // loader.batch_size)
    batches = loader.prefetch(0, steps + 1)
    next(batches)
    start, used = time.perf_counter(), cpu_s()
    count = sum(len(batch) for batch in batches)
    took = time.perf_counter() - start
    return {
        "images_per_s": round(count / took),
        "cpu_ms_per_1000": round((cpu_s() - used) / count * 1e6, 1),
    }


def cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def peer_rate(command: str) -> float:
    output = subprocess.run(shlex.split(command), check=True, capture_output=True, text=True).stdout
    return float(json.loads(output.strip().splitlines()[-1])["images_per_s"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, default=32, help="side of the batches, pixels")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--views", choices=sorted(VIEWS), default="pad-crop")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer", help="command to measure in turn with ours")
    args = parser.parse_args()
    preprocess = Preprocess(img_size=args.size, resize_size=args.size)
    with tempfile.TemporaryDirectory() as cache:
        dataset, bank, cold_s = cold(args.folder, preprocess, Path(cache))
        measured = statistics(bank, dataset.split("train"))
        preprocess = Preprocess(
            img_size=args.size, resize_size=args.size, mean=measured.mean, std=measured.std
        )
        loader = TrainLoader(
            bank,
            Order(dataset.split("train"), 0),
            dataset.labels,
            VIEWS[args.views],
            preprocess,
            seed=0,
            batch_size=args.batch,
        )
        ours: list[dict[str, float]] = []
        theirs: list[float] = []
        for repeat in range(args.repeats):
            for is_peer in (False, True) if repeat % 2 == 0 else (True, False):
                if not is_peer:
                    ours.append(warm(loader, len(bank)))
                elif args.peer:
                    theirs.append(peer_rate(args.peer))
        report: dict[str, Any] = {
            "num_images": len(bank),
            "size": args.size,
            "batch": args.batch,
            "views": args.views,
            "torch_threads": torch.get_num_threads(),
            "cold_s": round(cold_s, 2),
            "cold_images_per_s": round(len(bank) / cold_s),
            "warm_images_per_s": stats.median(row["images_per_s"] for row in ours),
            "warm_all": [row["images_per_s"] for row in ours],
            "cpu_ms_per_1000": stats.median(row["cpu_ms_per_1000"] for row in ours),
            "load_1min": round(os.getloadavg()[0], 2),
        }
        if theirs:
            ratios = [a["images_per_s"] / b for a, b in zip(ours, theirs, strict=True)]
            report["peer_images_per_s"] = stats.median(theirs)
            report["ratio"] = round(stats.median(ratios), 2)
            report["ratios"] = [round(ratio, 2) for ratio in ratios]
        print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
