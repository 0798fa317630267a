"""What the check finds, on folders made for each fault, and that its plan mends them."""

import io
import json
import os
import shutil
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import picture, write_pictures
from PIL import Image

from reslab.data import duplicates
from reslab.data.check import CheckReport, check_dataset
from reslab.data.collect import Finding
from reslab.data.dataset import ArrayImages, Dataset
from reslab.data.duplicates import grey_copy, near_groups
from reslab.data.mending import mending_plan
from reslab.data.open import collect_dataset, open_dataset

SOUND = {"train/a": 12, "train/b": 12, "test/a": 4, "test/b": 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "data", SOUND)
    return tmp_path / "data"


def check(path: Path, *, deep: bool = True) -> CheckReport:
    collected = collect_dataset(path)
    return check_dataset(collected.dataset, deep=deep, workers=2, earlier=collected.findings)


def only(report: CheckReport) -> Finding:
    assert len(report.findings) == 1, [f.message for f in report.findings]
    return report.findings[0]


def short(finding: Finding, root: Path) -> list[str]:
    return [os.path.relpath(path, root) for path in finding.paths]


def test_a_sound_folder_has_no_findings(root: Path) -> None:
    report = check(root)
    assert report.findings == ()
    assert report.ok
    assert (report.num_images, report.decoded, report.classes) == (32, 32, ("a", "b"))
    assert report.counts == {"train": [12, 12], "test": [4, 4]}
    assert check(root, deep=False).decoded == 0


def test_too_few_images_to_hold_out_a_test_are_found(tmp_path: Path) -> None:
    """Training would refuse them: the check must not call them sound."""
    write_pictures(tmp_path / "two", {"a": 2, "b": 2})
    report = check(tmp_path / "two")
    assert not report.ok
    (found,) = [f for f in report.findings if f.kind == "no-test"]
    assert found.remedy.startswith("use --test-fraction 0.5, ")
    write_pictures(tmp_path / "three", {"a": 3, "b": 3})
    assert check(tmp_path / "three").ok


def test_unreadable_files_are_all_listed(root: Path) -> None:
    bad = sorted((root / "train" / "a").iterdir())[:4]
    bad[0].write_bytes(b"")
    bad[1].write_bytes(b"rubbish")
    for path in bad[2:]:
        path.write_bytes(path.read_bytes()[:-30])
    report = check(root)
    assert not report.ok
    assert {f.kind for f in report.findings} == {"unreadable"}
    assert {p for f in report.findings for p in f.paths} == {str(p) for p in bad}
    assert report.decoded == 28
    quick = check(root, deep=False)  # headers tell the first two only
    assert {p for f in quick.findings for p in f.paths} == {str(p) for p in bad[:2]}
    assert "train/a/000.png is empty (0 bytes)" in quick.findings[0].message


def test_float_images_are_unreadable_only_when_decoded_or_named(root: Path) -> None:
    Image.new("F", (20, 20)).save(root / "train" / "a" / "f.tiff")
    finding = next(f for f in check(root).findings if f.kind == "unreadable")
    assert "floating-point" in finding.message


def test_equal_images_within_a_split_across_splits_and_across_labels(root: Path) -> None:
    shutil.copy(root / "train/a/000.png", root / "train/a/copy.png")
    # the same pixels in another file format
    Image.open(root / "train/b/001.png").save(root / "test/b/copy.bmp")
    shutil.copy(root / "train/a/002.png", root / "train/b/copy.png")
    report = check(root)
    found = {f.kind: (f.severity, sorted(short(f, root))) for f in report.findings}
    assert found == {
        "duplicate": ("warning", ["train/a/000.png", "train/a/copy.png"]),
        "duplicate-across": ("error", ["test/b/copy.bmp", "train/b/001.png"]),
        "label-conflict": ("error", ["train/a/002.png", "train/b/copy.png"]),
    }


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return Image.open(io.BytesIO(buffer.getvalue())).convert("RGB")


def brighter(image: Image.Image) -> Image.Image:
    return image.point(lambda value: min(255, int(value * 0.9 + 20)))


@pytest.mark.parametrize(
    "change",
    [
        lambda image: jpeg(image, 40),
        lambda image: image.resize((60, 70)),
        lambda image: image.convert("L"),
        brighter,
    ],
    ids=["recompressed", "resized", "grey", "brighter"],
)
def test_near_duplicates(root: Path, change) -> None:  # type: ignore[no-untyped-def]
    original = Image.open(root / "train/a/005.png")
    change(original.convert("RGB")).save(root / "test/a/near.png")
    found = [f for f in check(root).findings if f.kind.startswith("near")]
    assert [(f.kind, f.severity) for f in found] == [("near-duplicate-across", "warning")]
    assert sorted(short(found[0], root)) == ["test/a/near.png", "train/a/005.png"]


