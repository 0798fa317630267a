"""Runs side by side: which differ on the same test images, in what they cost, in their recipe."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from reslab.data.arrays import Indices
from reslab.data.dataset import FINGERPRINT_BY_CONTENT, keys
from reslab.data.record import ImageRecord
from reslab.display import short, wording
from reslab.display.short import short_repr
from reslab.display.wording import SPLIT_WORDS
from reslab.errors import CheckpointError, UsageError
from reslab.evaluate.compare import Paired, compare, reorder_classes
from reslab.evaluate.evaluation import Evaluation
from reslab.evaluate.statistics import holm
from reslab.evaluate.summary import short_names
from reslab.report.curves import throughput
from reslab.report.differences import Difference, differences
from reslab.runs.run import Run

ALL_PAIRS_UP_TO = 5
ALPHA = 0.05


@dataclasses.dataclass(frozen=True)
class Entry:
    """One of the runs that are compared.

    Args:
        name: the shortest that tells it from the others.
        run: what its directory holds.
        evaluation: what its finished network said of the split below; None without one.
        split: "test", else "val", else "train".
    """

    name: str
    run: Run
    evaluation: Evaluation | None
    split: str

    __repr__ = short_repr

    @property
    def wall_s(self) -> float | None:
        """Time of the whole run, seconds; None where it is not recorded."""
        value = self.run.status.get("wall_s")
        return float(value) if isinstance(value, int | float) else None

    @property
    def images_per_s(self) -> float | None:
        """Median training throughput; None where it is not recorded."""
        speeds = sorted(throughput(self.run).values())
        return speeds[len(speeds) // 2] if speeds else None

    def cost(self, name: str) -> int | None:
        """Return the number of parameters ("params") or multiply-adds ("macs")."""
        value = self.run.section("cost").get(name)
        return int(value) if isinstance(value, int) else None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        measured: dict[str, Any] | None = None
        if self.evaluation is not None:
            measured = {
                "split": self.split,
                "accuracy_pct": self.evaluation.accuracy_pct,
                "ci95_pct": list(self.evaluation.ci95_pct),
                "num_images": len(self.evaluation),
            }
        return {
            "name": self.name,
            "run_dir": str(self.run.folder),
            "state": self.run.state,
            "network": self.run.section("spec").get("name"),
            "data": self.run.section("dataset").get("name"),
            "measured": measured,
            "params": self.cost("params"),
            "macs": self.cost("macs"),
            "wall_s": self.wall_s,
            "images_per_s": self.images_per_s,
        }


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two runs on the images that both were tested on.

    Args:
        first: name of one run.
        second: name of the other.
        found: the paired test; differences are second minus first.
        p_holm: its mid-p value, corrected for all pairs of the comparison.
    """

    first: str
    second: str
    found: Paired
    p_holm: float

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        about = {"first": self.first, "second": self.second}
        return {**about, **self.found.to_json(), "p_holm": self.p_holm}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Several runs, compared.

    Args:
        entries: the runs, as they were named.
        pairs: paired tests of those that can be tested.
        refused: why others cannot be, one sentence each.
        differences: what is not the same in all of them.
    """

    entries: tuple[Entry, ...]
    pairs: tuple[Pair, ...]
    refused: tuple[str, ...]
    differences: tuple[Difference, ...]

    def __repr__(self) -> str:
        names = short.named([entry.name for entry in self.entries])
        return f"{short.lines(f'Comparison of {names}')}\n{short.lines(finding(self))}"

    def _repr_html_(self) -> str:
        from reslab.report.comparison_card import comparison_card

        return comparison_card(self)

    def to_json(self) -> dict[str, Any]:
        """Return what `compare --json` prints."""
        return {
            "finding": finding(self),
            "runs": [entry.to_json() for entry in self.entries],
            "pairs": [pair.to_json() for pair in self.pairs],
            "refused": list(self.refused),
            "differences": [dataclasses.asdict(one) for one in self.differences],
        }


def compare_runs(runs: Sequence[Path | str]) -> Comparison:
    """Read runs and compare them; nothing is computed anew, and none needs to be finished.

    Args:
        runs: run directories.

    Raises:
        UsageError: fewer than two runs, or one named twice.
        DataError: a folder is no run directory.
    """
    folders = [Path(run) for run in runs]
    if len(folders) < 2:
        raise UsageError(f"a comparison needs two runs, received {len(folders)}")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UsageError("a run is named twice", remedy="name each run once")
    names = short_names([str(folder) for folder in folders])
    entries = tuple(_entry(n, Run.open(f)) for n, f in zip(names, folders, strict=True))
    pairs, refused = _paired(entries)
    return Comparison(entries, pairs, refused, tuple(differences([entry.run for entry in entries])))


def _entry(name: str, run: Run) -> Entry:
    return Entry(name, run, run.splits.get(run.final_split), run.final_split)


def _paired(entries: Sequence[Entry]) -> tuple[tuple[Pair, ...], tuple[str, ...]]:
    tested: list[tuple[str, str, Paired]] = []
    refused: dict[str, None] = {}
    for first, second in pairs_of(entries):
        reason = _refusal(first, second)
        if reason:
            refused[reason] = None
            continue
        found = compare(*_shared(first, second))
        tested.append((first.name, second.name, found))
    adjusted = holm([found.p_mid for _, _, found in tested])
    pairs = [Pair(*one, p) for one, p in zip(tested, adjusted, strict=True)]
    return tuple(pairs), tuple(refused)


def pairs_of(entries: Sequence[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Yield all pairs of a few runs, or the first with each other of many."""
    if len(entries) <= ALL_PAIRS_UP_TO:
        yield from itertools.combinations(entries, 2)
    else:
        yield from ((entries[0], other) for other in entries[1:])


