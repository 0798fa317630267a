"""Paths in tables: what they are read against, and what is refused rather than guessed."""

import unicodedata
from pathlib import Path

import pytest
from pictures import picture, write_pictures

from reslab.data.collect import DataOptions
from reslab.data.dataset import FileImages
from reslab.data.open import collect_dataset, open_dataset
from reslab.errors import DataError, UsageError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pictures(tmp_path, {"ds/img": 4})
    return tmp_path / "ds"


def write(folder: Path, paths: list[str], name: str = "t.csv") -> Path:
    rows = [f"{path},{'cat' if n % 2 else 'dog'}" for n, path in enumerate(paths)]
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("\n".join(["path,label", *rows]) + "\n")
    return folder / name


def paths_of(table: Path, root: Path | None = None) -> tuple[tuple[str, ...], str]:
    options = DataOptions(root=None if root is None else str(root))
    collected = collect_dataset(table, options=options)
    assert collected.dataset is not None, collected.findings
    assert isinstance(collected.dataset.images, FileImages)
    collected.dataset.images.read(0)
    return collected.dataset.images.paths, " ".join(f.message for f in collected.findings)


STEMS = ["000", "001", "002", "003"]
PLAIN = tuple(f"img/{stem}.png" for stem in STEMS)


@pytest.mark.parametrize(
    ("form", "how"),
    [
        ("img/{}.png", ""),
        ("img\\{}.png", "back slashes read as slashes"),
        ("img/{}", "with the suffix .png"),
        ("img/{}.PNG", "letter case ignored"),
        ("ds/img/{}.png", "read against the folder above the table"),
        ("ds\\img\\{}", "with the suffix .png"),
        ("{}.png", "read from img/"),
        ("{}", "read from img/, with the suffix .png"),
    ],
)
def test_paths_in_all_their_forms(folder: Path, form: str, how: str) -> None:
    paths, said = paths_of(write(folder, [form.format(stem) for stem in STEMS]))
    assert paths == PLAIN
    assert how in said


@pytest.mark.parametrize("form", ["C:\\data\\ds\\img\\{}.png", "/content/drive/ds/img/{}.png"])
def test_absolute_paths_of_another_machine_need_a_root(folder: Path, form: str) -> None:
    table = write(folder, [form.format(stem) for stem in STEMS])
    with pytest.raises(DataError, match=f"line 2: .* absolute path of .* use --root {folder}"):
        open_dataset(table)
    assert paths_of(table, folder)[0] == PLAIN
    assert paths_of(table, folder / "img")[0] == tuple(f"{stem}.png" for stem in STEMS)


def test_a_root_comes_before_the_table(folder: Path) -> None:
    write_pictures(folder.parent, {"other/img": 4}, first=50)
    table = write(folder, list(PLAIN))
    at_root = open_dataset(table, options=DataOptions(root=str(folder.parent / "other")))
    assert at_root.images.name(0) == str(folder.parent / "other" / "img" / "000.png")
    with pytest.raises(UsageError, match="--root: there is no folder"):
        open_dataset(table, options=DataOptions(root=str(folder / "nowhere")))


def test_names_of_another_unicode_form(folder: Path) -> None:
    on_disk = unicodedata.normalize("NFD", "é.png")
    picture(9).save(folder / "img" / on_disk)
    table = write(folder, [PLAIN[0], "img/" + unicodedata.normalize("NFC", on_disk)])
    assert paths_of(table)[0] == (PLAIN[0], f"img/{on_disk}")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("https://example.org/1.png", "is an address"),
        ("gs://bucket/1.png", "is an address"),
        ("img/000.jpg", r"does not exist \(there is img/000.png\)"),
        ("img/0", r"does not exist \(there is img/000.png\)"),
        ("elsewhere/000.png", "does not exist"),
        ("twice/000", "may be twice/000.jpg or twice/000.png"),
    ],
)
def test_what_is_not_there_is_not_guessed(folder: Path, path: str, message: str) -> None:
    (folder / "twice").mkdir()
    for suffix in ("png", "jpg"):
        picture(3).save(folder / "twice" / f"000.{suffix}")
    with pytest.raises(DataError, match=f"line 3: .*{message}"):
        open_dataset(write(folder, [PLAIN[1], path]))


def test_equal_names_in_two_folders_are_ambiguous_unless_the_split_says_which(
    tmp_path: Path,
) -> None:
    write_pictures(tmp_path, {"train": 4, "test": 6})
    with pytest.raises(DataError, match=r"may be test/000.png or train/000.png; .*--root DIR"):
        open_dataset(write(tmp_path, STEMS, "labels.csv"))
    train = tuple(f"train/{stem}.png" for stem in STEMS)
    assert paths_of(write(tmp_path, STEMS, "trainLabels.csv"))[0] == train
    assert paths_of(write(tmp_path, STEMS, "labels.csv"), tmp_path / "train")[0][0] == "000.png"
    with pytest.raises(DataError, match="line 5: 005 does not exist"):
        open_dataset(write(tmp_path, [*STEMS[:3], "005"], "train.csv"))
    split = ["train", "test", "train", "test"]
    rows = [f"{s},{'ab'[n // 2]},{split[n]}\n" for n, s in enumerate(STEMS)]
    (tmp_path / "t.csv").write_text("path,label,split\n" + "".join(rows))
    found = [f"{split[n]}/{stem}.png" for n, stem in enumerate(STEMS)]
    assert paths_of(tmp_path / "t.csv")[0] == tuple(found)


def test_images_beside_the_folder_of_the_tables(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"images/train": 4, "unrelated": 4})
    table = write(tmp_path / "annotations", [f"{stem}.png" for stem in STEMS], "train.csv")
    assert paths_of(table)[0] == tuple(f"../images/train/{stem}.png" for stem in STEMS)
