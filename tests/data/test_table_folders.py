"""Tables inside image folders, laid out as people bring them."""

import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from pictures import picture

from reslab.data.collect import Collected, DataOptions
from reslab.data.dataset import FileImages
from reslab.data.open import collect_dataset, open_dataset
from reslab.errors import DataError, UsageError

ANIMALS = ("dog", "cat")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


class Pictures:
    """Writes pictures, no two alike."""

    count = 0

    def write(self, root: Path, paths: Iterable[str]) -> list[str]:
        written = list(paths)
        for path in written:
            self.count += 1
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            picture(self.count, (8, 8)).save(root / path)
        return written


@pytest.fixture
def pictures() -> Pictures:
    return Pictures()


def write_table(file: Path, header: str, rows: Sequence[str]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join([header, *rows]) + "\n")
    return file


def labels_of(collected: Collected) -> dict[str, str]:
    """Return path -> class of what was read, which has no error."""
    assert [f for f in collected.findings if f.severity == "error"] == []
    dataset = collected.dataset
    assert dataset is not None
    assert isinstance(dataset.images, FileImages)
    return {
        path: dataset.classes[label]
        for path, label in zip(dataset.images.paths, dataset.labels.tolist(), strict=True)
    }


def splits_of(collected: Collected) -> dict[str, int]:
    assert collected.dataset is not None
    return {str(name): len(numbers) for name, numbers in collected.dataset.splits.items()}


def said(collected: Collected) -> str:
    return "\n".join(f"{f.severity}: {f.message}" for f in collected.findings)


def animals(paths: Iterable[str]) -> dict[str, str]:
    return {path: ANIMALS[n % 2] for n, path in enumerate(paths)}


def test_roboflow_multiclass(root: Path, pictures: Pictures) -> None:
    expected = {}
    for split, number in (("train", 12), ("valid", 4), ("test", 2)):
        names = [f"{n}_jpg.rf.{split}.jpg" for n in range(number)]
        expected |= animals(pictures.write(root, [f"{split}/{name}" for name in names]))
        rows = [f"{name}, {n % 2}, {1 - n % 2}" for n, name in enumerate(names)]
        write_table(root / split / "_classes.csv", "filename, cat, dog", rows)
    collected = collect_dataset(root)
    assert labels_of(collected) == expected
    assert splits_of(collected) == {"train": 12, "val": 4, "test": 2}


def test_labels_beside_folders_that_are_no_classes(root: Path, pictures: Pictures) -> None:
    paths = pictures.write(root, [f"camera{k}/{n}.png" for k in (1, 2) for n in range(6)])
    expected = animals(paths)
    write_table(root / "labels.csv", "path,label", [f"{p},{a}" for p, a in expected.items()])
    collected = collect_dataset(root)
    assert labels_of(collected) == expected
    assert "labels come from labels.csv, not from the folders (camera1, camera2)" in said(collected)


@pytest.mark.parametrize(
    ("table", "header", "folder", "suffix"),
    [
        ("labels.csv", "id,breed", "train", ".jpg"),
        ("train.csv", "image_id,label", "train_images", ""),
        ("train.csv", "Id,Category", "train", ""),
        ("trainLabels.csv", "id,label", "train", ".jpg"),
        ("train.csv", "id_code,diagnosis", "train/train", ".jpg"),
    ],
)
def test_a_competition(
    root: Path, pictures: Pictures, table: str, header: str, folder: str, suffix: str
) -> None:
    paths = pictures.write(root, [f"{folder}/a{n}.jpg" for n in range(8)])
    expected = animals(paths)
    other = folder.replace("train", "test")
    pictures.write(root, [f"{other}/b{n}.jpg" for n in range(20)])
    ids = [Path(path).name.removesuffix(suffix) for path in paths]
    rows = [f"{name},{expected[path]}" for name, path in zip(ids, paths, strict=True)]
    write_table(root / table, header, rows)
    write_table(root / "test.csv", header.split(",")[0], [f"b{n}" for n in range(20)])
    answers = [f"b{n},cat" for n in range(20)]
    write_table(root / "sample_submission.csv", header, answers)
    collected = collect_dataset(root)
    assert labels_of(collected) == expected
    assert splits_of(collected) == {}
    assert "test.csv lists test images without labels; the table is not used" in said(collected)
    assert "sample_submission.csv is a form for answers" in said(collected)
    assert "20 images are in no line with a label and are not used" in said(collected)


