"""Labels in file names: the pattern that is certain, the user's expression, and its record."""

import json
from pathlib import Path

import pytest
from trees import grow

import reslab
from reslab.cli.main import main
from reslab.data.collect import DataOptions
from reslab.data.dataset import Dataset, FileImages
from reslab.data.open import collect_dataset, open_dataset
from reslab.data.sources.filenames import labels_in_names
from reslab.errors import DataError, UsageError


def read(root: Path, expression: str) -> Dataset:
    return open_dataset(root, options=DataOptions(label_from_name=expression))


def labels_of(dataset: Dataset) -> dict[str, str]:
    assert isinstance(dataset.images, FileImages)
    pairs = zip(dataset.images.paths, dataset.labels.tolist(), strict=True)
    return {path: dataset.classes[label] for path, label in pairs}


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ("cat.0 cat.1 dog.0 dog.1", "cat cat dog dog"),
        ("american_bulldog_1 american_bulldog_12 Sphynx_1 Sphynx_2",
         "american_bulldog american_bulldog Sphynx Sphynx"),
        ("cat-(1) cat-(2) dog7 dog8", "cat cat dog dog"),
        ("IMG_1 IMG_2 DSC_1 DSC_2", ""),
        ("frame-1 frame-2 image-1 image-2", ""),
        ("cat_1 cat_2 cat_3", ""),  # one label
        ("cat_1 cat_2 dog_1", ""),  # a label that occurs once
        ("cat_1 cat_2 dog_1 dog_2 readme", ""),
        ("a1 a2 b1 b2", ""),  # letters
        ("s01e02 s01e03 s02e01 s02e04", ""),  # numbers in what would be the label
        ("1 2 3 4", ""),
        ("2019-cat-1 2019-cat-2 2019-dog-1 2019-dog-2", ""),
    ],
)  # fmt: skip
def test_labels_that_are_certain(names: str, labels: str) -> None:
    assert labels_in_names([f"x/{name}.jpg" for name in names.split()]) == labels.split()


def test_the_first_group_or_the_one_named_label(tmp_path: Path) -> None:
    root = grow(tmp_path, "a/{red,blue}_{1-2}_x.jpg\nb/deep/red_3_x.jpg")
    expected = {"a/red_1_x.jpg": "red", "a/blue_2_x.jpg": "blue", "b/deep/red_3_x.jpg": "red"}
    for text in (r"([a-z]+)_\d_x", r"(?P<n>\d)?(?P<label>[a-z]+)_\d", r"(?P<n>x)?([a-z]+)_\d_x"):
        assert expected.items() <= labels_of(read(root, text)).items()
    assert set(labels_of(read(root, "^([^/]+)/")).values()) == {"a", "b"}


def test_a_group_named_split(tmp_path: Path) -> None:
    root = grow(tmp_path, "{train,dev,holdout}/{cat,dog}/{1-2}.jpg")
    told: list[str] = []
    options = DataOptions(label_from_name="^(?P<split>[^/]+)/(?P<label>[^/]+)/")
    dataset = open_dataset(root, options=options, notify=told.append)
    assert {split: len(held) for split, held in dataset.splits.items()} == {
        "train": 4, "val": 4, "test": 4
    }  # fmt: skip
    assert told[0] == "data: dev is taken as val, holdout is taken as test"
    assert labels_of(dataset)["holdout/dog/1.jpg"] == "dog"


def test_words_that_are_no_split_are_named(tmp_path: Path) -> None:
    root = grow(tmp_path, "{train,learn}/{cat,dog}/{1-2}.jpg")
    with pytest.raises(DataError, match="finds 'learn', which is no split, in 4 images"):
        read(root, "^(?P<split>[^/]+)/(?P<label>[^/]+)/")
    with pytest.raises(DataError, match=r"finds no split, in 4 images: learn/cat/1\.jpg"):
        read(root, "^(?:(?P<split>train)|learn)/(?P<label>[^/]+)/")


def test_what_does_not_match_is_named_and_counted(tmp_path: Path) -> None:
    root = grow(tmp_path, "{cat,dog}_{1-3}.jpg\nstray/{1-4}.jpg")
    with pytest.raises(DataError) as caught:
        read(root, r"([a-z]+)_\d")
    assert "4 of 10 images do not match --label-from-name" in caught.value.message
    assert "stray/1.jpg, stray/2.jpg, stray/3.jpg and 1 more" in caught.value.message
    assert caught.value.exit_code == 3
    findings = collect_dataset(root, options=DataOptions(label_from_name=r"([a-z]+)_\d")).findings
    assert len(next(f for f in findings if f.kind == "label-unmatched").paths) == 4


