"""The UCI hand-written digits that scikit-learn ships: 1,797 grey images of 8x8."""

from __future__ import annotations

import numpy as np

from reslab.data.dataset import ArrayImages, Dataset


def open_digits() -> Dataset:
    """Scale the values 0..16 to 0..255; the test split is 20% of each class, always the same."""
    from sklearn.datasets import load_digits

    from reslab.data.split import complete_splits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    flat = Dataset(
        name="digits",
        classes=tuple(str(digit) for digit in range(10)),
        images=ArrayImages(pixels, label="digits"),
        labels=bunch.target.astype(np.int64),
        splits={},
    )
    return complete_splits(flat, val_fraction=0.0, seed=0)
