"""What systems leave in folders is nowhere data: training, archives, predictions."""

import shutil
from pathlib import Path

import pytest
from trees import grow

from reslab.data.dataset import FileImages
from reslab.data.open import collect_dataset, open_dataset
from reslab.data.sources.tree import is_litter
from reslab.predict.paths import find_images

FOLDERS = (
    "@eaDir", "#recycle", "#snapshot", "$RECYCLE.BIN", "System Volume Information", "lost+found",
    ".Trashes", ".Spotlight-V100", "__MACOSX", ".ipynb_checkpoints", "__pycache__", ".git",
    ".thumbnails", "@Recently-Snapshot", "@Recycle", "@tmp", "~snapshot", ".Trash-1000", "LOST.DIR",
    "FOUND.000", "@__thumb", ".AppleDouble", "RECYCLER", ".fseventsd",
)  # fmt: skip
FILES = (
    "Thumbs.db", "ehthumbs.db", "desktop.ini", "Desktop.ini", "._1.jpg", ".DS_Store", "Picasa.ini",
    ".picasa.ini", "ZbThumbnail.info", "Icon\r", "~$notes.docx", "1.jpg:Zone.Identifier",
    "1.jpg@SynoEAStream", "thumbs.db:encryptable",
)  # fmt: skip


@pytest.mark.parametrize("name", [*FOLDERS, *FILES])
def test_litter(name: str) -> None:
    assert is_litter(name)


@pytest.mark.parametrize(
    "name",
    ["cat", "thumbs", "recycle", "Recycled", "snapshot", "tmp", "@home", "#1", "desktop", "icon",
     "lost", "found", "$1", "~cat", "picasa", "Icon", "cat.jpg", "temporary", "_cat", "trash"],
)  # fmt: skip
def test_classes_that_are_no_litter(name: str) -> None:
    assert not is_litter(name)


def littered(root: Path) -> Path:
    """Return class folders with litter at every level, much of it with images inside."""
    grow(root, "{cat,dog}/{1-3}.jpg")
    for place in (root, root / "cat", root / "dog"):
        for name in FOLDERS:
            grow(place / name, "cat/1.jpg\n2.png")
        for name in FILES:
            (place / name).write_text("x")
    return root


@pytest.mark.parametrize("splits", ["", "train"])
def test_litter_makes_no_class_no_split_and_no_finding(tmp_path: Path, splits: str) -> None:
    root = littered(tmp_path / splits)
    if splits:
        for name in FOLDERS:
            grow(tmp_path / name, "train/{cat,dog}/1.jpg\n{cat,dog}/1.jpg")
    collected = collect_dataset(tmp_path)
    assert collected.findings == ()
    assert collected.dataset is not None
    assert collected.dataset.classes == ("cat", "dog")
    assert len(collected.dataset.labels) == 6
    assert root.is_dir()


def test_litter_in_an_archive_stays_packed(tmp_path: Path) -> None:
    root = littered(tmp_path / "data")
    packed = shutil.make_archive(str(tmp_path / "data"), "zip", tmp_path, "data")
    dataset = open_dataset(packed, cache=tmp_path / "cache")
    assert isinstance(dataset.images, FileImages)
    assert sorted(dataset.images.paths) == [
        f"{c}/{n}.jpg" for c in ("cat", "dog") for n in (1, 2, 3)
    ]
    unpacked = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert len(unpacked) == 6
    assert root.is_dir()


def test_predictions_leave_litter_out(tmp_path: Path) -> None:
    root = littered(tmp_path)
    found = [Path(path).relative_to(root).as_posix() for path in find_images([str(root)])]
    assert found == [f"{c}/{n}.jpg" for c in ("cat", "dog") for n in (1, 2, 3)]