def test_near_duplicates_may_be_switched_off(root: Path) -> None:
    jpeg(Image.open(root / "train/a/005.png"), 40).save(root / "test/a/near.png")
    dataset = open_dataset(root)
    assert check_dataset(dataset, deep=True, workers=1, near_duplicates=False).findings == ()


def test_images_that_differ_in_fine_structure_are_not_near() -> None:
    plain = np.asarray(picture(7, (32, 32)).convert("L")).astype(int)
    weave = np.indices((32, 32)).sum(axis=0) % 2 * 2 - 1  # cancels where 2x2 pixels are averaged
    pair = np.clip(np.stack([plain, plain + 40 * weave]), 0, 255).astype(np.uint8)
    softer = np.clip(np.stack([plain, plain + weave]), 0, 255).astype(np.uint8)
    assert near_groups(pair) == []
    assert [group.tolist() for group in near_groups(softer)] == [[0, 1]]


def test_flat_images_do_not_all_look_alike() -> None:
    """Without the contrast they lack, the same faint ramp is left of all of them."""
    ramp = np.arange(32, dtype=np.uint8)[None, None, :] // 8
    flat = np.arange(200, dtype=np.uint8)[:, None, None] + ramp + np.zeros((1, 32, 1), np.uint8)
    assert near_groups(flat) == []


def by_every_pair(stack: np.ndarray) -> list[tuple[int, ...]]:
    """Return the groups that a plain double loop over all pairs finds."""
    limit = duplicates._limit(duplicates._normalised(stack, 16)[0])
    halves = stack.reshape(-1, 16, 2, 16, 2).mean((2, 4))
    small, full = (np.corrcoef(copies.reshape(len(stack), -1)) for copies in (halves, stack))
    alike = (1 - small <= limit) & (1 - full <= 2 * limit)
    together: dict[int, set[int]] = {n: {n} for n in range(len(stack))}
    for i, j in np.argwhere(np.triu(alike, 1)).tolist():
        if together[i] is not together[j]:
            union = together[i] | together[j]
            for member in union:
                together[member] = union
    return sorted({tuple(sorted(group)) for group in together.values() if len(group) > 1})


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), copies=st.integers(0, 12))
def test_near_groups_agree_with_comparing_every_pair(seed: int, copies: int) -> None:
    """The tree must lose no pair that a plain double loop over all pairs finds."""
    rng = np.random.default_rng(seed)
    images = [np.asarray(picture(seed * 100 + n, (32, 32)).convert("L")) for n in range(40)]
    for _ in range(copies):
        source, other = (images[int(n)].astype(float) for n in rng.integers(0, 40, 2))
        changed = source + rng.uniform(0.05, 0.25) * (other - source) + rng.normal(0, 2)
        images.append(np.clip(changed, 0, 255).astype(np.uint8))
    stack = np.stack([grey_copy(image) for image in images])
    assert [tuple(group.tolist()) for group in near_groups(stack)] == by_every_pair(stack)


def frames(count: int, seed: int, noise: float = 1.0) -> np.ndarray:
    """Return one picture many times, with noise that is stronger in some than in others."""
    rng = np.random.default_rng(seed)
    still = np.asarray(picture(seed, (32, 32)).convert("L")).astype(float)
    noisy = still + rng.uniform(0, noise, (count, 1, 1)) * rng.normal(0, 1, (count, 32, 32))
    return np.clip(noisy, 0, 255).astype(np.uint8)


def pan(count: int, seed: int, length: int) -> np.ndarray:
    """Return a film that passes into another picture every so many frames."""
    stills = [
        np.asarray(picture(seed + n, (32, 32)).convert("L")).astype(float)
        for n in range(count // length + 2)
    ]
    film = []
    for number in range(count):
        n, share = number // length, number % length / length
        film.append((1 - share) * stills[n] + share * stills[n + 1])
    return np.stack(film).astype(np.uint8)


@pytest.mark.parametrize("noise", [0.0, 3.0, 6.0, 12.0])
@pytest.mark.parametrize("seed", range(3))
def test_groups_of_films_agree_with_comparing_every_pair(seed: int, noise: float) -> None:
    """Chains, crowds and single pictures; hardly one is alike to all the others of its group."""
    singles = np.concatenate([frames(1, 1000 * seed + n) for n in range(50)])
    parts = [frames(150, 1000 * seed + 100, noise), pan(200, 1000 * seed + 200, 20), singles]
    stack = np.concatenate(parts)
    np.random.default_rng(seed).shuffle(stack)
    found = [tuple(group.tolist()) for group in near_groups(stack)]
    assert found == by_every_pair(stack)


def test_thousands_of_like_frames_take_no_more_memory_than_others() -> None:
    film = frames(2_000, 5)
    tracemalloc.start()
    (group,) = near_groups(film)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert group.tolist() == list(range(2_000))
    assert peak < 100 << 20


def test_classes_that_are_tiny_missing_or_outnumbered(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"train/a": 33, "train/b": 3, "test/a": 1})
    report = check(tmp_path, deep=False)
    assert {f.kind: f.classes for f in report.findings} == {
        "class-missing": ("b",),
        "class-tiny": ("b",),
        "imbalance": ("a", "b"),
    }
    assert report.ok
    assert "'a' has 33 training images, 'b' only 3" in report.findings[2].message


