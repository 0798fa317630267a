"""An answer for every image, the same whichever way it comes in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reslab import artifact, networks
from reslab.artifact import Artifact
from reslab.data.decode import decode_file
from reslab.data.preprocess import Preprocess, fit, network_input
from reslab.errors import CheckpointError, DivergedError, MachineError, UsageError
from reslab.machine import enough_memory
from reslab.networks.network import build
from reslab.networks.resnet import ResNetSpec, StageSpec, StemSpec
from reslab.predict import Prediction, Predictor, find_images, load
from tolerance import rounding_of

CLASSES = ("ant", "bee", "cat", "dog")


def make_model(in_chans: int = 3, temperature: float = 0.2) -> Artifact:
    torch.manual_seed(in_chans)
    spec = ResNetSpec(
        name="tiny",
        num_classes=4,
        in_chans=in_chans,
        img_size=8,
        stem=StemSpec(width=4, kernel=3, stride=1, max_pool=False),
        stages=(StageSpec(width=4, depth=1, stride=1),),
    )
    preprocess = Preprocess(
        img_size=8,
        resize_size=10,
        in_chans=in_chans,
        resize="crop",
        mean=(0.4,) * in_chans,
        std=(0.3,) * in_chans,
    )
    return Artifact(build(spec).eval(), CLASSES, preprocess, temperature=temperature)


def draw_images(folder: Path, count: int, seed: int = 0) -> list[Path]:
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(count):
        height, width = draw.integers(9, 30, 2)
        pixels = draw.integers(0, 256, (height, width, 3), np.uint8)
        pixels //= draw.integers(1, 9, 3, np.uint8)
        paths.append(folder / f"{i:03d}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


@pytest.fixture
def model() -> Artifact:
    return make_model()


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return draw_images(tmp_path / "images", 9)


def logits_by_hand(model: Artifact, path: Path) -> torch.Tensor:
    fitted = torch.tensor(fit(decode_file(path), model.preprocess)).unsqueeze(0)
    with torch.no_grad():
        logits: torch.Tensor = model.network(network_input(fitted, model.preprocess))
    return logits[0]


def largest_logit(model: Artifact, paths: list[Path]) -> float:
    return max(float(logits_by_hand(model, path).abs().max()) for path in paths)


def by_hand(model: Artifact, path: Path) -> dict[str, float]:
    """One image at a time, as the documents say it is done."""
    powers = (logits_by_hand(model, path).double() / model.temperature).exp()
    return dict(zip(model.classes, (powers / powers.sum()).tolist(), strict=True))


@pytest.mark.parametrize("batch_size", [1, 4, 64])
@pytest.mark.parametrize("in_chans", [1, 3])
def test_predictions_are_those_made_by_hand(
    paths: list[Path], batch_size: int, in_chans: int
) -> None:
    model = make_model(in_chans)
    found = Predictor(model, device="cpu", batch_size=batch_size).predict(paths)
    assert [p.path for p in found] == [str(path) for path in paths]
    labels = set()
    bound = rounding_of(model.network, largest_logit(model, paths))
    for prediction, path in zip(found, paths, strict=True):
        expected = by_hand(model, path)
        assert dict(prediction.top) == pytest.approx(expected, abs=bound)
        probs = [prob for _, prob in prediction.top]
        assert probs == sorted(probs, reverse=True)
        assert sum(probs) == pytest.approx(1)
        labels.add(prediction.top[0])
    assert len(labels) == len(paths), "the images are told apart"


def test_the_temperature_is_applied(paths: list[Path]) -> None:
    cold = Predictor(make_model(temperature=0.2), device="cpu").predict(paths)
    hot = Predictor(make_model(temperature=5.0), device="cpu").predict(paths)
    for a, b in zip(cold, hot, strict=True):
        assert a.top[0][0] == b.top[0][0]
        assert a.top[0][1] > b.top[0][1]


def test_paths_images_and_arrays_give_the_same(model: Artifact, paths: list[Path]) -> None:
    predictor = Predictor(model, device="cpu")
    from_paths = predictor.predict(paths)
    from_pillow = predictor.predict([Image.open(path) for path in paths])
    from_arrays = predictor.predict([np.asarray(Image.open(path)) for path in paths])
    from_folder = predictor.predict(paths[0].parent)
    for number, (a, b, c, d) in enumerate(
        zip(from_paths, from_pillow, from_arrays, from_folder, strict=True)
    ):
        assert a.top == b.top == c.top == d.top
        assert b.path == f"image[{number}]"
        assert d.path == a.path


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16"])
def test_a_pillow_image_of_any_mode_is_converted_as_its_file(
    model: Artifact, tmp_path: Path, mode: str
) -> None:
    draw = np.random.default_rng(1)
    if mode == "I;16":
        image = Image.fromarray(draw.integers(0, 65536, (20, 20), np.uint16))
    else:
        image = Image.fromarray(draw.integers(0, 256, (20, 20, 4), np.uint8)).convert(mode)
    assert image.mode == mode
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    image.save(path)
    predictor = Predictor(model, device="cpu")
    assert predictor.predict(image)[0].top == predictor.predict(path)[0].top


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_transparency_is_white_for_files_and_for_pillow_images(
    model: Artifact, tmp_path: Path, mode: str
) -> None:
    image = Image.new("RGBA", (20, 20), (255, 0, 0, 255)).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(0)
        image.save(tmp_path / "clear.png")
    else:
        clear = (255, 0, 0) if mode == "RGB" else image.getpixel((0, 0))
        image.save(tmp_path / "clear.png", transparency=clear)
    predictor = Predictor(model, device="cpu")
    white = predictor.predict(np.full((20, 20, 3), 255, np.uint8))[0].top
    assert predictor.predict(tmp_path / "clear.png")[0].top == white
    opened = Image.open(tmp_path / "clear.png")
    for _ in range(2):  # not loaded yet, and then loaded
        assert predictor.predict(opened)[0].top == white


def test_an_exif_rotation_counts_for_pillow_images_too(model: Artifact, tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (12, 24, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    predictor = Predictor(model, device="cpu")
    turned = predictor.predict(np.ascontiguousarray(np.rot90(pixels, -1)))[0].top
    assert predictor.predict(tmp_path / "turned.png")[0].top == turned
    assert predictor.predict(Image.open(tmp_path / "turned.png"))[0].top == turned
    assert predictor.predict(pixels)[0].top != turned


def test_an_unreadable_image_has_its_error_and_harms_no_neighbour(
    model: Artifact, paths: list[Path]
) -> None:
    clean = Predictor(model, device="cpu").predict(paths)
    bound = rounding_of(model.network, largest_logit(model, paths))
    whole = paths[3].read_bytes()
    paths[3].write_bytes(whole[: len(whole) // 2])
    paths[5].write_bytes(b"")
    missing = paths[0].with_name("missing.jpg")
    for batch_size in (1, 3, 64):
        predictor = Predictor(model, device="cpu", batch_size=batch_size)
        found = predictor.predict([*paths, missing])
        assert [p.path for p in found] == [str(p) for p in [*paths, missing]]
        failed = {i for i, p in enumerate(found) if p.error}
        assert failed == {3, 5, 9}
        assert all(not found[i].top for i in failed)
        assert "003.png" in found[3].error
        assert "does not exist" in found[9].error
        for i in set(range(9)) - failed:
            assert dict(found[i].top) == pytest.approx(dict(clean[i].top), abs=bound)
    everything_bad = predictor.predict([missing, paths[5]])
    assert all(p.error for p in everything_bad)


def test_a_truncated_pillow_image_is_reported_like_a_file(
    model: Artifact, paths: list[Path]
) -> None:
    whole = paths[3].read_bytes()
    paths[3].write_bytes(whole[: len(whole) // 2])
    with Image.open(paths[3]) as image:
        (found,) = Predictor(model, device="cpu").predict([image])
    assert "image[0]" in found.error


def test_a_stream_answers_before_it_asks_for_more(model: Artifact, paths: list[Path]) -> None:
    """With a batch of one, a program may wait for each answer before it names the next image."""
    asked: list[Path] = []

    def source() -> Iterator[Path]:
        for path in paths:
            asked.append(path)
            yield path

    answered = 0
    for prediction in Predictor(model, device="cpu", batch_size=1).predict_paths(source()):
        answered += 1
        assert len(asked) == answered
        assert prediction.path == str(paths[answered - 1])
    assert answered == len(paths)


def test_a_stream_reads_only_a_few_batches_ahead(model: Artifact, paths: list[Path]) -> None:
    asked = 0

    def endless() -> Iterator[Path]:
        nonlocal asked
        while True:
            asked += 1
            yield paths[0]

    stream = Predictor(model, device="cpu", batch_size=4).predict_paths(endless())
    for _ in range(10):
        next(stream)
    assert asked <= 4 * 4
    stream.close()  # type: ignore[attr-defined]


def test_top_is_clamped_to_the_classes(model: Artifact, paths: list[Path]) -> None:
    predictor = Predictor(model, device="cpu")
    assert [len(predictor.predict(paths[0], top=k)[0].top) for k in (1, 3, 99)] == [1, 3, 4]
    with pytest.raises(UsageError, match="top must be 1 or more"):
        predictor.predict(paths[0], top=0)


@pytest.mark.parametrize(
    "array",
    [np.zeros((4, 4), np.float32), np.zeros((4, 4, 5), np.uint8), np.zeros(4, np.uint8)],
)
def test_arrays_of_another_kind_are_refused(model: Artifact, array: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"image\[0\] is an array"):
        Predictor(model, device="cpu").predict(array)


def test_what_is_no_image_is_refused(model: Artifact) -> None:
    with pytest.raises(UsageError, match="not int"):
        Predictor(model, device="cpu").predict([3])  # type: ignore[list-item]


def test_a_model_that_puts_out_nonsense_is_an_error(model: Artifact, paths: list[Path]) -> None:
    with torch.no_grad():
        next(model.network.parameters()).fill_(torch.nan)
    with pytest.raises(DivergedError):
        Predictor(model, device="cpu").predict(paths[0])


def test_load_reads_what_save_wrote(model: Artifact, paths: list[Path], tmp_path: Path) -> None:
    before = Predictor(model, device="cpu").predict(paths)
    artifact.save(model, tmp_path / "run" / "model")
    assert load(tmp_path / "run", device="cpu").predict(paths) == before


def test_a_lack_of_memory_names_batch_and_size() -> None:
    words = "out of memory with 64 images of 224x224"
    with pytest.raises(MachineError, match=words), enough_memory(64, 224):
        torch.empty(2**60, dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="size"), enough_memory(64, 224):
        torch.zeros(3) + torch.zeros(4)


def test_json_of_a_prediction() -> None:
    found = Prediction("a.png", (("cat", 0.75), ("dog", 0.25)))
    top = [{"label": "cat", "prob": 0.75}, {"label": "dog", "prob": 0.25}]
    assert found.to_json() == {"path": "a.png", "top": top}
    assert Prediction("b.png", error="is empty").to_json() == {"path": "b.png", "error": "is empty"}


def test_folders_patterns_and_files_are_found(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/deep/3.jpg", "a.jpeg", "notes.txt", ".hidden.png", ".git/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    root = str(tmp_path)
    below = [f"{root}/a.jpeg", f"{root}/b/2.PNG", f"{root}/b/deep/3.jpg"]
    assert list(find_images([f"{root}/b*", f"{root}/a.jpeg"])) == [*below[1:], below[0]]
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    assert list(find_images([root])) == below
    assert list(find_images([f"{root}/**/*.jp*g"])) == [f"{root}/a.jpeg", f"{root}/b/deep/3.jpg"]
    for given in (f"{root}/notes.txt", f"{root}/nowhere", f"{root}/x*.png", f"{root}/empty"):
        assert list(find_images([given])) == [given], "what leads nowhere stays to be reported"
    (tmp_path / "[odd].png").write_bytes(b"x")
    assert list(find_images([f"{root}/[odd].png"])) == [f"{root}/[odd].png"]


def test_a_link_that_leads_to_itself_is_no_folder(
    model: Artifact, paths: list[Path], tmp_path: Path
) -> None:
    folder = paths[0].parent
    (folder / "loop").symlink_to("loop")
    (folder / "loop.png").symlink_to("loop.png")
    found = Predictor(model, device="cpu").predict(folder)
    assert [p.path for p in found if p.error] == [str(folder / "loop.png")]
    assert len(found) == len(paths) + 1
    (alone,) = Predictor(model, device="cpu").predict(folder / "loop")
    assert alone.error


def test_names_that_are_not_utf_8_work(model: Artifact, paths: list[Path]) -> None:
    odd = os.fsencode(paths[0].parent) + b"/odd\xff\n.png"
    os.rename(paths[0], odd)
    found = Predictor(model, device="cpu").predict(paths[0].parent)
    (prediction,) = [p for p in found if os.fsencode(p.path) == odd]
    assert prediction.top


def test_a_model_without_a_classifier_is_refused(model):
    spec = networks.replace(model.network.spec, num_classes=0)
    headless = Artifact(build(spec).eval(), (), model.preprocess)
    with pytest.raises(CheckpointError, match=r"tiny has no classifier.*reslab train DATA --start"):
        Predictor(headless)
