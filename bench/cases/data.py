"""The images of the cases that train or load: a folder of the user's, or drawn shapes."""

from __future__ import annotations

from pathlib import Path

from bench.case import Options, Skipped

DRAWN, DRAWN_QUICK = 10_000, 400


def image_folder(options: Options, size: int = 32) -> tuple[str, str]:
    """Return a folder with train/<class>/*.jpg, and what to call it in results.

    Raises:
        Skipped: the folder asked for has no train.
    """
    if options.data is not None:
        folder = unpacked(options.data)
        if not (folder / "train").is_dir():
            raise Skipped(f"{options.data} has no folder train/ of class folders")
        return str(folder), folder.name
    from reslab.data.shapes import ShapeSettings, write_folder

    num = DRAWN_QUICK if options.quick else DRAWN
    folder = options.scratch / f"shapes-{num}-{size}"
    if not folder.exists():
        write_folder(folder, ShapeSettings(num=num, size=size), layout="split")
    return str(folder), f"{num:,} drawn shapes"


def unpacked(data: Path) -> Path:
    """Return a folder as it is, and an archive unpacked into the user's cache."""
    if data.is_dir():
        return data.resolve()
    from reslab.data.sources.archive import unpack
    from reslab.data.sources.named import cache_folder

    return unpack(data, cache_folder(None))
