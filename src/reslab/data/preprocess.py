"""The one definition of preprocessing, used to train, evaluate, predict, export and serve.

An image goes: file -> `decode` (uint8, any size) -> `fit` (uint8, resize_size square)
-> `center_crop` (uint8, img_size square) -> `normalize` (float). Training replaces only the
middle step by random views; the rest is the same code.
"""

from __future__ import annotations

import dataclasses
import functools
import queue
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from reslab import dataclass_json
from reslab.child import Child, ChildEnded, Parent
from reslab.data.arrays import Pixels
from reslab.data.dataset import FileImages, Images
from reslab.data.decode import BIT_DEPTHS, FULL_BIT_DEPTH
from reslab.display.short import short_repr
from reslab.errors import DataError, MachineError, UsageError
from reslab.machine import available_cores

if TYPE_CHECKING:
    import torch

    from reslab.data.decode import Rules


ResizePolicy = Literal["squash", "crop", "pad"]
Interpolation = Literal["bilinear", "bicubic", "box"]

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
}
DECODING_VERSION = 2
# What "pad" puts around an image, in 0..255.
BORDER = 128


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preprocess:
    """How an image of any size becomes the input of a network.

    Args:
        img_size: side of the network's input, pixels.
        resize_size: side of the square that the whole image is fitted to first, pixels;
            the centre of `img_size` is cut from it. Equal sides cut nothing off.
        in_chans: 1 for grey, 3 for RGB.
        resize: "squash" changes the aspect ratio, "crop" cuts the longer side centrally,
            "pad" adds a mid-grey border.
        interpolation: Pillow's filter (all of them anti-alias when shrinking).
        mean: per-channel mean, in [0, 1].
        std: per-channel standard deviation, in [0, 1].
        mean_image: per-pixel mean of shape (resize_size, resize_size, in_chans), in [0, 1],
            used instead of `mean` as in He et al. 2015; None for the per-channel mean.
        decoding: version of the rules by which files are decoded. 1, of models whose description
            lacks the field, decodes JPEG files at 1/2, 1/4 or 1/8 of their size while neither
            side falls below `resize_size`: a file then gives other pixels than an array of its
            full image. 2 decodes all of the pixels.
        bit_depth: bits that 16-bit images use: 2**bit_depth - 1 becomes 255, and what is
            brighter is clipped. Cameras and scanners store 10, 12 or 14 bits this way.
    """

    img_size: int
    resize_size: int
    in_chans: int = 3
    resize: ResizePolicy = "squash"
    interpolation: Interpolation = "bilinear"
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    mean_image: npt.NDArray[np.float32] | None = dataclasses.field(
        default=None, compare=False, repr=False
    )
    decoding: int = DECODING_VERSION
    bit_depth: int = FULL_BIT_DEPTH

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if self.in_chans not in (1, 3):
            raise UsageError(f"in_chans must be 1 or 3 for images, received {self.in_chans}")
        if not 1 <= self.img_size <= self.resize_size:
            raise UsageError(
                f"img_size must be in 1..resize_size, received {self.img_size} "
                f"with resize_size {self.resize_size}"
            )
        if len(self.mean) != self.in_chans or len(self.std) != self.in_chans:
            raise UsageError(f"mean and std need {self.in_chans} values each")
        if not all(0 <= value <= 1 for value in self.mean):
            raise _out_of_range("mean", "in 0..1", self.mean)
        if not all(0 < value <= 1 for value in self.std):
            raise _out_of_range("std", "above 0 and at most 1", self.std)
        dataclass_json.check_literals(self)
        if self.decoding not in range(1, DECODING_VERSION + 1):
            raise UsageError(
                f"decoding must be in 1..{DECODING_VERSION}, received {self.decoding}",
                remedy="a newer reslab wrote this: upgrade",
            )
        if self.bit_depth not in BIT_DEPTHS:
            raise UsageError(
                f"bit_depth must be in {BIT_DEPTHS[0]}..{BIT_DEPTHS[-1]}, received {self.bit_depth}"
            )

    @functools.cached_property
    def _constants(self) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        return {}

    def constants(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and standard deviation of each row of pixels, in 0..255.

        Returns:
            float32, (resize_size or 1, resize_size * in_chans) and (resize_size * in_chans).
        """
        import torch

        found = self._constants.get(str(device))
        if found is None:
            if self.mean_image is not None:
                mean = torch.from_numpy(self.mean_image).flatten(1)
            else:
                mean = torch.tensor(self.mean).repeat(1, self.resize_size)
            std = torch.tensor(self.std).repeat(self.resize_size)
            found = (mean.to(device) * 255, std.to(device) * 255)
            self._constants[str(device)] = found
        return found

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; the mean image is a tensor and is stored beside the weights."""
        plain = dataclasses.replace(self, mean_image=None)
        return {**dataclass_json.to_json(plain), "mean_image": self.mean_image is not None}

    @classmethod
    def from_json(
        cls, value: Mapping[str, Any], mean_image: npt.NDArray[np.float32] | None = None
    ) -> Preprocess:
        """Rebuild what `to_json` described; the mean image is handed in."""
        fields = dict(value)
        # Models made before these were settings keep their answers.
        fields.setdefault("decoding", 1)
        fields.setdefault("bit_depth", FULL_BIT_DEPTH)
        needs_image = fields.pop("mean_image")
        assert needs_image == (mean_image is not None), "the mean image is missing"
        without_image = dataclass_json.from_json(cls, fields, "preprocess")
        return dataclasses.replace(without_image, mean_image=mean_image)


def _out_of_range(name: str, allowed: str, values: tuple[float, ...]) -> UsageError:
    """Build the error for values that no pixels in [0, 1] have."""
    received = ", ".join(f"{value:g}" for value in values)
    return UsageError(
        f"{name} must be {allowed}, received {received}",
        remedy="divide by 255 what is of pixels in 0..255" if max(values) > 1 else "",
    )


def fit(pixels: Pixels, preprocess: Preprocess) -> Pixels:
    """Bring one decoded image to (resize_size, resize_size, in_chans), uint8.

    Args:
        pixels: uint8, (height, width) or (height, width, 3).
    """
    size = preprocess.resize_size
    mode = "L" if preprocess.in_chans == 1 else "RGB"
    if pixels.shape[:2] == (size, size) and pixels.ndim == (2 if mode == "L" else 3):
        return np.ascontiguousarray(pixels).reshape(size, size, preprocess.in_chans)
    image = Image.fromarray(pixels)
    if image.mode != mode:
        image = image.convert(mode)
    if image.size != (size, size):
        image = _to_square(image, size, preprocess)
    return np.asarray(image).reshape(size, size, preprocess.in_chans)


def fit_file(path: str | Path, preprocess: Preprocess) -> Pixels:
    """Decode an image file and fit it: what `fit` makes of an array of the same image.

    In decoding version 1 the two differ for large JPEG files.

    Raises:
        DataError: the file cannot be decoded; the message names it.
    """
    from reslab.data.decode import decode_file

    at_least = preprocess.resize_size if preprocess.decoding == 1 else None
    return fit(decode_file(path, at_least=at_least, rules=rules_of(preprocess)), preprocess)


def rules_of(preprocess: Preprocess) -> Rules:
    """Return what a model's preprocessing says of decoding."""
    from reslab.data.decode import Rules

    return Rules(bit_depth=preprocess.bit_depth, version=preprocess.decoding)


def _to_square(image: Image.Image, size: int, preprocess: Preprocess) -> Image.Image:
    resample = _FILTERS[preprocess.interpolation]
    width, height = image.size
    if preprocess.resize == "squash" or width == height:
        return image.resize((size, size), resample)
    if preprocess.resize == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return image.resize((size, size), resample, box=(left, top, left + side, top + side))
    scale = size / max(width, height)
    inner = (max(1, round(width * scale)), max(1, round(height * scale)))
    canvas = Image.new(image.mode, (size, size), (BORDER,) * preprocess.in_chans)
    canvas.paste(image.resize(inner, resample), ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return canvas


def normalize(batch: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """Compute (x / 255 - mean) / std over fitted images that are not cut yet.

    Args:
        batch: pixels in 0..255, uint8 or float32, (B, resize_size, resize_size, in_chans).

    Returns:
        float32, (B, in_chans, resize_size, resize_size), channels last in memory.
    """
    import torch

    mean, std = preprocess.constants(batch.device)
    # Whole rows at a time: an innermost dimension of three channels would be slow.
    rows = batch.to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    rows.flatten(2).sub_(mean).div_(std)
    return rows.permute(0, 3, 1, 2)


def center_crop(batch: torch.Tensor, img_size: int) -> torch.Tensor:
    """Cut the central img_size square from (..., height, width)."""
    top = (batch.shape[-2] - img_size) // 2
    left = (batch.shape[-1] - img_size) // 2
    return batch[..., top : top + img_size, left : left + img_size]


def network_input(batch: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """Turn fitted uint8 images (B, H, W, C) into a network's float32 input (B, C, h, w)."""
    return center_crop(normalize(batch, preprocess), preprocess.img_size)


# --- many images at once: by threads, or by processes where the files are small -------------------
# Threads share what Pillow's decoders do without Python's lock. Of a small file that is less than
# half of the work, so large numbers of files go to processes instead: each is a `Child` that runs
# this module's `main`. It reads its job, then [start, stop] for each chunk, and answers with a line
# of JSON and the raw pixels.


_CHUNK_BYTES = 4 << 20
_CHUNK_IMAGES = 256
# Starting a process takes about a quarter of a second of a core.
_MIN_FILES_FOR_PROCESSES = 8_192


def fit_image(images: Images, index: int, preprocess: Preprocess) -> Pixels:
    """Decode and fit one image, as its preprocessing says."""
    if isinstance(images, FileImages):
        return fit_file(images.name(index), preprocess)
    return fit(images.read(index), preprocess)


def fit_range(images: Images, start: int, stop: int, preprocess: Preprocess) -> Pixels:
    """Decode and fit the images start .. stop - 1: uint8 (n, resize_size, resize_size, C)."""
    size = preprocess.resize_size
    pixels = np.empty((stop - start, size, size, preprocess.in_chans), np.uint8)
    for index in range(start, stop):
        pixels[index - start] = fit_image(images, index, preprocess)
    return pixels


def fit_all(images: Images, preprocess: Preprocess, workers: int = 0) -> Iterator[Pixels]:
    """Yield all images, decoded and fitted, as chunks in their order.

    Args:
        images: what to read.
        preprocess: how to fit.
        workers: threads or processes; 0 for one a core.

    Raises:
        DataError: the first image that cannot be decoded; the message names it.
        MachineError: a decoding process ended unexpectedly.
    """
    workers = workers or available_cores()
    image_bytes = preprocess.resize_size**2 * preprocess.in_chans
    step = max(1, min(_CHUNK_IMAGES, _CHUNK_BYTES // image_bytes))
    by_processes = workers > 1 and bool(sys.executable) and len(images) >= _MIN_FILES_FOR_PROCESSES
    reader: _Reader
    if isinstance(images, FileImages) and by_processes:
        reader = _Processes(images, preprocess, workers)
    else:
        reader = _Threads(images, preprocess)
    with reader, ThreadPoolExecutor(workers, thread_name_prefix="reslab-decode") as pool:
        starts = range(0, len(images), step)
        yield from prefetch(
            pool,
            lambda start: reader.read(start, min(start + step, len(images))),
            starts,
            2 * workers,
        )


class _Reader(Protocol):
    def read(self, start: int, stop: int) -> Pixels: ...

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@dataclasses.dataclass(frozen=True)
class _Threads:
    """Decode in the thread that asks."""

    images: Images
    preprocess: Preprocess

    def read(self, start: int, stop: int) -> Pixels:
        return fit_range(self.images, start, stop, self.preprocess)

    def __enter__(self) -> _Threads:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _Processes:
    """Decode in idle processes; any thread may ask."""

    def __init__(self, images: FileImages, preprocess: Preprocess, workers: int) -> None:
        fields = {**preprocess.to_json(), "mean_image": False}
        self._job = {"root": str(images.root), "paths": images.paths, "preprocess": fields}
        size = preprocess.resize_size
        self._shape = (size, size, preprocess.in_chans)
        self._count = workers
        self._idle: queue.SimpleQueue[Child] = queue.SimpleQueue()
        self._all: list[Child] = []
        self._know_the_job: set[Child] = set()

    def __enter__(self) -> _Processes:
        for _ in range(self._count):
            process = Child(__name__)
            self._all.append(process)
            self._idle.put(process)
        return self

    def read(self, start: int, stop: int) -> Pixels:
        process = self._idle.get()
        try:
            return self._ask(process, start, stop)
        except ChildEnded as error:
            raise MachineError(
                f"decoding images failed: {error}",
                remedy="free some memory, or use --workers 1",
            ) from None
        finally:
            self._idle.put(process)

    def _ask(self, process: Child, start: int, stop: int) -> Pixels:
        if process not in self._know_the_job:
            process.send(self._job)
            self._know_the_job.add(process)
        process.send([start, stop])
        process.recv()  # raises what the process could not decode
        pixels = np.empty((stop - start, *self._shape), np.uint8)
        process.recv_into(pixels.data.cast("B"))
        return pixels

    def __exit__(self, *_: object) -> None:
        for process in self._all:
            process.kill()


def main(parent: Parent) -> int:
    """Do the job of one process."""
    job = parent.recv()
    images = FileImages(Path(job["root"]), tuple(job["paths"]))
    preprocess = Preprocess.from_json(job["preprocess"])
    for start, stop in parent:
        try:
            pixels = fit_range(images, start, stop, preprocess)
        except DataError as error:
            parent.send_error(error)
        else:
            parent.send(len(pixels), pixels.data.cast("B"))
    return 0


Job = TypeVar("Job")
Made = TypeVar("Made")


def prefetch(
    pool: Executor, make: Callable[[Job], Made], jobs: Iterable[Job], ahead: int
) -> Generator[Made, None, None]:
    """Yield make(job) of each job, in their order; at most `ahead` are made before they are wanted.

    What goes wrong in `make` is raised here. Closing the generator cancels what has not begun.
    """
    waiting: deque[Future[Made]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(make, job))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
