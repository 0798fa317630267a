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
from reslab.data.decode import decode_array, decode_image
from reslab.data.preprocess import Preprocess, fit, fit_file, rules_of
from reslab.display.names import shown
from reslab.errors import DataError, UsageError
from reslab.predict.paths import find_images

ImageLike = str | os.PathLike[str] | Image.Image | np.ndarray[Any, np.dtype[np.uint8 | np.uint16]]
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
            raise _no_image(image)


def _no_image(value: object) -> UsageError:
    kind = type(value).__name__
    remedy = "for 0..255, (height, width, 3): tensor.numpy()" if kind == "Tensor" else ""
    return UsageError(
        f"an image is a path, a Pillow image or a uint8 array, not {kind}", remedy=remedy
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
    rules = rules_of(preprocess)
    if isinstance(image, Image.Image):
        return fit(decode_image(image, name, rules=rules), preprocess)
    _refuse_array(image, name)
    return fit(decode_array(image, name, rules=rules), preprocess)


def _refuse_array(array: np.ndarray[Any, Any], name: str) -> None:
    """Accept what `decode_array` reads; say of the rest what to do with it."""
    kind, channels = array.dtype, array.shape[2:]
    whole = kind in (np.uint8, np.uint16)
    if whole and array.ndim in (2, 3) and channels in ((), (1,), (2,), (3,), (4,)) and array.size:
        return
    remedy = ""
    if array.ndim in (2, 3) and not array.size:
        raise UsageError(f"{name} is an array without pixels, of shape {array.shape}")
    if np.issubdtype(kind, np.floating):
        remedy = "for values in 0..1: (array * 255).round().astype('uint8')"
    elif not whole:
        remedy = "for values in 0..255: array.astype('uint8')"
    elif array.ndim == 3 and array.shape[0] in (1, 3, 4):
        remedy = "channels come last: array.transpose(1, 2, 0)"
    elif array.ndim == 4:
        remedy = "give the images of a batch as a list: list(array)"
    raise UsageError(
        f"{name} is an array of {kind} {array.shape}; it must be uint8 or uint16, "
        "(height, width), or (height, width, channels) of grey, grey with alpha, RGB or RGBA",
        remedy=remedy,
    )
