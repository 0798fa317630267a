"""Image folders in both layouts, and every way in which they can be wrong."""

import os
from pathlib import Path

import numpy as np
import pytest
from pictures import picture, write_pictures

from reslab.data.dataset import Dataset, FileImages
from reslab.data.open import collect_dataset, open_dataset
from reslab.errors import DataError


def names(dataset: Dataset, split: str) -> set[str]:
    images = dataset.images
    assert isinstance(images, FileImages)
    return {images.paths[i] for i in dataset.split(split).tolist()}  # type: ignore[arg-type]


def kinds(root: Path) -> dict[str, str]:
    return {f.kind: f.severity for f in collect_dataset(root).findings}


def test_flat_folder_is_not_split_yet(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"dog": 2, "cat": 3})
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert dataset.labels.tolist() == [0, 0, 0, 1, 1]
    assert dataset.splits == {}
    assert dataset.name == tmp_path.name
    assert dataset.images.read(0).shape == (24, 24, 3)


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("train", "val", "test"), ("training", "valid", "test"), ("Train", "Validation", "TEST")],
)
def test_split_folders_by_any_usual_name(tmp_path: Path, train: str, val: str, test: str) -> None:
    write_pictures(
        tmp_path, {f"{s}/{c}": n for s, n in ((train, 3), (val, 2), (test, 1)) for c in "ba"}
    )
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("a", "b")
    assert {name: len(held) for name, held in dataset.splits.items()} == {
        "train": 6, "val": 4, "test": 2
    }  # fmt: skip
    assert names(dataset, "test") == {f"{test}/a/000.png", f"{test}/b/000.png"}


def test_a_class_that_validation_lacks_shifts_no_label(tmp_path: Path) -> None:
    """The classic: val has no folder 'a', so its own numbering would begin with 'b'."""
    write_pictures(tmp_path, {"train/a": 2, "train/b": 2, "train/c": 2, "val/b": 1, "val/c": 1})
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("a", "b", "c")
    for index in dataset.split("val").tolist():
        folder = Path(dataset.images.name(index)).parent.name
        assert dataset.classes[dataset.labels[index]] == folder


def test_a_class_that_train_lacks_is_named(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1, "val/zebra": 3})
    with pytest.raises(DataError, match="class 'zebra' of val does not occur in train") as caught:
        open_dataset(tmp_path)
    assert caught.value.exit_code == 3


def test_empty_class_folders_are_named(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 1})
    (tmp_path / "train" / "hollow").mkdir()
    with pytest.raises(DataError, match=r"class folder .*train/hollow is empty"):
        open_dataset(tmp_path)
    (tmp_path / "train" / "hollow" / "notes.txt").write_text("none yet")
    with pytest.raises(DataError, match=r"train/hollow holds no image \(1 other file"):
        open_dataset(tmp_path)
    os.remove(tmp_path / "train/hollow/notes.txt")
    (tmp_path / "train" / "hollow").rename(tmp_path / "val" / "b")
    assert kinds(tmp_path) == {"class-empty": "warning"}


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_folder_without_images_is_named(tmp_path: Path, split: str) -> None:
    write_pictures(tmp_path, {"train/a": 2, "train/b": 2})
    (tmp_path / split).mkdir()
    finding = next(iter(collect_dataset(tmp_path).findings))
    assert (finding.kind, finding.severity) == ("split-empty", "warning")
    assert finding.paths == (str(tmp_path / split),)
    assert finding.message.endswith(f"{split} is empty")
    told: list[str] = []
    assert list(open_dataset(tmp_path, notify=told.append).splits) == ["train"]
    assert told == [f"check: {finding.message}"]
    (tmp_path / split / "readme.txt").write_text("x")
    assert "holds no image (1 other file)" in collect_dataset(tmp_path).findings[0].message
    (tmp_path / split / "a").mkdir()
    assert kinds(tmp_path) == {"class-empty": "warning", "split-empty": "warning"}
    assert "holds no image in its class folders" in collect_dataset(tmp_path).findings[1].message


def test_an_empty_train_folder_is_an_error(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"test/a": 2, "test/b": 2})
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"split folder .*train is empty"):
        open_dataset(tmp_path)


def test_several_faults_are_counted_in_the_remedy(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"train/a": 1, "train/b": 1, "val/x": 1, "val/y": 1, "val/z": 1})
    with pytest.raises(DataError, match="2 more faults"):
        open_dataset(tmp_path)


def test_one_class_or_none_is_refused(tmp_path: Path) -> None:
    write_pictures(tmp_path / "one", {"a": 3})
    with pytest.raises(DataError, match="only one class, 'a'"):
        open_dataset(tmp_path / "one")
    assert len(open_dataset(tmp_path / "one", need_train=False).images) == 3
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="no class folders"):
        open_dataset(tmp_path / "none")
    write_pictures(tmp_path / "loose", {".": 3})
    with pytest.raises(DataError, match="no class folders"):
        open_dataset(tmp_path / "loose")


def test_a_test_folder_alone_serves_evaluation_only(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"test/a": 2, "test/b": 1})
    with pytest.raises(DataError, match=r"no training split \(only test\)"):
        open_dataset(tmp_path)
    assert open_dataset(tmp_path, need_train=False).split("test").tolist() == [0, 1, 2]


