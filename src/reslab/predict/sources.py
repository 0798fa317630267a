"""What users name as images -> pixels fitted for a model, read when they are needed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from reslab.data.arrays import Pixels
from reslab.data.decode import decode_image
from reslab.data.names import shown
from reslab.data.preprocess import Preprocess, fit, fit_file
from reslab.errors import DataError, UsageError
from reslab.predict.paths import find_images

ImageLike = str | os.PathLike[str] | Image.Image | np.ndarray[Any, np.dtype[np.uint8]]
Read = Callable[[], Pixels]


def count_of(images: Iterable[ImageLike]) -> int | None:
    """Return how many images these are, where that is known without looking at them."""
    if not isinstance(images, Sequence):
        return None
    paths = (image for image in images if isinstance(image, str | os.PathLike))
    return None if any(map(os.path.isdir, paths)) else len(images)


def sources_of(images: Iterable[ImageLike], preprocess: Preprocess) -> Iterator[tuple[str, Read]]:
    """Yield a name and what reads it for each image; folders stand for the images below them.

    Raises:
        UsageError: something is no image.
    """
    number = 0
    for image in images:
        if isinstance(image, str | os.PathLike):
            place = os.fspath(image)
            for path in find_images([place]) if os.path.isdir(place) else [place]:
                yield path, partial(read_file, path, preprocess)
                number += 1
        elif isinstance(image, Image.Image | np.ndarray):
            name = f"image[{number}]"
            yield name, partial(_fit_in_memory, image, name, preprocess)
            number += 1
        else:
            raise UsageError(
                f"an image is a path, a Pillow image or a uint8 array, not {type(image).__name__}"
            )


def read_file(path: str | os.PathLike[str], preprocess: Preprocess) -> Pixels:
    """Decode a file and fit it.

    Raises:
        DataError: it cannot be decoded; the message names it.
    """
    if os.path.isdir(path):
        raise DataError(f"{shown(os.fspath(path))} is a folder without images")
    return fit_file(Path(path), preprocess)


def _fit_in_memory(
    image: Image.Image | np.ndarray[Any, Any], name: str, preprocess: Preprocess
) -> Pixels:
    return fit(_pixels(image, name), preprocess)


def _pixels(image: Image.Image | np.ndarray[Any, Any], name: str) -> Pixels:
    """Bring an image in memory to what `decode` gives for files."""
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)):
            raise UsageError(
                f"{name} is an array of {image.dtype} {image.shape}; it must be uint8, "
                "(height, width) or (height, width, 3)"
            )
        return np.ascontiguousarray(image)
    return decode_image(image, name)