def test_faults_of_the_source_are_among_the_findings(root: Path) -> None:
    write_pictures(root, {"test/zebra": 2}, first=500)
    (root / "train" / "void").mkdir()
    report = check(root)
    assert [f.kind for f in report.findings] == ["class-empty", "class-extra"]
    assert not report.ok
    assert report.num_images == 32


def test_nothing_to_build_from_is_a_report_too(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"only": 2})
    report = check(tmp_path)
    assert only(report).kind == "one-class"
    assert not report.ok
    json.dumps(report.to_json())


def test_odd_modes(root: Path) -> None:
    folder = root / "train" / "a"
    picture(200).convert("CMYK").save(folder / "cmyk.jpg")
    picture(201).convert("L").save(folder / "grey.png")
    picture(202).convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(np.asarray(picture(203).convert("L")).astype(np.uint16) * 257).save(
        folder / "deep.png"
    )
    frames = [picture(204), picture(205)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    report = check(root, deep=False)
    assert report.ok
    by_file = {os.path.basename(p): f.kind for f in report.findings for p in f.paths}
    assert by_file == {
        "cmyk.jpg": "odd-format", "alpha.png": "odd-format", "deep.png": "odd-format",
        "grey.png": "odd-mode", "moving.gif": "animated",
    } | {"deep.png": "odd-format"}  # fmt: skip


def test_odd_sizes_shapes_and_rotation(root: Path) -> None:
    folder = root / "train" / "a"
    picture(300, (400, 400)).save(folder / "huge.png")
    picture(301, (60, 10)).save(folder / "strip.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(302).save(folder / "turned.jpg", exif=exif)
    report = check(root)
    found = {f.kind: short(f, folder) for f in report.findings}
    assert found == {
        "odd-size": ["huge.png"], "odd-shape": ["strip.png"], "exif-rotation": ["turned.jpg"],
    }  # fmt: skip
    assert "24x24" in report.findings[0].message
    assert "400x400" in report.findings[0].message
    assert report.ok


def test_torn_groups(tmp_path: Path) -> None:
    write_pictures(tmp_path, {"img": 8})
    rows = ["path,label,split,group"]
    for number in range(8):
        split, group = ("test", "g0") if number == 7 else ("train", f"g{number % 4}")
        rows.append(f"img/{number:03d}.png,{'ab'[number % 2]},{split},{group}")
    (tmp_path / "t.csv").write_text("\n".join(rows))
    torn = next(f for f in check(tmp_path / "t.csv").findings if f.kind == "group-torn")
    assert torn.severity == "error"
    assert torn.message == "group 'g0' is spread over splits (2 in train, 1 in test)"
    assert [os.path.basename(p) for p in torn.paths] == ["000.png", "004.png", "007.png"]


def test_images_in_memory_are_checked_too() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 8, 8), dtype=np.uint8)
    pixels[39] = pixels[0]
    dataset = Dataset(
        "made", ("a", "b"), ArrayImages(pixels, label="made"),
        np.arange(40, dtype=np.int64) % 2, {"train": np.arange(30), "test": np.arange(30, 40)},
    )  # fmt: skip
    finding = only(check_dataset(dataset, deep=True, workers=1))
    assert finding.kind == "label-conflict"
    assert finding.paths == ("made[0]", "made[39]")


def test_excluded_images_are_mentioned(root: Path) -> None:
    (root / "train/a/003.png").write_bytes(b"rubbish")
    report = check_dataset(open_dataset(root, skip_bad=True), deep=True, workers=1)
    assert only(report).kind == "excluded"
    assert report.ok