def test_skin_lesions(root: Path, pictures: Pictures) -> None:
    paths = [f"HAM10000_images_part_{1 + n // 6}/ISIC_{n:07}.jpg" for n in range(12)]
    pictures.write(root, paths)
    rows = [
        f"HAM_{n // 2},{Path(path).stem},{('nv', 'mel')[n // 2 % 2]},histo,{30 + n}.0"
        for n, path in enumerate(paths)
    ]
    write_table(root / "HAM10000_metadata.csv", "lesion_id,image_id,dx,dx_type,age", rows)
    write_table(root / "hmnist_28_28_L.csv", "pixel0000,pixel0001,label", ["1,2,3", "4,5,6"])
    collected = collect_dataset(root)
    assert labels_of(collected) == {p: ("nv", "mel")[n // 2 % 2] for n, p in enumerate(paths)}
    assert collected.dataset is not None
    assert collected.dataset.groups == tuple(f"HAM_{n // 2}" for n in range(12))
    assert "columns not used: dx_type, age" in said(collected)
    assert "hmnist_28_28_L.csv, line 1: there is no column of paths" in said(collected)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_metadata_of_an_image_folder(root: Path, pictures: Pictures, form: str) -> None:
    expected = {}
    for split in ("train", "test"):
        names = [f"{n:04}.png" for n in range(6)]
        expected |= animals(pictures.write(root, [f"{split}/{name}" for name in names]))
        pairs = [(name, ANIMALS[n % 2]) for n, name in enumerate(names)]
        file = root / split / f"metadata.{form}"
        if form == "csv":
            write_table(file, "file_name,label", [f"{name},{label}" for name, label in pairs])
        else:
            lines = [json.dumps({"file_name": name, "label": label}) for name, label in pairs]
            file.write_text("\n".join(lines))
    collected = collect_dataset(root)
    assert labels_of(collected) == expected
    assert splits_of(collected) == {"train": 6, "test": 6}


def coco(names: Sequence[str], categories: Sequence[Sequence[int]]) -> str:
    value = {
        "images": [{"id": n, "file_name": name} for n, name in enumerate(names)],
        "categories": [{"id": 0, "name": "dog"}, {"id": 1, "name": "cat"}],
        "annotations": [
            {"id": 10 * n + k, "image_id": n, "category_id": one, "bbox": [0, 0, 1, 1]}
            for n, those in enumerate(categories)
            for k, one in enumerate(those)
        ],
    }
    return json.dumps(value)


def test_coco_with_one_category_an_image(root: Path, pictures: Pictures) -> None:
    expected = {}
    for split in ("train", "valid"):
        names = [f"{n}.jpg" for n in range(6)]
        expected |= animals(pictures.write(root, [f"{split}/{name}" for name in names]))
        text = coco(names, [[n % 2, n % 2] for n in range(6)])
        (root / split / "_annotations.coco.json").write_text(text)
    collected = collect_dataset(root)
    assert labels_of(collected) == expected
    assert splits_of(collected) == {"train": 6, "val": 6}


def test_detection_data_are_refused(root: Path, pictures: Pictures) -> None:
    names = [f"{n}.jpg" for n in range(4)]
    for split in ("train", "valid"):
        pictures.write(root, [f"{split}/{name}" for name in names])
        (root / split / "_annotations.coco.json").write_text(coco(names, [[0, 1]] * 4))
    with pytest.raises(DataError, match=r"detection data \(4 images of 4 with objects of several"):
        open_dataset(root)
    rows = [f"{name},cat,1,2\n{name},dog,3,4" for name in names]
    for split in ("train", "valid"):
        (root / split / "_annotations.coco.json").unlink()
        write_table(root / split / "_annotations.csv", "filename,class,xmin,ymin", rows)
    with pytest.raises(DataError, match=r"detection data \(boxes in xmin, ymin; .*line 2 and line"):
        open_dataset(root)


def class_folders(root: Path, pictures: Pictures) -> list[str]:
    return pictures.write(root, [f"{animal}/{n}.png" for animal in ANIMALS for n in range(6)])


def test_a_table_that_repeats_the_folders_changes_nothing(root: Path, pictures: Pictures) -> None:
    paths = class_folders(root, pictures)
    alone = open_dataset(root).fingerprint()
    for rows in (
        [f"{path},{Path(path).parent.name}" for path in paths],
        [f"{path},{ANIMALS.index(Path(path).parent.name)}" for path in paths],
        [f"{path},{Path(path).parent.name}" for path in paths[2:]],
    ):
        write_table(root / "labels.csv", "path,label", rows)
        collected = collect_dataset(root)
        assert collected.dataset is not None
        assert collected.dataset.fingerprint() == alone
        assert "labels.csv says what the folders say" in said(collected)


def test_a_table_adds_splits_and_groups_to_the_folders(root: Path, pictures: Pictures) -> None:
    paths = class_folders(root, pictures)
    rows = [f"{path},{ANIMALS.index(Path(path).parent.name)},{path[4:5]}" for path in paths]
    write_table(root / "t.csv", "path,label,patient", rows)
    collected = collect_dataset(root)
    assert labels_of(collected) == {path: Path(path).parent.name for path in paths}
    assert collected.dataset is not None
    assert collected.dataset.groups is not None
    rows = [f"{p},{Path(p).parent.name},{n % 3 == 0}" for n, p in enumerate(paths)]
    write_table(root / "t.csv", "path,label,is_valid", rows)
    assert splits_of(collect_dataset(root)) == {"train": 8, "val": 4}


@pytest.mark.parametrize(
    ("label", "number", "message"),
    [
        (lambda n: "dog" if n == 7 else ANIMALS[n // 6], 12, "line 9: cat/1.png is 'dog', but its"),
        (lambda n: ("sharp", "blurred")[n % 2], 3, "labels 3 of 12 images, and the folders are"),
    ],
)
def test_a_table_that_contradicts_the_folders(
    root: Path, pictures: Pictures, label, number: int, message: str
) -> None:
    paths = class_folders(root, pictures)[:number]
    write_table(root / "t.csv", "path,label", [f"{p},{label(n)}" for n, p in enumerate(paths)])
    with pytest.raises(DataError, match=message):
        open_dataset(root)
    only = open_dataset(root / "t.csv")
    assert len(only.labels) == number


def test_other_tables_are_named(root: Path, pictures: Pictures) -> None:
    class_folders(root, pictures)
    alone = open_dataset(root).fingerprint()
    write_table(root / "results.csv", "epoch,loss", ["1,2"])
    write_table(root / "sizes.csv", "path,width", ["cat/0.png,8", "dog/0.png,8.5"])
    (root / "old.csv").write_bytes(b"a,b\ncaf\xe9,2\n")
    write_table(root / "gone.csv", "path,label", ["x.png,cat", "y.png,dog"])
    (root / "labels.xlsx").write_bytes(b"PK\x03\x04 ...")
    (root / "package.json").write_text('{"cat": 0, "dog": 1}')
    collected = collect_dataset(root)
    assert collected.dataset is not None
    assert collected.dataset.fingerprint() == alone
    warnings = [f.message for f in collected.findings if f.severity == "warning"]
    for name in ("results.csv", "sizes.csv", "old.csv", "gone.csv", "labels.xlsx"):
        assert sum(name in warning for warning in warnings) == 1, warnings
    assert "package.json" not in said(collected)


def test_a_table_that_does_not_say_its_label_stops(root: Path, pictures: Pictures) -> None:
    paths = pictures.write(root, [f"camera{k}/{n}.png" for k in (1, 2) for n in range(6)])
    rows = [f"{path},{n % 2},{n % 3}" for n, path in enumerate(paths)]
    write_table(root / "t.csv", "path,species,breed", rows)
    with pytest.raises(DataError, match=r"may both be the label, .*--columns label=breed"):
        open_dataset(root)
    chosen = open_dataset(root, options=DataOptions(columns={"label": "breed"}))
    assert chosen.classes == ("0", "1", "2")


def test_a_table_a_split(root: Path, pictures: Pictures) -> None:
    for split, number in (("train", 8), ("val", 4)):
        names = [f"{split}{n}.jpg" for n in range(number)]
        pictures.write(root, [f"images/{name}" for name in names])
        rows = [f"{name},{ANIMALS[n % 2]}" for n, name in enumerate(names)]
        write_table(root / f"{split}.csv", "filename,label", rows)
    assert splits_of(collect_dataset(root)) == {"train": 8, "val": 4}
    write_table(root / "val.csv", "filename,label", ["val0.jpg,dog", "train0.jpg,dog"])
    with pytest.raises(DataError, match=r"images/train0.jpg is listed already in .*train.csv"):
        open_dataset(root)
    (root / "val.csv").rename(root / "more.csv")
    with pytest.raises(DataError, match=r"more.csv, train.csv all give labels"):
        open_dataset(root)


def test_tables_of_splits_beside_class_folders(root: Path, pictures: Pictures) -> None:
    paths = class_folders(root, pictures)
    for split, those in (("train", paths[::2]), ("test", paths[1::2])):
        rows = [f"{path},{ANIMALS.index(Path(path).parent.name)}" for path in those]
        write_table(root / f"{split}.csv", "path,label", rows)
    collected = collect_dataset(root)
    assert labels_of(collected) == {path: Path(path).parent.name for path in paths}
    assert splits_of(collected) == {"train": 6, "test": 6}
    (root / "train.csv").unlink()
    assert splits_of(alone := collect_dataset(root)) == {}
    assert "test.csv may list the test split, but no table lists train" in said(alone)


def test_traffic_signs(root: Path, pictures: Pictures) -> None:
    train = pictures.write(root, [f"Train/{n % 2}/{n}.png" for n in range(8)])
    test = pictures.write(root, [f"Test/{n:05}.png" for n in range(6)])
    meta = pictures.write(root, ["Meta/0.png", "Meta/1.png"])
    for name, paths in (("Train", train), ("Test", test), ("Meta", meta)):
        rows = [f"8,8,5,{n % 2},{path}" for n, path in enumerate(paths)]
        write_table(root / f"{name}.csv", "Width,Height,Roi.X1,ClassId,Path", rows)
    collected = collect_dataset(root)
    assert labels_of(collected) == {
        p: str(n % 2) for those in (train, test) for n, p in enumerate(those)
    }
    assert splits_of(collected) == {"train": 8, "test": 6}
    assert "Meta.csv is not used beside the tables of splits" in said(collected)


def test_paths_in_split_folders_are_splits(root: Path, pictures: Pictures) -> None:
    paths = pictures.write(root, [f"{s}/{n}.png" for s in ("train", "test") for n in range(6)])
    expected = animals(paths)
    table = write_table(root / "all.csv", "path,label", [f"{p},{a}" for p, a in expected.items()])
    for data in (root, table):
        assert labels_of(collect_dataset(data)) == expected
        assert splits_of(collect_dataset(data)) == {"train": 6, "test": 6}
    whole = collect_dataset(table, options=DataOptions(columns={"split": "none"}))
    assert splits_of(whole) == {}


def test_columns_without_a_table_are_refused(root: Path, pictures: Pictures) -> None:
    class_folders(root, pictures)
    for options in (DataOptions(columns={"label": "breed"}), DataOptions(root=str(root))):
        with pytest.raises(UsageError, match="--columns and --root are for tables"):
            open_dataset(root, options=options)


def test_tables_in_an_archive(root: Path, pictures: Pictures, tmp_path: Path) -> None:
    paths = pictures.write(root, [f"train/{n}.png" for n in range(6)])
    lines = [json.dumps({"file_name": p, "label": ANIMALS[n % 2]}) for n, p in enumerate(paths)]
    (root / "metadata.jsonl").write_text("\n".join(lines))
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as packed:
        for path in sorted(root.rglob("*")):
            packed.write(path, path.relative_to(tmp_path))
    assert labels_of(collect_dataset(tmp_path / "data.zip", cache=tmp_path / "cache")) == animals(
        paths
    )
