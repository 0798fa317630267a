"""Small image folders for tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (24, 24)) -> Image.Image:
    """Return smooth random colours: no two seeds look alike, and JPEG hardly changes them."""
    rng = np.random.default_rng([77, seed])
    coarse = Image.fromarray(rng.integers(0, 255, (5, 5, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.BICUBIC)


def write_pictures(root: Path, counts: Mapping[str, int], *, first: int = 0) -> list[Path]:
    """Write so many PNG pictures into each folder below the root; all of them differ."""
    files = []
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            files.append(root / folder / f"{number:03d}.png")
            picture(first + len(files)).save(files[-1])
    return files
