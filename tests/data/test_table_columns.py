"""Columns of tables: which is taken for what, what is refused, and that none is left out unsaid."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pictures import write_pictures

from reslab.data.collect import Collected, DataOptions
from reslab.data.open import collect_dataset, open_dataset
from reslab.errors import DataError

Row = Callable[[int], object]
NUM = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tables")
    write_pictures(place, {"img": NUM})
    return place


def animal(number: int) -> str:
    return "cat" if number % 2 else "dog"


def picture_path(number: int) -> str:
    return f"img/{number:03d}.png"


def write(folder: Path, columns: Mapping[str, Row], name: str = "t.csv") -> Path:
    lines = [",".join(columns)]
    lines += [",".join(str(of(n)) for of in columns.values()) for n in range(NUM)]
    (folder / name).write_text("\n".join(lines) + "\n")
    return folder / name


def read(folder: Path, more: Mapping[str, Row], **columns: str) -> Collected:
    table = write(folder, {"path": picture_path, "label": animal, **more})
    return collect_dataset(table, options=DataOptions(columns=columns))


def splits_of(collected: Collected) -> dict[str, list[int]]:
    assert collected.dataset is not None
    return {str(name): numbers.tolist() for name, numbers in collected.dataset.splits.items()}


def said(collected: Collected) -> str:
    return "\n".join(f"{f.severity}: {f.message} -> {f.remedy}" for f in collected.findings)


LATE = list(range(8, NUM))
EARLY = list(range(8))


@pytest.mark.parametrize(
    ("header", "of", "expected"),
    [
        ("is_valid", lambda n: n >= 8, {"train": EARLY, "val": LATE}),
        ("isVal", lambda n: int(n >= 8), {"train": EARLY, "val": LATE}),
        ("is_valid", lambda n: "yes" if n >= 8 else "no", {"train": EARLY, "val": LATE}),
        ("is_test", lambda n: "T" if n >= 8 else "F", {"train": EARLY, "test": LATE}),
        ("is_train", lambda n: float(n < 8), {"train": EARLY, "test": LATE}),
        ("subset", lambda n: "train" if n < 8 else "Validation", {"train": EARLY, "val": LATE}),
        ("Data Set", lambda n: "training" if n < 8 else "TEST", {"train": EARLY, "test": LATE}),
        ("phase", lambda n: "train" if n < 8 else "val", {"train": EARLY, "val": LATE}),
        ("whatever", lambda n: "train" if n < 8 else "test", {"train": EARLY, "test": LATE}),
    ],
)
def test_splits_under_other_names(
    folder: Path, header: str, of: Row, expected: dict[str, list[int]]
) -> None:
    collected = read(folder, {header: of})
    assert splits_of(collected) == expected
    assert header in said(collected)


def test_marks_for_two_splits(folder: Path) -> None:
    collected = read(folder, {"is_val": lambda n: n in (1, 2), "is_test": lambda n: n in (3, 4)})
    assert splits_of(collected)["val"] == [1, 2]
    assert splits_of(collected)["test"] == [3, 4]
    twice = read(folder, {"is_val": lambda n: n in (1, 2), "is_test": lambda n: n in (2, 3)})
    assert "line 4: marked as val and as test" in said(twice)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"is_valid": lambda n: "maybe" if n == 3 else n > 8}, "line 5: is_valid is 'maybe'"),
        ({"set": lambda n: "train" if n < 8 else "vall"}, "line 10: unknown split 'vall'"),
        ({"is_valid": lambda n: n != 0}, "by 'is_valid' 92% of the rows would not be trained on"),
        ({"split": lambda n: "train", "is_valid": lambda n: n > 8}, "line 11: 'split' says train"),
        ({"patient": lambda n: n % 3, "subject": lambda n: n // 2}, "may both be the group"),
        ({"class_id": lambda n: n % 3}, "'label' and 'class_id' may both be the label"),
        ({"image": lambda n: picture_path(NUM - 1 - n)}, "'path' and 'image' may both be the path"),
    ],
)
def test_columns_that_contradict(folder: Path, more: Mapping[str, Row], message: str) -> None:
    table = write(folder, {"path": picture_path, "label": animal, **more})
    with pytest.raises(DataError) as caught:
        open_dataset(table)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("header", "of", "flag"),
    [
        ("fold", lambda n: n % 3, "--columns split=fold:0"),
        ("set", lambda n: n % 3, "--columns split=set:0"),
        ("valid", lambda n: n > 8, "--columns split=valid"),
        ("session", lambda n: n % 3, "--columns group=session"),
        ("age", lambda n: 20 + n, "columns not used: age"),
    ],
)
def test_what_is_not_used_is_named(folder: Path, header: str, of: Row, flag: str) -> None:
    collected = read(folder, {header: of})
    assert splits_of(collected) == {}
    assert collected.dataset is not None
    assert collected.dataset.groups is None
    assert flag in said(collected)
    assert all(finding.severity == "note" for finding in collected.findings)


def test_a_column_without_marks_is_no_split(folder: Path) -> None:
    collected = read(folder, {"is_valid": lambda n: 0})
    assert splits_of(collected) == {}
    assert "'is_valid' marks no row" in said(collected)


def test_the_user_says_which_columns(folder: Path) -> None:
    fold = {"fold": lambda n: n % 3}
    held = read(folder, fold, split="fold:1")
    assert splits_of(held)["test"] == [1, 4, 7, 10]
    assert splits_of(read(folder, {"valid": lambda n: n > 8}, split="valid"))["val"] == [9, 10, 11]
    assert splits_of(read(folder, {"is_valid": lambda n: n > 8}, split="none")) == {}
    grouped = read(folder, {"camera": lambda n: n % 2}, group="Camera").dataset
    assert grouped is not None
    assert grouped.groups is not None
    assert grouped.groups[:3] == ("0", "1", "0")
    other = read(folder, {"kind": lambda n: f"k{n % 3}"}, label="kind").dataset
    assert other is not None
    assert other.classes == ("k0", "k1", "k2")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": "labl"}, "no column 'labl' .found: path, label, fold.; did you mean 'label'"),
        ({"split": "fold:7"}, "no row has '7' in 'fold' .found: 0, 1, 2"),
        ({"split": "fold"}, "'fold' says 0, 1, 2, not train, val or test; --columns split=fold:0"),
    ],
)
def test_what_the_user_says_must_be_there(
    folder: Path, columns: dict[str, str], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(folder, {"fold": lambda n: n % 3}, **columns)


def test_groups_under_other_names(folder: Path) -> None:
    one = read(folder, {"patient_id": lambda n: f"p{n // 4}"})
    assert one.dataset is not None
    assert one.dataset.groups is not None
    assert one.dataset.groups[3:5] == ("p0", "p1")
    assert "'patient_id' stay in one split" in said(one)
    nested = read(folder, {"lesion_id": lambda n: n // 2, "patient_id": lambda n: f"p{n // 4}"})
    assert nested.dataset is not None
    assert nested.dataset.groups == one.dataset.groups
    assert "lesion_id" in said(nested)
    many = read(folder, {"session": lambda n: f"s{n}"}).dataset
    assert many is not None
    assert many.groups is not None


def test_a_name_is_taken_rather_than_its_number(folder: Path) -> None:
    collected = read(folder, {"class_id": lambda n: n % 2})
    assert collected.dataset is not None
    assert collected.dataset.classes == ("cat", "dog")
    columns = {"path": picture_path, "class_id": lambda n: n % 2, "class_name": animal}
    named = open_dataset(write(folder, columns))
    assert named.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("filename", "class"),
        ("image_id", "Label"),
        ("Id", "Category"),
        ("id_code", "diagnosis"),
        ("file_name", "dx"),
        ("id", "breed"),
        ("Image", "Id"),
        ("id", "has_stripes"),
        ("where it lies", "species"),
    ],
)
def test_headers_as_people_write_them(folder: Path, path: str, label: str) -> None:
    collected = collect_dataset(write(folder, {path: picture_path, label: animal}))
    assert collected.dataset is not None
    assert collected.dataset.classes == ("cat", "dog")
    assert collected.dataset.labels.tolist() == [1, 0] * 6
    assert f"paths from '{path}', labels from '{label}'" in said(collected)


def test_one_column_a_class(folder: Path) -> None:
    hot = {"filename": picture_path, " cat": lambda n: f" {n % 2}", " dog": lambda n: 1 - n % 2}
    dataset = open_dataset(write(folder, hot))
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [1, 0] * 6
    letters = {"file": picture_path} | {c: lambda n, c=c: int("wxyz"[n % 4] == c) for c in "wxyz"}
    assert open_dataset(write(folder, letters)).classes == ("w", "x", "y", "z")
    split = {**hot, "is_valid": lambda n: n > 8}
    assert open_dataset(write(folder, split)).splits["val"].tolist() == [9, 10, 11]


def test_rows_with_several_marks_or_none_are_named(folder: Path) -> None:
    hot = {
        "filename": picture_path,
        "cat": lambda n: n % 2,
        "dog": lambda n: int(n % 2 == 0 and n != 6),
        "bird": lambda n: int(n == 3),
    }
    collected = collect_dataset(write(folder, hot))
    assert "line 5: 2 classes are marked (cat, bird)" in said(collected)
    assert "line 8: no class is marked" in said(collected)
    several = {**hot, "cat": lambda n: 1, "bird": lambda n: 1}
    with pytest.raises(DataError, match="several labels an image"):
        open_dataset(write(folder, several))


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (lambda n: "nan" if n == 3 else animal(n), "line 5: the label is 'nan'"),
        (lambda n: f"{animal(n)}, big" if n == 4 else animal(n), "line 6: 3 fields, 2 expected"),
        (lambda n: "" if n == 4 else animal(n), "line 6: the label is empty"),
    ],
)
def test_faults_of_labels(folder: Path, label: Row, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(write(folder, {"path": picture_path, "label": label}))


@pytest.mark.parametrize(
    ("header", "of"),
    [
        ("length", lambda n: 1.5 * n),
        ("age", lambda n: n % 3),
        ("text", lambda n: "a photo"),
        ("remark", lambda n: f"remark {n // 2 * (n % 4)}"),
    ],
)
def test_what_is_no_label_is_not_taken_for_one(folder: Path, header: str, of: Row) -> None:
    with pytest.raises(DataError, match=rf"no column of labels \(found: path, {header}"):
        open_dataset(write(folder, {"path": picture_path, header: of}))


def test_labels_that_look_odd_are_said(folder: Path) -> None:
    whole = collect_dataset(write(folder, {"path": picture_path, "label": lambda n: float(n % 2)}))
    assert whole.dataset is not None
    assert whole.dataset.classes == ("0", "1")
    assert "1.0 is read as 1" in said(whole)
    label = ("a", "b", "a|b")
    joined = collect_dataset(write(folder, {"path": picture_path, "label": lambda n: label[n % 3]}))
    assert "'a|b' joins several labels" in said(joined)


def test_test_rows_without_labels_are_left_out(folder: Path) -> None:
    def label(number: int) -> str:
        return animal(number) if number < 8 else ""

    columns = {
        "path": picture_path,
        "label": label,
        "split": lambda n: "train" if n < 8 else "test",
    }
    collected = collect_dataset(write(folder, columns))
    assert collected.dataset is not None
    assert len(collected.dataset.labels) == 8
    assert splits_of(collected) == {}, "a test can be held out of the rows with labels"
    assert "4 rows of test without a label left out" in said(collected)


def test_a_table_without_header(folder: Path) -> None:
    rows = [f"{picture_path(n)},{animal(n)}" for n in range(NUM)]
    (folder / "bare.csv").write_text("\n".join(rows) + "\n")
    collected = collect_dataset(folder / "bare.csv")
    assert collected.dataset is not None
    assert collected.dataset.labels.tolist() == [1, 0] * 6
    assert "there is no header" in said(collected)
    split = [f"{row},{'train' if n < 8 else 'test'}" for n, row in enumerate(rows)]
    (folder / "bare.csv").write_text("\n".join(split) + "\n")
    assert splits_of(collect_dataset(folder / "bare.csv")) == {"train": EARLY, "test": LATE}
    odd = [f"{row},{n % 2},7" for n, row in enumerate(rows)]
    (folder / "bare.csv").write_text("\n".join(odd) + "\n")
    with pytest.raises(DataError, match="--columns label=HEADER"):
        open_dataset(folder / "bare.csv")
    assert open_dataset(
        folder / "bare.csv", options=DataOptions(columns={"label": "2"})
    ).classes == ("cat", "dog")


def csv_text(separator: str = ",") -> str:
    rows = [f"{picture_path(n)}{separator}{animal(n)}" for n in range(NUM)]
    return "\n".join([f"path{separator}label", *rows]) + "\n"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", csv_text().encode("utf-16")),
        ("a.csv", csv_text("\t").encode("utf-16")),
        ("a.csv", b"sep=;\r\n" + csv_text(";").encode()),
        ("a.csv", csv_text("|").encode()),
        ("a.csv", csv_text().replace("\n", "\r").encode()),
        ("a.csv", csv_text().replace("\n", ",,\n").encode()),
        ("a.tsv", csv_text("\t").encode()),
        ("a.jsonl", b"".join(
            b'{"file_name": "img/%03d.png", "label": "%s"}\n' % (n, animal(n).encode())
            for n in range(NUM)
        )),
        ("a.json", b"{%s}" % b",".join(
            b'"img/%03d.png": "%s"' % (n, animal(n).encode()) for n in range(NUM)
        )),
    ],
)  # fmt: skip
def test_forms_of_files(folder: Path, name: str, data: bytes) -> None:
    (folder / name).write_bytes(data)
    dataset = open_dataset(folder / name)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [1, 0] * 6


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"PK\x03\x04....", "Excel workbook"),
        (csv_text().encode("utf-16-le"), "as in UTF-16"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (csv_text().replace("dog", "ni\xf1o").encode("latin-1"), "line 2: not UTF-8; .*iconv"),
        (b"path label\nimg/000.png cat\n", "no column of paths .found: path label"),
        (b"\n\n", "is empty"),
    ],
)
def test_files_that_are_no_table(folder: Path, data: bytes, message: str) -> None:
    (folder / "no.csv").write_bytes(data)
    with pytest.raises(DataError, match=message):
        open_dataset(folder / "no.csv")