def test_deep_files_dotfiles_upper_case_and_strangers(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"a": 1, "a/deep/deeper": 2, "b": 1})
    picture(50).save(tmp_path / "b" / "SHOUT.JPEG")
    picture(51).save(tmp_path / "b" / ".hidden.png")
    (tmp_path / ".git").mkdir()
    (tmp_path / "b" / "Thumbs.db").write_bytes(b"x")
    assert not collect_dataset(tmp_path).findings
    assert len(open_dataset(tmp_path).images) == 5
    (tmp_path / "b" / "readme.txt").write_text("x")
    picture(52).save(tmp_path / "loose.png")
    findings = collect_dataset(tmp_path).findings
    assert [f.kind for f in findings] == ["ignored", "ignored"]
    assert {Path(p).name for f in findings for p in f.paths} == {"readme.txt", "loose.png"}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"train": 2, "bus": 2, "tram": 2})
    dataset = open_dataset(tmp_path)
    assert dataset.classes == ("bus", "train", "tram")
    assert dataset.splits == {}


def test_unlabelled_test_images_and_other_folders_are_mentioned(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"train/a": 1, "train/b": 1, "test": 3, "extra/c": 1})
    told: list[str] = []
    dataset = open_dataset(tmp_path, notify=told.append)
    assert list(dataset.splits) == ["train"]
    messages = sorted(told)
    assert messages[0].endswith("extra lies beside train and is no split")
    assert messages[1].endswith("test lies beside train and has no class folders")


def test_two_folders_for_one_split(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"train/a": 1, "train/b": 1, "val/a": 1, "valid/a": 1})
    with pytest.raises(DataError, match=r"val and .*valid are the val split"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("name", ["日本 🐈", "new\nline", "sp ace'quote\"", "\udcff\udc80bytes"])
def test_odd_names_work(tmp_path: Path, name: str) -> None:
    write_pictures(tmp_path, {name: 2, "plain": 2})
    picture(9).save(tmp_path / "plain" / f"{name}.png")
    dataset = open_dataset(tmp_path)
    assert set(dataset.classes) == {name, "plain"}
    for index in range(5):
        assert dataset.images.read(index).shape == (24, 24, 3)
    assert len(dataset.fingerprint()) == len("2:") + 64
    bad = next((tmp_path / name).iterdir())
    bad.write_bytes(b"")
    with pytest.raises(DataError) as caught:
        dataset.images.read(dataset.labels.tolist().index(dataset.classes.index(name)))
    assert "\n" not in str(caught.value)
    str(caught.value).encode("utf-8")


def test_links_inside_are_followed_and_the_folder_may_be_a_link(tmp_path: Path) -> None:
    root = tmp_path / "real"
    write_pictures(root, {"a": 2, "b": 2})
    (root / "b" / "again.png").symlink_to(root / "a" / "000.png")
    (root / "c").symlink_to(root / "a")
    (tmp_path / "link").symlink_to(root)
    for path in (root, tmp_path / "link"):
        dataset = open_dataset(path)
        assert dataset.classes == ("a", "b", "c")
        assert len(dataset.images) == 7


@pytest.mark.parametrize(
    ("link", "target", "kind"),
    [
        ("a/up", "..", "link-loop"),
        ("a/self", "self", "link-loop"),
        ("a/gone.png", "nowhere.png", "link-broken"),
        ("a/out.png", "../../outside/000.png", "link-outside"),
        ("c", "../outside", "link-outside"),
    ],
)
def test_links_that_are_not_followed_are_named(
    tmp_path: Path, link: str, target: str, kind: str
) -> None:
    root = tmp_path / "data"
    write_pictures(root, {"a": 2, "b": 2})
    write_pictures(tmp_path, {"outside": 1})
    (root / link).symlink_to(target)
    with pytest.raises(DataError, match=rf"link .*{link} "):
        open_dataset(root)
    assert kinds(root) == {kind: "error"}


def test_two_links_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"a": 1, "b": 1})
    (tmp_path / "a" / "to_b").symlink_to(tmp_path / "b")
    (tmp_path / "b" / "to_a").symlink_to(tmp_path / "a")
    assert kinds(tmp_path) == {"link-loop": "error"}


def test_skip_bad_leaves_out_what_cannot_be_read(tmp_path: Path) -> None:
    files = write_pictures(tmp_path, {"train/a": 3, "train/b": 3, "val/a": 2, "val/b": 1})
    files[1].write_bytes(files[1].read_bytes()[:60])
    files[4].write_bytes(b"")
    whole = open_dataset(tmp_path)
    dataset = open_dataset(tmp_path, skip_bad=True)
    assert set(dataset.excluded) == {str(files[1]), str(files[4])}
    assert "truncated" in dataset.excluded[str(files[1])]
    assert len(dataset.images) == len(whole.images) - 2
    assert names(dataset, "val") == names(whole, "val")
    kept = set(range(len(whole.images))) - {
        i for i in range(len(whole.images)) if whole.images.name(i) in dataset.excluded
    }
    by_name = {whole.images.name(i): whole.labels[i] for i in kept}
    for index in range(len(dataset.images)):
        assert dataset.labels[index] == by_name[dataset.images.name(index)]
    assert not np.intersect1d(dataset.split("train"), dataset.split("val")).size


def test_skip_bad_stops_when_a_class_is_lost(tmp_path: Path) -> None:
    files = write_pictures(tmp_path, {"a": 2, "b": 1})
    files[2].write_bytes(b"rubbish")
    with pytest.raises(DataError, match="no image of class 'b' can be read"):
        open_dataset(tmp_path, skip_bad=True)


def test_the_fingerprint_changes_with_the_data(tmp_path: Path) -> None:
    files = write_pictures(tmp_path, {"a": 2, "b": 2})
    first = open_dataset(tmp_path).fingerprint()
    assert open_dataset(tmp_path).fingerprint() == first
    picture(999).save(files[0])
    assert open_dataset(tmp_path).fingerprint() != first