def test_the_plan_mends_the_folder_and_deletes_nothing(root: Path) -> None:
    odd = root / "train" / "a" / "it's $(touch pwned) `x`\n#.png"
    odd.write_bytes(b"rubbish")
    byte_name = Path(os.fsdecode(os.fsencode(root) + b"/train/b/\xff\xfe.png"))
    byte_name.write_bytes(b"")
    shutil.copy(root / "train/a/000.png", root / "test/a/copy.png")
    shutil.copy(root / "train/a/001.png", root / "train/a/-rf.png")
    write_pictures(root, {"test/zebra": 2}, first=500)
    (root / "train" / "void").mkdir()
    (root / "train" / "b" / "loop").symlink_to("..")
    everything = sum(len(files) for _, _, files in os.walk(root))
    before = check(root)
    plan = mending_plan(before.findings, root)
    script = root.parent / "plan.sh"
    script.write_bytes(plan.encode("utf-8", "surrogateescape"))
    assert not before.ok
    subprocess.run(["sh", str(script)], check=True, cwd=root.parent, capture_output=True)
    after = check(root)
    assert after.findings == ()
    aside = Path(f"{root}.aside")
    assert (aside / "train/a/000.png").exists()  # the test split keeps its copy
    assert not (aside / "test/a").exists()
    kept = sum(len(files) for top in (root, aside) for _, _, files in os.walk(top))
    assert kept == everything
    assert not list(root.parent.rglob("pwned"))


def mend(path: Path, script: Path) -> None:
    """Check a folder, and run the plan from another one."""
    script.write_text(mending_plan(check(path).findings, path))
    subprocess.run(["sh", str(script)], check=True, cwd="/", capture_output=True)


@pytest.mark.parametrize("given", ["../data", "./../x/../data", "link/../data", "../data/test/.."])
def test_the_plan_mends_however_the_folder_is_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    (root / "train/a/003.png").write_bytes(b"")
    here = root.parent / "x"
    (here / "deep").mkdir(parents=True)
    (here / "link").symlink_to("deep")
    (here / "data").symlink_to(root)
    monkeypatch.chdir(here)
    mend(Path(given), root.parent / "plan.sh")
    assert Path(f"{root}.aside/train/a/003.png").exists()
    assert check(root).findings == ()


def test_a_plan_for_the_folder_above_moves_beside_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / "train")
    assert f"\naside={root}.aside\n" in mending_plan([], Path(".."))


def test_of_a_link_and_the_file_it_leads_to_the_file_stays(root: Path) -> None:
    (root / "train/a/0link.png").symlink_to("004.png")
    (root / "test/a/link.png").symlink_to("../../train/a/004.png")
    mend(root, root.parent / "plan.sh")
    assert (root / "train/a/004.png").is_file()
    assert check(root).findings == ()


def test_a_file_that_a_linked_folder_shows_again_is_moved_at_most_once(root: Path) -> None:
    (root / "train/a/more").mkdir()
    picture(900).save(root / "train/a/more/good.png")
    (root / "train/a/more/bad.png").write_bytes(b"")
    (root / "train/a/again").symlink_to("more")
    mend(root, root.parent / "plan.sh")
    assert (root / "train/a/more/good.png").is_file()
    assert not (root / "train/a/more/bad.png").exists()


def test_folders_that_look_like_flags_are_mended(tmp_path: Path) -> None:
    root = tmp_path / "data"
    write_pictures(root, {"-x": 5, "--version": 5})
    (root / "-x" / "-n.png").write_bytes(b"")
    (root / "--version" / "bad.png").write_bytes(b"")
    mend(root, tmp_path / "plan.sh")
    assert check(root).ok
    assert Path(f"{root}.aside/-x/-n.png").exists()


def test_contradicting_labels_are_left_to_people(root: Path) -> None:
    shutil.copy(root / "train/a/002.png", root / "train/b/copy.png")
    plan = mending_plan(check(root).findings, root)
    assert "# aside train/a/002.png\n# aside train/b/copy.png\n" in plan
    assert "nothing to mend" in mending_plan([], root)


def test_json_has_what_scripts_rely_on(root: Path) -> None:
    (root / "train/a/003.png").write_bytes(b"")
    value = json.loads(json.dumps(check(root).to_json()))
    assert value["ok"] is False
    assert value["num_images"] == 32
    assert value["classes"] == ["a", "b"]
    finding = value["findings"][0]
    assert finding["kind"] == "unreadable"
    assert finding["paths"] == [str(root / "train/a/003.png")]
    assert finding["remedy"]


def test_progress_is_told(root: Path) -> None:
    told: list[tuple[int, int]] = []
    dataset = open_dataset(root)
    check_dataset(dataset, deep=True, workers=2, progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (32, 32)
