"""Every image decoded once: who cannot be, a hash of the pixels, and a small grey copy."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from reslab.data.arrays import Indices, Pixels
from reslab.data.check.files import fault_of, name_unreadable
from reslab.data.dataset import Dataset, FileImages, Images
from reslab.data.decode import Rules, decode_file
from reslab.data.findings import Finding
from reslab.display.short import short_repr
from reslab.errors import DataError

COPY_SIDE = 32
# Photographs are compared at a reduced size of at least this side, which is much faster.
_DECODE_SIDE = 256
_CHUNK = 64


@dataclasses.dataclass(frozen=True)
class Looks:
    """What the decoded images look like.

    Args:
        numbers: int64 (n,), the images that could be decoded.
        digests: for each of them a hash of shape and pixels.
        copies: uint8 (n, COPY_SIDE, COPY_SIDE), for each of them a grey copy.
        findings: about those that could not.
    """

    numbers: Indices
    digests: tuple[bytes, ...]
    copies: Pixels
    findings: tuple[Finding, ...]

    __repr__ = short_repr


@dataclasses.dataclass(frozen=True, slots=True)
class _Look:
    digest: bytes
    copy: Pixels


def look_at(
    dataset: Dataset,
    *,
    workers: int,
    known: Mapping[int, str],
    rules: Rules,
    progress: Callable[[int, int], None] | None,
) -> Looks:
    """Decode all images in threads.

    Args:
        dataset: whose images.
        workers: threads.
        known: image numbers that are named as unreadable already.
        rules: what is white in 16-bit files.
        progress: called with (images done, images in all).
    """
    todo = [number for number in range(len(dataset.labels)) if number not in known]
    copies = np.zeros((len(todo), COPY_SIDE, COPY_SIDE), dtype=np.uint8)
    digests: list[bytes] = []
    numbers: list[int] = []
    faults: dict[str, str] = {}
    chunks = [todo[start : start + _CHUNK] for start in range(0, len(todo), _CHUNK)]
    done = 0
    with ThreadPoolExecutor(max(1, workers)) as pool:
        results = pool.map(lambda chunk: [_look(dataset.images, n, rules) for n in chunk], chunks)
        for chunk, looks in zip(chunks, results, strict=True):
            for number, look in zip(chunk, looks, strict=True):
                if isinstance(look, _Look):
                    copies[len(numbers)] = look.copy
                    numbers.append(number)
                    digests.append(look.digest)
                else:
                    faults[dataset.images.name(number)] = look
            done += len(chunk)
            if progress is not None:
                progress(done, len(todo))
    return Looks(
        np.array(numbers, dtype=np.int64),
        tuple(digests),
        copies[: len(numbers)],
        tuple(name_unreadable(faults)),
    )


def _look(images: Images, number: int, rules: Rules) -> _Look | str:
    try:
        if isinstance(images, FileImages):
            pixels = decode_file(images.name(number), at_least=_DECODE_SIDE, rules=rules)
        else:
            pixels = images.read(number)
    except DataError as error:
        return fault_of(error, images.name(number))
    digest = hashlib.blake2b(str(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return _Look(digest.digest(), grey_copy(pixels))


def grey_copy(pixels: Pixels) -> Pixels:
    """Return a grey copy of COPY_SIDE by COPY_SIDE pixels."""
    image = Image.fromarray(pixels).convert("L")
    small = min(image.size) < COPY_SIDE
    resample = Image.Resampling.BILINEAR if small else Image.Resampling.BOX
    return np.asarray(image.resize((COPY_SIDE, COPY_SIDE), resample))
