"""Masks, boxes and other annotations that are images themselves: never classes, never images."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from reslab.data.findings import count, list_names
from reslab.data.names import shown
from reslab.data.sources import vocabulary as words
from reslab.data.sources.reading import Report, base, bases
from reslab.data.sources.scan import Scan

# Folders that nobody calls a class: "mask" may be one, beside "no_mask".
_PLAIN = words.words_in(
    "masks annotations trimaps segmentations groundtruth ground_truth bboxes segmentation"
)
_MASK_OF = re.compile(
    r"(?P<of>.+?)[\s._-]+(mask|masks|seg|segmentation|gt|groundtruth|label|labels|trimap|"
    r"annotation|annotated)([\s_-]?\d+)?",
    re.IGNORECASE,
)


def without_mask_folders(scan: Scan, report: Report, folders: Sequence[str]) -> list[str]:
    """Leave out what repeats the class folders beside it: masks, or a copy of them all.

    Masks: the files are named as those of the others. A copy: it holds folders as those beside it.
    """
    kept = []
    for folder in folders:
        others = [other for other in folders if other != folder]
        if _repeats_folders(scan, folder, others):
            report.leave_out(folder, "holds the same folders as lie beside it")
        elif base(folder).lower() in _PLAIN and _repeats_files(scan, folder, others):
            report.leave_out(folder, "repeats the names of the others, as masks do")
        else:
            kept.append(folder)
    return kept


def _repeats_folders(scan: Scan, folder: str, others: Sequence[str]) -> bool:
    """Tell whether all folders in a folder are called like those beside it, two or more."""
    listing = scan.listing(folder)
    inner = set(bases(scan.folders_with_images(folder)))
    if len(inner) == 1 and not listing.images and inner == {base(folder)}:  # PlantVillage twice
        below = scan.folders_with_images(folder)[0]
        return _repeats_folders(scan, below, others)
    return len(inner) > 1 and not listing.images and inner <= set(bases(others))


def _repeats_files(scan: Scan, folder: str, others: Sequence[str]) -> bool:
    """Tell whether half of the images in a folder are named like others beside it."""
    stems = {_bare(path) for path in scan.listing(folder).images}
    beside = {
        _bare(path) for other in others for found in scan.walk(other) for path in found.images
    }
    return bool(stems) and 2 * len(stems & beside) >= len(stems)


def _bare(path: str) -> str:
    stem = os.path.splitext(base(path))[0]
    match = _MASK_OF.fullmatch(stem)
    return match["of"] if match else stem


def class_files(scan: Scan, report: Report, folder: str) -> tuple[list[str], list[str]]:
    """Return the image files and the other files below a class folder, without masks."""
    images: list[str] = []
    others: list[str] = []
    stack = [folder]
    while stack:
        here = stack.pop()
        listing = scan.listing(here)
        images += without_mask_files(report, listing.images)
        others += listing.others
        inner = listing.folders
        if any(words.is_image_word(base(name)) for name in inner):
            for name in inner:
                if words.is_mask_word(base(name)) and scan.holds_images(name):
                    report.leave_out(name, "lies beside the images and holds their masks")
            inner = [name for name in inner if name not in report.left_out]
        stack += reversed(inner)
    return images, others


def without_mask_files(report: Report, paths: Sequence[str]) -> list[str]:
    """Leave out ``x_mask.png`` beside ``x.png``, and say so."""
    stems = {os.path.splitext(base(path))[0] for path in paths}
    found = []
    for path in paths:
        match = _MASK_OF.fullmatch(os.path.splitext(base(path))[0])
        if match is not None and match["of"] in stems:
            found.append(path)
    if not found:
        return list(paths)
    report.add(
        "masks",
        f"{count(len(found), 'mask')} beside the images of {shown(os.path.dirname(found[0]))}: "
        f"{list_names(bases(found))}",
        found,
        "they are not used; move them away if that is right, rename them if it is not",
        severity="warning",
    )
    left = set(found)
    return [path for path in paths if path not in left]
