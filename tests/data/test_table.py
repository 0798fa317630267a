"""CSV files: columns, line numbers, and what they refuse."""

from pathlib import Path

import pytest
from pictures import write_pictures

from reslab.data.dataset import FileImages
from reslab.data.open import collect_dataset, open_dataset
from reslab.errors import DataError


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_pictures(tmp_path, {"img": 6})
    return tmp_path


def write(folder: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    data = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(data)
    return folder / name


GOOD = "path,label\nimg/000.png,cat\nimg/001.png,dog\n"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.encode("utf-8-sig"),
        GOOD.replace("\n", "\r\n"),
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        "Label, PATH ,more\ncat,img/000.png,x\n\n dog , img/001.png ,y\n",
        'path,label\n"img/000.png","cat"\n"img/001.png","dog"\n',
    ],
)
def test_forms_of_a_table(images: Path, text: str | bytes) -> None:
    dataset = open_dataset(write(images, text))
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 1]
    assert dataset.images.read(1).shape == (24, 24, 3)
    assert dataset.splits == {}


def test_splits_and_groups(images: Path) -> None:
    table = write(
        images,
        "path,label,split,group\nimg/000.png,b,train,g1\nimg/001.png,a,Training,g1\n"
        "img/002.png,a,valid,g2\nimg/003.png,b,TEST,\n",
    )
    dataset = open_dataset(table)
    assert dataset.classes == ("a", "b")
    assert {k: v.tolist() for k, v in dataset.splits.items()} == {
        "train": [0, 1], "val": [2], "test": [3]
    }  # fmt: skip
    assert dataset.groups is not None
    assert dataset.groups[:3] == ("g1", "g1", "g2")
    assert dataset.groups[3] not in ("g1", "g2")


def test_paths_may_lie_anywhere(images: Path, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    text = f"path,label\n../img/000.png,a\n{images}/img/001.png,b\n"
    dataset = open_dataset(write(tmp_path / "tables", text))
    assert [dataset.images.read(i).ndim for i in range(2)] == [3, 3]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("path,label\nimg/000.png,a\nimg/nope.png,b\n", 3, "img/nope.png does not exist"),
        ("path,label\nimg/000.png,a\nimg,b\n", 3, "img is a folder"),
        (GOOD + "img/000.png,dog\n", 4, "img/000.png is listed already in line 2"),
        (GOOD + "img/002.png,\n", 4, "the label is empty"),
        (GOOD + ",cat\n", 4, "the path is empty"),
        (GOOD + "img/002.png\n", 4, "1 fields, at least 2 expected"),
        ("path,label,split\nimg/000.png,a,train\nimg/001.png,b,tset\n", 3, "unknown split 'tset'"),
        ("path,label,split\nimg/000.png,a,train\nimg/001.png,b,\n", 3, "no split"),
        ("path,label\n" + '"new\nline.png",a\n', 3, r"new\\nline.png does not exist"),
        (GOOD + '"img/002.png,cat\n', 4, "is no CSV"),
        ("path,label\n\n", 2, "no images are listed"),
        ("path,label\nimg/00\0.png,a\n", 2, "img/00"),
        (f"{GOOD}{'x' * 300}.png,cat\n", 4, "cannot be read .File name too long"),
        (f"{GOOD}img/000.png/x.png,cat\n", 4, "does not exist"),
        (f"{GOOD}./img/000.png,dog\n", 4, "img/000.png is listed already in line 2"),
        (f"{GOOD}img/../img//001.png,cat\n", 4, "img/001.png is listed already in line 3"),
        (f"{GOOD}link/001.png,cat\n", 4, "link/001.png is listed already in line 3"),
    ],
)
def test_faults_have_line_numbers(images: Path, text: str, line: int, message: str) -> None:
    (images / "link").symlink_to("img")
    with pytest.raises(DataError, match=f"line {line}: .*{message}|line {line}: {message}"):
        open_dataset(write(images, text))


def test_one_file_by_its_absolute_and_its_relative_path_is_a_repeat(images: Path) -> None:
    table = write(images, f"{GOOD}{images}/img/000.png,cat\n")
    with pytest.raises(DataError, match=r"line 4: .*img/000\.png is listed already in line 2"):
        open_dataset(table)


def test_paths_are_kept_in_one_spelling(images: Path) -> None:
    plain = open_dataset(write(images, GOOD))
    odd = GOOD.replace("img/000", "./img/../img/000")
    spelled = open_dataset(write(images, odd, "odd.csv"))
    assert isinstance(spelled.images, FileImages)
    assert spelled.images.paths == ("img/000.png", "img/001.png")
    assert spelled.fingerprint() == plain.fingerprint()


def test_near_misses_of_split_names_are_proposed(images: Path) -> None:
    table = write(images, "path,label,split\nimg/000.png,a,tain\nimg/001.png,b,train\n")
    with pytest.raises(DataError, match="did you mean 'train'"):
        open_dataset(table)


def test_unknown_class_in_validation_has_its_line(images: Path) -> None:
    table = write(
        images,
        "path,label,split\nimg/000.png,a,train\nimg/001.png,b,train\nimg/002.png,zebra,val\n",
    )
    with pytest.raises(DataError, match=r"class 'zebra' of val \(line 4\)"):
        open_dataset(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("where,label\nx,y\n", "line 1: there is no column of paths .found: where, label"),
        ("path\nx\n", "line 1: there is no column of labels .found: path"),
        ("", "is empty"),
        ("path,label,label\n", "line 1: column 'label' occurs twice"),
        (b"path,label\nimg/000.png,caf\xe9\n", "line 2: not UTF-8"),
    ],
)
def test_tables_that_are_none(images: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(write(images, text))


def test_check_gets_every_fault_at_once(images: Path) -> None:
    table = write(images, GOOD + "img/x.png,a\nimg/y.png,a\nimg/002.png,cat\n")
    collected = collect_dataset(table)
    assert [f.kind for f in collected.findings] == ["table-line", "table-line"]
    assert [f.paths for f in collected.findings] == [(f"{table}:line 4",), (f"{table}:line 5",)]
    assert collected.dataset is not None
    assert len(collected.dataset.images) == 3


def test_a_folder_of_images_with_one_csv_is_read_by_it(tmp_path: Path) -> None:
    write_pictures(tmp_path, {".": 3})
    write(tmp_path, "path,label\n000.png,a\n001.png,b\n002.png,b\n")
    assert open_dataset(tmp_path).labels.tolist() == [0, 1, 1]
    (tmp_path / "._labels.csv").write_bytes(b"Mac OS X resource fork")
    (tmp_path / "__MACOSX").mkdir()
    assert open_dataset(tmp_path).labels.tolist() == [0, 1, 1]
