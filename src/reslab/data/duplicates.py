"""Exact and near duplicates, within and across splits and labels.

Exact: the decoded pixels have the same hash. Near: grey copies, freed of brightness and
contrast, correlate almost fully, first at 16x16 and then at 32x32. Candidates come from a k-d
tree over the leading principal components of the 16x16 copies: a projection never lengthens a
distance, so no pair below the threshold is lost, and 60,000 images take seconds. Groups grow from
one image to those near it and on to those near them; who has been reached is not looked for again,
so that thousands of frames of one video cost no more than others. The threshold follows the set:
where even unrelated images look alike (digits, garments on black), only what is much nearer than
the usual neighbour counts. Images without contrast are compared exactly only.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from PIL import Image

from reslab.data.arrays import Indices, Pixels
from reslab.data.collect import Finding, fault_of, list_names, name_unreadable
from reslab.data.dataset import SPLIT_NAMES, Dataset, FileImages, Images, SplitName
from reslab.data.decode import Rules, decode_file
from reslab.display.short import short_repr
from reslab.errors import DataError

Floats = npt.NDArray[np.float32]

FARTHEST = 0.02  # largest 1 - correlation at 16x16 that counts as near
NEAREST = 0.003  # what always counts: JPEG quality and brightness change less than that
_SHARE = 0.06  # of the neighbour distance that three quarters of the images stay below
_FINE = 2.0  # the finer copies may differ by so many times more
_LEAST_CONTRAST = 3.0  # standard deviation of the 16x16 copy, grey levels
_COMPONENTS = 16
_SAMPLE = 2_000
_BLOCK = 200_000


def find_duplicates(dataset: Dataset, looks: Looks, *, near: bool) -> list[Finding]:
    """Find groups of equal and of nearly equal images, one finding a group."""
    by_digest: dict[bytes, list[int]] = {}
    for position, digest in enumerate(looks.digests):
        by_digest.setdefault(digest, []).append(position)
    numbers = looks.numbers
    groups = _Groups(dataset)
    found = [
        groups.exact(numbers[positions]) for positions in by_digest.values() if len(positions) > 1
    ]
    if near and len(by_digest) > 1:
        first = np.array([positions[0] for positions in by_digest.values()], dtype=np.int64)
        found += [groups.near(numbers[first[group]]) for group in near_groups(looks.copies[first])]
    return found


def near_groups(copies: Pixels) -> list[Indices]:
    """Return groups of positions whose grey copies are nearly the same.

    Args:
        copies: uint8, (n, COPY_SIDE, COPY_SIDE), no two from equal images.
    """
    coarse, contrast = _normalised(copies, COPY_SIDE // 2)
    able = np.flatnonzero(contrast >= _LEAST_CONTRAST)
    if len(able) < 2:
        return []
    coarse = coarse[able]
    limit = _limit(coarse)
    # |u - v|^2 = 2 (1 - correlation) for unit vectors
    radius = float(np.sqrt(2 * limit)) + 1e-4
    projected = _project(coarse)
    crowded = _with_neighbours(projected, radius)
    coarse = coarse[crowded]
    fine, _ = _normalised(copies[able[crowded]], COPY_SIDE)

    def alike(position: int, others: Indices) -> Indices:
        near = others[1 - coarse[others] @ coarse[position] <= limit]
        same: Indices = near[1 - fine[near] @ fine[position] <= _FINE * limit]
        return same

    return [able[crowded[group]] for group in _grown(projected[crowded], radius, alike)]


def _with_neighbours(points: Floats, radius: float) -> Indices:
    """Return the numbers of the points that another one lies near."""
    from scipy.spatial import cKDTree

    return np.flatnonzero(cKDTree(points).query_ball_point(points, radius, return_length=True) > 1)


def _grown(
    points: Floats, radius: float, alike: Callable[[int, Indices], Indices]
) -> list[Indices]:
    """Return the connected groups of two and more points, each sorted, by their first members.

    Args:
        points: (n, d).
        radius: no points that are farther apart are alike.
        alike: says which of some points are alike to a point.
    """
    from scipy.spatial import cKDTree

    reached = np.zeros(len(points), dtype=bool)
    left, tree, wasted = np.arange(len(points)), cKDTree(points), 0
    groups = []
    for first in range(len(points)):
        if reached[first]:
            continue
        reached[first] = True
        group, ahead = [first], [first]
        while ahead:
            position = ahead.pop()
            near = left[tree.query_ball_point(points[position], radius)]
            new = near[~reached[near]]
            wasted += len(near) - len(new)
            new = alike(position, new)
            reached[new] = True
            group += new.tolist()
            ahead += new.tolist()
            if wasted > len(left):  # as much work as planting the tree without those reached
                left = np.flatnonzero(~reached)
                tree, wasted = cKDTree(points[left]), 0
        if len(group) > 1:
            groups.append(np.sort(np.array(group, dtype=np.int64)))
    return groups


def _normalised(copies: Pixels, side: int) -> tuple[Floats, Floats]:
    """Return unit vectors without their mean (n, side * side), and the contrast of each copy."""
    step = COPY_SIDE // side
    vectors = np.empty((len(copies), side * side), dtype=np.float32)
    contrast = np.empty(len(copies), dtype=np.float32)
    for start in range(0, len(copies), _BLOCK // 20):
        part = copies[start : start + _BLOCK // 20].astype(np.float32)
        part = part.reshape(-1, side, step, side, step).mean(axis=(2, 4)).reshape(len(part), -1)
        part -= part.mean(axis=1, keepdims=True)
        contrast[start : start + len(part)] = part.std(axis=1)
        norm = np.linalg.norm(part, axis=1, keepdims=True)
        vectors[start : start + len(part)] = part / np.maximum(norm, 1e-6)
    return vectors, contrast


def _limit(vectors: Floats) -> float:
    """Choose the largest 1 - correlation of near duplicates for this set."""
    sample = np.linspace(0, len(vectors) - 1, min(_SAMPLE, len(vectors))).astype(np.int64)
    probes = sample[:: max(1, len(sample) // 500)]
    nearest = np.full(len(probes), -1.0, dtype=np.float32)
    for start in range(0, len(vectors), _BLOCK):
        correlation = vectors[probes] @ vectors[start : start + _BLOCK].T
        own = (probes >= start) & (probes < start + _BLOCK)
        correlation[np.flatnonzero(own), probes[own] - start] = -1
        nearest = np.maximum(nearest, correlation.max(axis=1))
    usual = float(np.percentile(1 - nearest, 75))
    return float(np.clip(_SHARE * usual, NEAREST, FARTHEST))


def _project(vectors: Floats) -> Floats:
    """Project onto the leading principal components of a sample."""
    sample = vectors[np.linspace(0, len(vectors) - 1, min(_SAMPLE, len(vectors))).astype(np.int64)]
    centred = sample - sample.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    leading: Floats = axes[:, -_COMPONENTS:].astype(np.float32)
    projected: Floats = vectors @ leading
    return projected


class _Groups:
    """Turns groups of image numbers into findings, by the splits and labels they touch."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.split_of = np.full(len(dataset.labels), "", dtype="<U5")
        for name, held in dataset.splits.items():
            self.split_of[held] = name

    def exact(self, numbers: Indices) -> Finding:
        """Make the finding of one group of equal images."""
        names, splits, labels = self._describe(numbers)
        listed = list_names(names)
        if len(labels) > 1:
            message = f"the same image with labels {list_names(labels)}: {listed}"
            remedy = "find out which label is right and remove the other copies"
            return Finding("label-conflict", "error", message, names, remedy)
        if len(splits) > 1:
            message = f"the same image in {' and '.join(splits)}: {listed}"
            remedy = "remove the copies in train" if "train" in splits else "keep one copy"
            return Finding("duplicate-across", "error", message, names, remedy)
        remedy = "keep one copy" if splits else "keep one copy, or train and test may share it"
        return Finding("duplicate", "warning", f"the same image: {listed}", names, remedy)

    def near(self, numbers: Indices) -> Finding:
        """Make the finding of one group of nearly equal images."""
        names, splits, labels = self._describe(numbers)
        listed = list_names(names)
        if len(labels) > 1:
            message = f"nearly the same image with labels {list_names(labels)}: {listed}"
            return Finding("near-label-conflict", "warning", message, names, "look at them")
        if len(splits) > 1:
            message = f"nearly the same image in {' and '.join(splits)}: {listed}"
            remedy = "look at them; remove those in train that show the same thing"
            return Finding("near-duplicate-across", "warning", message, names, remedy)
        message = f"nearly the same image: {listed}"
        remedy = "look at them" if splits else "look at them: train and test may share them"
        return Finding("near-duplicate", "warning", message, names, remedy)

    def _describe(self, numbers: Indices) -> tuple[tuple[str, ...], list[SplitName], list[str]]:
        names = tuple(self.dataset.images.name(number) for number in numbers.tolist())
        here = set(self.split_of[numbers].tolist())
        labels = np.unique(self.dataset.labels[numbers]).tolist()
        splits = [name for name in SPLIT_NAMES if name in here]
        return names, splits, [self.dataset.classes[label] for label in labels]


# --- every image decoded once: who cannot be, a hash of the pixels, a small grey copy -------------


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
