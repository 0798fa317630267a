"""Images in no class folders: what is said about them."""

from __future__ import annotations

import os

from reslab.data.dataset import SplitName
from reslab.data.findings import count, list_names
from reslab.data.names import shown
from reslab.data.sources import vocabulary as words
from reslab.data.sources.reading import Report, base, bases, expression
from reslab.data.sources.scan import Scan


def ask_for_labels(
    scan: Scan, report: Report, folder: str, top: str, split: SplitName | None
) -> None:
    """Say that images have no labels, and what the folders are that look like classes.

    Args:
        scan: where.
        report: gets the error.
        folder: where the images lie.
        top: the folder of the split folders.
        split: which split the images are of; None where there are no splits.
    """
    number = count(len(scan.listing(folder).images), "image")
    folders: list[str] = []
    if split is None:
        what = f"{shown(folder)} holds {number} and no class folders"
    else:
        folders = [f for f in scan.listing(top).folders if words.split_and_rest(base(f))]
        folders = [f for f in folders if not words.is_side_word(base(f))]
        are = "are splits, not classes" if len(folders) > 1 else "is a split, not a class"
        what = (
            f"{' and '.join(map(shown, bases(folders)))} {are}: {shown(folder)} holds {number} "
            "and no class folders"
        )
    boxes = _box_files(scan, folder)
    remedy = (
        "lay it out as <class>/<image>, list the labels in a CSV (path,label), or say how a "
        "name holds its label: --label-from-name REGEX"
    )
    if boxes:
        what += f" ({boxes}: boxes for detection, which is no labelling of whole images)"
    elif split is not None and len(folders) > 1:
        remedy += f"; if they are classes: {expression(scan, top, skip=0)}"
    report.add("labels-unknown", f"{what}, and their names hold no label", [folder], remedy)


def _box_files(scan: Scan, folder: str) -> str:
    """Name the files that hold boxes, beside images or in a folder beside them."""
    above = os.path.dirname(folder)
    places = [folder, *(scan.listing(above).folders if folder != scan.root else [])]
    stems = {os.path.splitext(name)[0] for name in bases(scan.listing(folder).images)}
    for place in places:
        texts = [
            path for path in scan.listing(place).others if path.lower().endswith((".txt", ".xml"))
        ]
        boxes = [path for path in texts if os.path.splitext(base(path))[0] in stems]
        if boxes:
            return f"beside them lie {list_names(bases(boxes), 2)}"
    return ""
