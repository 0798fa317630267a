"""One photograph, one answer: a file, its Pillow image and its array are the same to a model."""

from __future__ import annotations

import dataclasses
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from reslab import artifact, durable
from reslab.artifact import Artifact
from reslab.data.dataset import FileImages
from reslab.data.image_cache import cache_path
from reslab.data.preprocess import Preprocess, fit, fit_file
from reslab.errors import UsageError
from reslab.networks.network import build
from reslab.networks.resnet import ResNetSpec, StageSpec, StemSpec
from reslab.predict import Predictor

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SIZE = 32


def make_model(**fields: object) -> Artifact:
    torch.manual_seed(3)
    spec = ResNetSpec(
        name="tiny",
        num_classes=4,
        in_chans=3,
        img_size=SIZE,
        stem=StemSpec(width=8, kernel=3, stride=1, max_pool=False),
        stages=(StageSpec(width=8, depth=1, stride=1),),
    )
    preprocess = Preprocess(img_size=SIZE, resize_size=SIZE, **fields)  # type: ignore[arg-type]
    return Artifact(build(spec).eval(), ("a", "b", "c", "d"), preprocess, temperature=0.05)


def detailed(seed: int, width: int, height: int) -> Image.Image:
    """Draw coarse shapes, a fine pattern and noise, clipped here and there as photographs are."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8)).resize((width, height))
    y, x = np.mgrid[:height, :width]
    pattern = 60 * np.sin(x / (1.5 + seed)) * np.sin(y / 2.3)
    noise = rng.normal(0, 35, (height, width, 3))
    return Image.fromarray(
        np.clip(np.asarray(coarse) + pattern[..., None] + noise, 0, 255).astype(np.uint8)
    )


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photographs")
    exif = Image.Exif()
    exif[0x0112] = 6
    written = (
        (640, 480, {"quality": 75}),
        (801, 603, {"quality": 92, "subsampling": 0}),
        (1000, 333, {"quality": 60, "subsampling": 2, "progressive": True}),
        (515, 777, {"quality": 97, "exif": exif}),
    )
    paths = []
    for number, (width, height, options) in enumerate(written):
        paths.append(folder / f"{number}.jpg")
        detailed(number, width, height).save(paths[-1], **options)
    paths.append(folder / "grey.jpg")
    detailed(9, 700, 500).convert("L").save(paths[-1], quality=80)
    return paths


def as_array(path: Path) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(Image.open(path)))


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "box"])
def test_a_file_has_the_answer_of_its_array(
    photographs: list[Path], resize: str, interpolation: str
) -> None:
    predictor = Predictor(make_model(resize=resize, interpolation=interpolation), device="cpu")
    files = predictor.predict(photographs)
    arrays = predictor.predict([as_array(path) for path in photographs])
    images = predictor.predict([Image.open(path) for path in photographs])
    for file, array, image in zip(files, arrays, images, strict=True):
        assert file.top == array.top == image.top


def old_model(folder: Path) -> Path:
    """Write a model as versions before the field `decoding` did."""
    artifact.save(make_model(), folder / "new")
    files = durable.read_directory(folder / "new")
    value = json.loads(files["model.json"])
    del value["preprocess"]["decoding"], value["preprocess"]["bit_depth"]
    files["model.json"] = json.dumps(value).encode()
    durable.save_directory(folder / "old", files)
    return folder / "old"


def test_an_old_model_keeps_its_answers(photographs: list[Path], tmp_path: Path) -> None:
    """It was trained on JPEG files scaled by the decoder; the reference is Pillow's own."""
    old = artifact.load(old_model(tmp_path))
    assert old.preprocess.decoding == 1
    differ = 0
    for path in photographs:
        image = Image.open(path)
        image.draft(None, (SIZE, SIZE))
        scaled = ImageOps.exif_transpose(image).convert("RGB")
        expected = np.asarray(scaled.resize((SIZE, SIZE), Image.Resampling.BILINEAR))
        np.testing.assert_array_equal(fit_file(path, old.preprocess), expected)
        differ += not np.array_equal(fit(as_array(path), old.preprocess), expected)
    assert differ == len(photographs), "these files would show a change"
    artifact.save(old, tmp_path / "copy")
    assert artifact.load(tmp_path / "copy").preprocess == old.preprocess
    found = Predictor(old, device="cpu").predict(photographs)
    new = Predictor(make_model(), device="cpu").predict(photographs)
    assert all(a.top != b.top for a, b in zip(found, new, strict=True))