def _refusal(first: Entry, second: Entry) -> str:
    """Say why two runs cannot be tested on the same images, or nothing."""
    for entry in (first, second):
        if entry.evaluation is None:
            return f"No paired test with {entry.name}: it has not been evaluated yet."
    assert first.evaluation is not None
    assert second.evaluation is not None
    if not _by_content(first, second):
        reason = _other_fingerprint(first, second)
        if reason:
            return reason
    if first.split != second.split:
        return (
            f"No paired test of {first.name} and {second.name}: one was measured on "
            f"{SPLIT_WORDS[first.split]} images, the other on {SPLIT_WORDS[second.split]} images."
        )
    if len(_matching(first, second)[0]):
        return ""
    if _by_content(first, second) and not np.isin(_keys_of(first), _keys_of(second)).any():
        return _other_images(first, second)
    return f"No paired test of {first.name} and {second.name}: no image was held out from both."


def _by_content(first: Entry, second: Entry) -> bool:
    """Tell whether both runs recorded the content of their images, of the same classes."""
    same_classes = set(first.run.classes) == set(second.run.classes)
    return same_classes and all(_record_of(entry) is not None for entry in (first, second))


def _record_of(entry: Entry) -> ImageRecord | None:
    """Return the images of a run by content; None where they are not recorded, or it is damaged."""
    try:
        record = entry.run.images
    except CheckpointError:
        return None
    samples = () if entry.evaluation is None else entry.evaluation.samples
    fits = record is not None and max(samples, default=-1) < len(record.digests)
    return record if fits else None


def _keys_of(entry: Entry) -> npt.NDArray[np.bytes_]:
    """Return what all images of a run are known by, whatever their names and numbers."""
    record = _record_of(entry)
    assert record is not None
    return keys(record.digests)


def _other_fingerprint(first: Entry, second: Entry) -> str:
    """Say why the numbers of images are not those of the same images, or nothing."""
    marks = [
        str(entry.run.section("dataset").get("fingerprint") or "") for entry in (first, second)
    ]
    if all(marks) and len({mark.startswith(FINGERPRINT_BY_CONTENT) for mark in marks}) > 1:
        return (
            f"No paired test of {first.name} and {second.name}: one of them was made by an older "
            "reslab, which did not record the content of its images, so whether they are the same "
            "is not known."
        )
    return "" if all(marks) and marks[0] == marks[1] else _other_images(first, second)


def _other_images(first: Entry, second: Entry) -> str:
    data = (entry.run.section("dataset") for entry in (first, second))
    one, two = (str(each.get("name", "data")) for each in data)
    what = f"{one} and {two}" if one != two else f"two states of {one}"
    return (
        f"No paired test of {first.name} and {second.name}: they were trained on different "
        f"images ({what})."
    )


