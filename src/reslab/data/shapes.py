"""Drawn images of any size and number, for tests and measurements: the same seed, the same bytes.

Each image holds one shape of random place, size, turn and colour on a textured, noisy ground.
Image number i is of class i modulo the number of classes and depends on (seed, i) alone, so a
larger set begins with the smaller one. Every fifth image of a class is in the test split.
"""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from reslab.data.arrays import Indices, Pixels
from reslab.data.dataset import Dataset, Digests, Progress, as_digests, digest_of
from reslab.display.names import shown
from reslab.errors import UsageError, unknown

Floats = npt.NDArray[np.float64]
Layout = Literal["flat", "split"]
_OVERSAMPLING = 2
_TEST_EVERY = 5
_VERSION = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShapeSettings:
    """What is drawn.

    Args:
        num: number of images.
        size: side, pixels.
        classes: the first so many of SHAPE_NAMES.
        seed: of everything random.
        grey: one channel instead of RGB.
    """

    num: int = 2000
    size: int = 100
    classes: int = 10
    seed: int = 0
    grey: bool = False

    def __post_init__(self) -> None:
        most = len(SHAPE_NAMES)
        _need(2 <= self.classes <= most, "classes", self.classes, f"between 2 and {most}")
        _need(self.num >= self.classes, "num", self.num, f"{self.classes} (classes) or more")
        _need(8 <= self.size <= 4096, "size", self.size, "between 8 and 4096 pixels")
        _need(self.seed >= 0, "seed", self.seed, "0 or more")


@dataclasses.dataclass(frozen=True)
class ShapeImages:
    """Images that are drawn when they are read."""

    settings: ShapeSettings

    def __len__(self) -> int:
        return self.settings.num

    def name(self, index: int) -> str:
        """Return ``shapes[i]``."""
        return f"shapes[{index}]"

    def read(self, index: int) -> Pixels:
        """Draw one image."""
        return draw(self.settings, index)

    def digests(self, progress: Progress | None = None) -> Digests:
        """Digest what each image follows from: the settings, all but their number, and its own."""
        drawn = {k: v for k, v in dataclasses.asdict(self.settings).items() if k != "num"}
        text = f"shapes {_VERSION} {sorted(drawn.items())}"
        return as_digests([digest_of(f"{text}[{n}]".encode()) for n in range(self.settings.num)])

    def take(self, order: Indices) -> ShapeImages:
        """Return the images as they are: their order follows from the settings."""
        assert np.array_equal(order, np.arange(len(self))), "drawn images keep their order"
        return self

    def first_fingerprint(self) -> str:
        """Hash the settings and the version of the drawing code."""
        text = f"shapes {_VERSION} {sorted(dataclasses.asdict(self.settings).items())}"
        return hashlib.sha256(text.encode()).hexdigest()

    def identity(self) -> str:
        """Hash the settings: the same ones draw the same pixels."""
        return self.first_fingerprint()


def open_shapes(settings: ShapeSettings) -> Dataset:
    """Return the drawn images as a data set with a train and a test split."""
    names = SHAPE_NAMES[: settings.classes]
    order = sorted(names)  # as it would be read from a folder
    number = np.arange(settings.num, dtype=np.int64)
    to_label = np.array([order.index(name) for name in names], dtype=np.int64)
    test = number // settings.classes % _TEST_EVERY == _TEST_EVERY - 1
    return Dataset(
        name="shapes",
        classes=tuple(order),
        images=ShapeImages(settings),
        labels=to_label[number % settings.classes],
        splits={"train": number[~test], "test": number[test]},
    )


def parse_settings(text: str) -> ShapeSettings:
    """Read ``num=2000,size=100,classes=10,seed=0,grey=1``, any of them, in any order."""
    known = {field.name for field in dataclasses.fields(ShapeSettings)}
    values: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in known:
            raise unknown("setting of shapes", name, known)
        if not value.isdecimal():
            raise UsageError(f"{name} must be a whole number, received '{value}'")
        values[name] = int(value)
    grey = bool(values.pop("grey", 0))
    return ShapeSettings(grey=grey, **values)


