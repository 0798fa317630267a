"""Folders that only wrap the rest: walked through where that is certain, and said."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence

from reslab.data.findings import list_names
from reslab.data.names import shown
from reslab.data.sources import vocabulary as words
from reslab.data.sources.filenames import labels_in_names
from reslab.data.sources.reading import Report, base, bases, expression
from reslab.data.sources.scan import Scan


def step_in(scan: Scan, report: Report, folder: str, *, must_split: bool) -> str:
    """Walk through folders that only wrap the rest, and say so.

    Args:
        scan: where.
        report: what is said.
        folder: where to begin.
        must_split: one class is not enough here, so that a single folder cannot be one.

    Returns:
        The folder in which the split, class or image files lie.
    """
    chain = [folder]
    while not scan.listing(chain[-1]).images:
        inner = _only_one(scan, chain[-1])
        if inner is None or (len(chain) > 1 and _names_split(base(inner))):
            break
        if len(chain) == 1 and words.split_word(base(inner)) and not words.split_word(base(folder)):
            break
        chain.append(inner)
    last = chain[-1]
    if len(chain) == 1 or not _is_inside(scan, chain, must_split=must_split):
        if len(chain) > 1 and must_split and len(scan.folders_with_images(last)) > 1:
            _ask_for_deeper(scan, report, folder, last)
        return folder
    levels = "one level" if len(chain) == 2 else f"{len(chain) - 1} levels"
    text = f"read {levels} deeper: {shown(scan.relative(last))}"
    report.add("layout", text, severity="note")
    for wrapper in chain[:-1]:
        for other in scan.listing(wrapper).folders:
            if other not in chain and scan.holds_images(other):
                report.leave_out(other, "lies beside the images and holds masks or other things")
    return last


def _names_split(name: str) -> bool:
    return words.split_and_rest(name) is not None


def _only_one(scan: Scan, folder: str) -> str | None:
    """Return the only sub-folder with images, but for masks and the like beside images."""
    holding = scan.folders_with_images(folder)
    if len(holding) > 1 and any(words.is_image_word(base(inner)) for inner in holding):
        holding = [inner for inner in holding if not words.is_side_word(base(inner))]
    return holding[0] if len(holding) == 1 else None


def _is_inside(scan: Scan, chain: Sequence[str], *, must_split: bool) -> bool:
    """Tell whether the last folder of a chain is certainly where everything lies."""
    last = chain[-1]
    links = [_wraps(above, below) for above, below in itertools.pairwise(chain)]
    if scan.listing(last).images:  # a class, or images with their labels in their names
        return all(links) or (must_split and bool(labels_in_names(scan.listing(last).images)))
    if "train" in {words.split_word(name) for name in bases(scan.folders_with_images(last))}:
        return True
    return links[-1] if must_split else all(links)


def _wraps(above: str, below: str) -> bool:
    """Tell whether the name of an only sub-folder says nothing about what is in it."""
    name, outer = base(below), base(os.path.realpath(above))
    if words.tokens_of(name) == words.tokens_of(outer) != [] or words.is_wrapper(name):
        return True
    split, outer_split = words.split_and_rest(name), words.split_and_rest(outer)
    return split is not None and (outer_split is None or split[0] == outer_split[0])


def _ask_for_deeper(scan: Scan, report: Report, folder: str, last: str) -> None:
    inner = bases(scan.folders_with_images(last))
    report.add(
        "wrapper",
        f"{shown(folder)} holds only one folder with images, {shown(scan.relative(last))}, which "
        f"holds {len(inner)} ({list_names(inner)})",
        [last],
        f"if those are the classes or splits, go one level deeper: give {shown(last)}; or "
        f"{expression(scan, last, skip=0)}",
    )