def _shared(first: Entry, second: Entry) -> tuple[Evaluation, Evaluation]:
    """Return what both runs said of the images that were held out from both, in one order."""
    assert first.evaluation is not None
    assert second.evaluation is not None
    one, two = _matching(first, second)
    mine, theirs = _rows(first.evaluation, one), _rows(second.evaluation, two)
    theirs = dataclasses.replace(reorder_classes(theirs, mine.classes), samples=mine.samples)
    return mine, theirs


def _matching(first: Entry, second: Entry) -> tuple[Indices, Indices]:
    """Return the rows of the evaluations that are of the same images.

    Images are known by their content, class and, where equal ones occur several times, by which
    of them it is. Runs of an older reslab know them by number, of the very same data.
    """
    assert first.evaluation is not None
    assert second.evaluation is not None
    if not _by_content(first, second):
        shared = np.intersect1d(first.evaluation.samples, second.evaluation.samples)
        return _places(first.evaluation, shared), _places(second.evaluation, shared)
    theirs = {image: row for row, image in enumerate(_identities(second))}
    mine = enumerate(_identities(first))
    rows = [(row, theirs[image]) for row, image in mine if image in theirs]
    one, two = np.array(rows, np.int64).reshape(-1, 2).T
    return one, two


def _identities(entry: Entry) -> list[tuple[bytes, str, int]]:
    """Return (content, class, how many equal ones came before) of each evaluated image."""
    record, evaluation = _record_of(entry), entry.evaluation
    assert record is not None
    assert evaluation is not None
    counts: Counter[tuple[bytes, str]] = Counter()
    found = []
    # In the order of numbers, which is that of equal images in every run.
    for row in np.argsort(evaluation.samples).tolist():
        digest = record.digests[evaluation.samples[row]].tobytes()
        image = (digest, evaluation.classes[evaluation.labels[row]])
        found.append((row, (*image, counts[image])))
        counts[image] += 1
    return [image for _, image in sorted(found)]


def _places(evaluation: Evaluation, samples: Indices) -> Indices:
    """Return the rows of some of the images, in the order of their numbers."""
    order = np.argsort(evaluation.samples)
    return order[np.searchsorted(evaluation.samples, samples, sorter=order)]


def _rows(evaluation: Evaluation, rows: Indices) -> Evaluation:
    return dataclasses.replace(
        evaluation,
        logits=evaluation.logits[rows],
        labels=evaluation.labels[rows],
        samples=evaluation.samples[rows],
    )


def finding(comparison: Comparison) -> str:
    """Say in one or two sentences which run is better, as far as the images can tell."""
    measured = [e for e in comparison.entries if e.evaluation is not None]
    if not comparison.pairs or len(measured) < 2:
        return "These runs share no test: their curves and costs stand side by side."
    if len(comparison.pairs) == 1:
        return _finding_of_two(comparison.pairs[0])
    tested = {name for pair in comparison.pairs for name in (pair.first, pair.second)}
    best = max((e for e in measured if e.name in tested), key=_accuracy)
    worse: list[str] = []
    open_: list[str] = []
    for pair in comparison.pairs:
        if best.name in (pair.first, pair.second):
            other = pair.second if pair.first == best.name else pair.first
            (worse if pair.p_holm < ALPHA else open_).append(other)
    text = f"{best.name} is the most accurate with {wording.percent(_accuracy(best), 1000)}%."
    if worse:
        text += f" It is better than {wording.listed(worse)} beyond chance."
    if open_:
        text += f" From {wording.listed(open_)} it cannot be told apart on these images."
    return text


def _finding_of_two(pair: Pair) -> str:
    found = pair.found
    better, other = pair.second, pair.first
    low, high = found.ci95_pct
    if found.difference_pct < 0:
        better, other = other, better
        low, high = -high, -low
    size = abs(found.difference_pct)
    numbers = (
        f"{size:.2f} points on {found.num_images:,} images (95% interval {low:.2f} to {high:.2f}, "
        f"p = {p_value(found.p_mid)})"
    )
    if found.p_mid < ALPHA:
        return f"{better} is more accurate than {other} by {numbers}."
    return f"No difference can be told: {better} and {other} lie apart by {numbers}."


def p_value(p: float) -> str:
    """Write a p-value with the digits that matter."""
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _accuracy(entry: Entry) -> float:
    return entry.evaluation.accuracy_pct if entry.evaluation is not None else math.nan