def test_what_matches_without_a_label_is_left_out(tmp_path: Path) -> None:
    root = grow(tmp_path, "images/{cat,dog}_{1-3}.jpg\nmasks/{cat,dog}_{1-3}.png")
    dataset = read(root, r"^masks/|^images/(\w+)_")
    assert labels_of(dataset) == {
        f"images/{label}_{n}.jpg": label for label in ("cat", "dog") for n in (1, 2, 3)
    }
    assert not dataset.excluded


@pytest.mark.parametrize(
    ("expression", "message"),
    [("([a-z", "is no regular expression"), ("cat|dog", "no group"), ("(?P<split>a)", "no group")],
)
@pytest.mark.parametrize("data", ["digits", "folder"])
def test_what_is_no_expression_is_refused(
    tmp_path: Path, expression: str, message: str, data: str
) -> None:
    root = grow(tmp_path / "folder", "{a,b}/1.jpg") if data == "folder" else data
    with pytest.raises(UsageError, match=message) as caught:
        open_dataset(root, options=DataOptions(label_from_name=expression))
    assert caught.value.exit_code == 2


def test_data_that_bring_their_labels_take_no_expression(tmp_path: Path) -> None:
    grow(tmp_path, "{a,b}_{1-2}.jpg\nlabels.csv: path,label|a_1.jpg,x|b_1.jpg,y")
    for data in ("digits", "shapes:num=20", tmp_path / "labels.csv"):
        with pytest.raises(UsageError, match="brings its own"):
            open_dataset(data, options=DataOptions(label_from_name="([a-z])_"))
    assert read(tmp_path, "([a-z])_").classes == ("a", "b")  # said about the folder: that counts


def test_check_takes_the_same_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = grow(tmp_path, "{1-5}_{cat,dog}.png")
    assert main(["check", "--quick", str(root)]) == 3
    assert "--label-from-name REGEX" in capsys.readouterr().out
    flags = ["--label-from-name", r"_([a-z]+)\.", "--json", "--quick"]
    assert main(["check", *flags, str(root)]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == ["cat", "dog"]
    assert main(["check", "--label-from-name", "(", str(root)]) == 2


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return data whose labels only an expression finds, and a run on them."""
    place = tmp_path_factory.mktemp("named")
    root = grow(place / "data", "{1-12}_{cat,Dog,dog}.png")
    done = reslab.train(
        root,
        model="resnet8" if "resnet8" in reslab.list_models() else "resnet20",
        out=place / "run",
        device="cpu",
        label_from_name=r"_([a-zA-Z]+)\.",
        data_options=reslab.DataOptions(merge_similar_classes=True),
        overrides={"epochs": 1, "batch_size": 16, "img_size": 8},
    )
    return root, done.run_dir


def test_a_run_records_how_its_labels_were_read(trained: tuple[Path, Path]) -> None:
    _, run = trained
    config = json.loads((run / "config.json").read_text())
    assert config["data_options"]["label_from_name"] == r"_([a-zA-Z]+)\."
    assert config["data_options"]["merge_similar_classes"] is True
    assert config["dataset"]["classes"] == ["cat", "Dog"] or config["dataset"]["classes"] == [
        "Dog", "cat"
    ]  # fmt: skip
    assert "The pictures are left out" not in (run / "report.html").read_text()


def test_what_opens_the_data_of_a_run_again_reads_them_alike(
    trained: tuple[Path, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root, run = trained
    assert main(["eval", str(run), str(root), "--json", "--device", "cpu"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["split"] == "test"
    flags = ["--only", "lesions", "--count", "4", "--images", "1", "--out", str(tmp_path / "look")]
    assert main(["look", str(run), *flags]) == 0
    assert main(["train", "--resume", str(run), "--epochs", "2", "--quiet"]) == 0
    flag = ["--label-from-name", "([a-z]+)"]
    assert main(["train", "--resume", str(run), *flag]) == 2
    assert "--resume takes --label-from-name from the run" in capsys.readouterr().err