def test_what_old_rules_decoded_is_not_taken_for_new(
    photographs: list[Path], tmp_path: Path
) -> None:
    images = FileImages(photographs[0].parent, tuple(path.name for path in photographs))
    new = make_model().preprocess
    rules = (new, dataclasses.replace(new, decoding=1), dataclasses.replace(new, bit_depth=12))
    assert len({cache_path(images, each, tmp_path) for each in rules}) == 3


@pytest.mark.parametrize("bit_depth", [12, 16])
def test_sixteen_bit_arrays_are_as_their_files(tmp_path: Path, bit_depth: int) -> None:
    values = np.random.default_rng(0).integers(0, 2**bit_depth, (40, 50)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    predictor = Predictor(make_model(bit_depth=bit_depth), device="cpu")
    from_file = predictor.predict(tmp_path / "a.png")[0].top
    assert predictor.predict(values)[0].top == from_file
    assert predictor.predict(Image.fromarray(values))[0].top == from_file


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_arrays_with_alpha_are_laid_on_white_as_files_are(tmp_path: Path, mode: str) -> None:
    draw = np.random.default_rng(1)
    image = Image.fromarray(draw.integers(0, 256, (40, 40, 4), np.uint8)).convert(mode)
    image.save(tmp_path / "a.png")
    array = np.asarray(image)
    predictor = Predictor(make_model(), device="cpu")
    from_file = predictor.predict(tmp_path / "a.png")[0].top
    assert predictor.predict(array)[0].top == from_file
    if mode == "L":
        assert predictor.predict(array[..., None])[0].top == from_file


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((0, 5), np.uint8), r"without pixels, of shape \(0, 5\)"),
        (np.zeros((5, 0, 3), np.uint8), "without pixels"),
        (np.zeros((5, 5, 0), np.uint8), "without pixels"),
        (np.zeros((5, 5, 3), np.float32), r"float32.*round\(\)\.astype\('uint8'\)"),
        (np.zeros((5, 5, 3), np.int64), r"int64.*astype\('uint8'\)"),
        (np.zeros((5, 5), bool), "bool"),
        (np.zeros((3, 32, 32), np.uint8), r"transpose\(1, 2, 0\)"),
        (np.zeros((2, 32, 32, 3), np.uint8), r"list\(array\)"),
        (np.zeros((), np.uint8), r"uint8 \(\)"),
    ],
)
def test_other_arrays_are_refused_in_one_line(array: np.ndarray, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        Predictor(make_model(), device="cpu").predict(array)
    assert "\n" not in str(caught.value)


def test_a_tensor_is_refused_with_what_to_give() -> None:
    with pytest.raises(UsageError, match=r"not Tensor.*tensor\.numpy\(\)"):
        Predictor(make_model(), device="cpu").predict([torch.zeros(3, 8, 8)])  # type: ignore[list-item]


@pytest.mark.slow
def test_two_hundred_photographs(tmp_path: Path) -> None:
    """Real photographs enlarged to 100x80 .. 4000x3000, with grain; MobileNet at 224 px."""
    flowers = SHARED / "flowers.tar.gz"
    weights = SHARED / "weights" / "mobilenet_v1-imagenet"
    if not flowers.is_file() or not weights.is_dir():
        pytest.skip(f"needs {flowers} and {weights}, which are not part of the project")
    with tarfile.open(flowers) as archive:
        members = [m for m in archive if m.name.endswith(".jpg")][:50]
        sources = [Image.open(archive.extractfile(m)).convert("RGB") for m in members]  # type: ignore[arg-type]
    old = artifact.load(weights)
    assert old.preprocess.decoding == 1
    new = dataclasses.replace(old, preprocess=dataclasses.replace(old.preprocess, decoding=2))
    apart = {1: [], 2: []}
    draw = np.random.default_rng(0)
    for number in range(200):
        share = number / 199
        size = (round(100 * 40**share), round(80 * 37.5**share))
        image = sources[number % 50].resize(size, Image.Resampling.LANCZOS)
        grain = draw.normal(0, 12, (size[1], size[0], 1))
        pixels = np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
        path = tmp_path / "photograph.jpg"
        options = {"quality": (60, 80, 95)[number % 3], "subsampling": (0, 2)[number % 2]}
        Image.fromarray(pixels).save(path, **options)
        for model in (old, new):
            file, array = Predictor(model, device="cpu").predict([path, as_array(path)], top=1000)
            probabilities = dict(array.top)
            apart[model.preprocess.decoding].append(
                (
                    max(abs(value - probabilities[label]) for label, value in file.top),
                    file.top[0][0] != array.top[0][0],
                )
            )
    assert max(apart[2]) == (0.0, False)
    assert max(apart[1])[0] > 0.02, "the old rules would show"
