"""Class names that differ invisibly: named with what tells them apart, one class by choice."""

import unicodedata
from pathlib import Path

import pytest
from trees import grow

from reslab.cli.main import main
from reslab.data.check import check_dataset
from reslab.data.collect import DataOptions
from reslab.data.open import collect_dataset, open_dataset
from reslab.errors import DataError

COMPOSED, DECOMPOSED = unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")
MERGE, APART = DataOptions(merge_similar_classes=True), DataOptions(merge_similar_classes=False)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("Cat", "cat"), r"classes 'Cat' and 'cat' differ only by case \(2 images, 2 images\)"),
        (
            (COMPOSED, DECOMPOSED),
            rf"'{DECOMPOSED}' \(e \+ U\+0301\) and '{COMPOSED}' \(U\+00E9\) .* Unicode form",
        ),
        (("dog", "dog "), r"'dog' and 'dog ' \(U\+0020 at the end\) differ only by spaces"),
        ((" dog", "dog"), r"' dog' \(U\+0020 at the start\) and 'dog'"),
        (("hot dog", "hot  dog"), r"'hot  dog' \(two U\+0020\) and 'hot dog' differ .* spaces"),
        (("hot dog", "hot\u00a0dog"), r"'hot\\xa0dog' \(U\+00A0\)"),
        (("dog", "d\u200bog"), r"'d\\u200bog' \(U\+200B\) .* invisible"),
        (("cat", "c\u0430t"), r"\(U\+0430\) differ only by characters that look alike"),
        (("T-shirt", "t\u2011shirt"), r"\(U\+2011\)"),
        (("Cat", "cat "), "differ only by case and spaces"),
        (("stra\u00dfe", "STRASSE"), "differ only by case"),
        (("ab", "\uff41\uff42"), r"U\+FF41, U\+FF42"),
        (("ok", "ok\ufe0f"), r"U\+FE0F"),
    ],
)
def test_classes_that_differ_invisibly_are_named(
    tmp_path: Path, names: tuple[str, str], message: str
) -> None:
    root = grow(tmp_path, "".join(f"placeholder/{n}.jpg\n" for n in (1, 2)))
    for name in names:
        (root / name).mkdir()
        for n in (1, 2):
            (root / name / f"{n}.jpg").write_bytes((root / "placeholder/1.jpg").read_bytes())
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(root)
    assert "--merge-similar-classes" in caught.value.remedy
    assert len(open_dataset(root, options=APART).classes) == 3
    merged = open_dataset(root, options=MERGE)
    assert len(merged.classes) == 2
    assert sorted(merged.labels.tolist()).count(0) in (2, 4)


@pytest.mark.parametrize(
    "names", ["a b", "m2 m²", "1 ①", "cat cats", "left_hand left-hand", "e é", "кот kot", "０１ 02"]
)
def test_names_that_are_different(tmp_path: Path, names: str) -> None:
    first, second = names.split()
    dataset = open_dataset(grow(tmp_path, f"{{{first},{second}}}/{{1,2}}.jpg"))
    assert len(dataset.classes) == 2


def test_across_splits_it_is_not_called_a_class_that_train_lacks(tmp_path: Path) -> None:
    root = grow(tmp_path, "train/{cat,dog}/{1-3}.jpg\nval/{Cat,dog}/{1-2}.jpg")
    found = collect_dataset(root).findings
    assert [finding.kind for finding in found] == ["class-alike"]
    assert found[0].classes == ("Cat", "cat")
    merged = open_dataset(root, options=MERGE)
    assert merged.classes == ("cat", "dog")
    assert merged.labels[merged.split("val")].tolist() == [0, 0, 1, 1]


def test_the_name_that_most_training_images_have_is_kept_and_said(tmp_path: Path) -> None:
    root = grow(tmp_path, "Cat/{1-2}.jpg\ncat/{1-3}.jpg\nCAT/1.jpg\ndog/{1-2}.jpg")
    told: list[str] = []
    dataset = open_dataset(root, options=MERGE, notify=told.append)
    assert dataset.classes == ("cat", "dog")
    assert told == ["data: 'CAT', 'Cat' are taken as class 'cat'"] or told == [
        "data: 'CAT' and 'Cat' are taken as class 'cat'"
    ]
    report = check_dataset(dataset, deep=False, workers=1)
    assert report.counts == {"all": [6, 2]}


def test_labels_of_a_table(tmp_path: Path) -> None:
    grow(tmp_path, "{1-4}.jpg\nt.csv: path,label|1.jpg,Cat|2.jpg,cat|3.jpg,dog|4.jpg,dog")
    with pytest.raises(DataError, match="'Cat' and 'cat' differ only by case"):
        open_dataset(tmp_path / "t.csv")


def test_both_ways_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = str(grow(tmp_path, "{Cat,cat,dog}/{1-12}.png"))
    assert main(["check", "--quick", root]) == 3
    out = capsys.readouterr().out
    assert "class-alike" in out
    assert "'Cat' and 'cat' differ only by case (12 images, 12 images)" in out
    assert main(["check", "--quick", "--merge-similar-classes", root]) == 0
    assert "'cat' is taken as class 'Cat'" in capsys.readouterr().out
    assert main(["check", "--quick", "--no-merge-similar-classes", root]) == 0
    assert main(["train", root, "--quiet", "--device", "cpu"]) == 3
    assert "differ only by case" in capsys.readouterr().err