def write_folder(out: Path, settings: ShapeSettings, *, layout: Layout = "flat") -> list[Path]:
    """Write the images as JPEG files of quality 90.

    Args:
        out: a folder that is empty or does not exist yet.
        settings: what to draw.
        layout: "flat" for ``<class>/...``, "split" for ``train|test/<class>/...``.

    Returns:
        The files, in the order of their numbers.

    Raises:
        UsageError: the folder is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{shown(out)} is not an empty folder", remedy="name a new one")
    dataset = open_shapes(settings)
    test = set(dataset.splits["test"].tolist())
    files = []
    for index in range(settings.num):
        folder = out / dataset.classes[dataset.labels[index]]
        if layout == "split":
            folder = out / ("test" if index in test else "train") / folder.name
        if index < 2 * _TEST_EVERY * settings.classes:
            folder.mkdir(parents=True, exist_ok=True)
        files.append(folder / f"{index:06d}.jpg")
        Image.fromarray(draw(settings, index)).save(files[-1], quality=90)
    return files


def draw(settings: ShapeSettings, index: int) -> Pixels:
    """Draw image number `index`: uint8, (size, size, 3), or (size, size) in grey."""
    rng = np.random.default_rng([settings.seed, index])
    size = settings.size
    mask = _mask(SHAPE_NAMES[index % settings.classes], size, rng)
    ground, fill = _colours(rng)
    image = ground * (1 + 0.35 * _texture(size, rng))[..., None]
    shape = fill * (1 + 0.15 * _texture(size, rng))[..., None]
    image += (shape - image) * mask[..., None]
    image += rng.normal(0, rng.uniform(2, 12), (size, size, 1))
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8)
    return np.array(Image.fromarray(pixels).convert("L")) if settings.grey else pixels


def _mask(name: str, size: int, rng: np.random.Generator) -> Floats:
    """Return how much of each pixel the shape covers, in [0, 1]."""
    radius = rng.uniform(0.2, 0.42)
    middle = 0.5 + rng.uniform(-1, 1, 2) * (0.48 - radius)
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    side = size * _OVERSAMPLING
    canvas = Image.new("L", (side, side))
    pen = ImageDraw.Draw(canvas)
    outline, hole = _OUTLINES[name]
    for points, ink in ((outline, 255), (hole, 0)):
        if len(points):
            placed = (points @ turn.T * radius + middle) * side
            pen.polygon([(float(x), float(y)) for x, y in placed], fill=ink)
    return np.asarray(canvas.reduce(_OVERSAMPLING), dtype=np.float64) / 255


def _colours(rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw a ground and a fill that differ enough in lightness to be told apart in grey."""
    weights = np.array([0.299, 0.587, 0.114])
    while True:
        ground, fill = rng.uniform(20, 235, (2, 3))
        if abs(float((ground - fill) @ weights)) > 50:
            return ground, fill


def _texture(size: int, rng: np.random.Generator) -> Floats:
    """Return smooth noise in about [-1, 1]."""
    cells = int(rng.integers(3, 9))
    grid = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
    return np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)


def _polar(angles: npt.NDArray[Any], radii: npt.NDArray[Any] | float) -> Floats:
    return np.stack([np.sin(angles) * radii, -np.cos(angles) * radii], axis=1)


def _regular(corners: int, radius: float = 1.0) -> Floats:
    return _polar(np.arange(corners) * (2 * np.pi / corners), radius)


def _star() -> Floats:
    return _polar(np.arange(10) * (np.pi / 5), np.where(np.arange(10) % 2, 0.42, 1.0))


def _heart() -> Floats:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return np.stack([x / 17, -(y + 2.5) / 17], axis=1)


def _crescent() -> Floats:
    """Cut a displaced circle out of a circle; both pass through the two horns."""
    horn, lift = np.radians(50), 0.45
    outer = _polar(np.linspace(horn, 2 * np.pi - horn, 40), 1.0)
    across, up = np.sin(horn), np.cos(horn) - lift
    start = np.arctan2(across, up)
    inner = _polar(np.linspace(2 * np.pi - start, start, 40), np.hypot(across, up))
    return np.concatenate([outer, inner - np.array([0, lift])])


def _cross(arm: float = 0.34) -> Floats:
    corners = [np.array([[-arm, -1.0], [arm, -1.0], [arm, -arm]])]
    for _ in range(3):
        corners.append(corners[-1] @ np.array([[0.0, 1.0], [-1.0, 0.0]]))
    return np.concatenate(corners)


_NOTHING = np.zeros((0, 2))
_OUTLINES: dict[str, tuple[Floats, Floats]] = {
    "circle": (_regular(48), _NOTHING),
    "square": (_regular(4), _NOTHING),
    "triangle": (_regular(3), _NOTHING),
    "star": (_star(), _NOTHING),
    "cross": (_cross(), _NOTHING),
    "ring": (_regular(48), _regular(48, 0.6)),
    "ellipse": (_regular(48) * np.array([1.0, 0.48]), _NOTHING),
    "pentagon": (_regular(5), _NOTHING),
    "heart": (_heart(), _NOTHING),
    "crescent": (_crescent(), _NOTHING),
    "bar": (np.array([[-1, -0.22], [1, -0.22], [1, 0.22], [-1, 0.22]]), _NOTHING),
    "arrow": (
        np.array(
            [[0, -1], [0.75, -0.15], [0.28, -0.15], [0.28, 1], [-0.28, 1], [-0.28, -0.15],
             [-0.75, -0.15]]
        ),
        _NOTHING,
    ),
}  # fmt: skip
SHAPE_NAMES = tuple(_OUTLINES)


def _need(condition: bool, name: str, value: object, allowed: str) -> None:
    if not condition:
        raise UsageError(f"{name} must be {allowed}, received {value}")
