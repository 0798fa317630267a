"""From images to labelled probabilities: batches, streams, and an answer for every image."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from reslab import artifact as artifacts
from reslab.artifact import Artifact
from reslab.data.arrays import Pixels
from reslab.data.preprocess import network_input
from reslab.display import card, short, wording
from reslab.errors import CheckpointError, DataError, DivergedError, UsageError
from reslab.log import notifier
from reslab.machine import (
    autocast_dtype,
    available_cores,
    choose_device,
    enough_memory,
    slow_precision,
)
from reslab.predict.runtimes import (
    Auto,
    Runtime,
    SurveyRow,
    build_runtime,
    kind_of,
    shape_of,
    survey,
)
from reslab.predict.sources import ImageLike, Read, count_of, read_file, sources_of

# How much of an answer is shown: labels of an image, images in a list and in a table.
TOP_SHOWN, LISTED, ROWS_SHOWN = 3, 5, 12


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What the model says of one image.

    Args:
        path: the image's path, or ``image[3]`` for the fourth of images in memory.
        top: (class name, probability), the most probable first; empty for an unreadable image.
        error: why the image could not be read, or empty.
    """

    path: str
    top: tuple[tuple[str, float], ...] = ()
    error: str = ""

    def __repr__(self) -> str:
        said = ", ".join(f"{label} {100 * prob:.1f}%" for label, prob in self.top[:TOP_SHOWN])
        more = ", …" if len(self.top) > TOP_SHOWN else ""
        return short.lines(f"Prediction({self.path!r}: {self.error or said + more})")

    def to_json(self) -> dict[str, Any]:
        """Return what `predict --json` prints for an image."""
        if self.error:
            return {"path": self.path, "error": self.error}
        top = [{"label": label, "prob": round(prob, 6)} for label, prob in self.top]
        return {"path": self.path, "top": top}


class Predictions(list[Prediction]):
    """A list of predictions whose repr is a few lines however many they are."""

    def __repr__(self) -> str:
        if len(self) <= LISTED:
            return f"[{', '.join(map(repr, self))}]".replace("), Pred", "),\n Pred")
        found = Counter(one.top[0][0] for one in self if one.top)
        counts = [f"{label} {count:,}" for label, count in found.most_common()]
        failed = sum(1 for one in self if one.error)
        unread = f"; {failed:,} could not be read" if failed else ""
        return short.lines(f"{len(self):,} predictions: {short.named(counts, 8)}{unread}")

    def _repr_html_(self) -> str:
        columns = [("image", "left"), ("label", "left"), ("", "left"), ("%", "right")]
        rows = []
        for one in self[:ROWS_SHOWN]:
            label, prob = one.top[0] if one.top else (one.error or "–", 0.0)
            sure = [card.bar(prob, width=80), f"{100 * prob:.1f}"] if one.top else ["", ""]
            name = wording.shortened(Path(one.path).name, 40)
            rows.append([card.text(name), card.text(wording.shortened(label, 60)), *sure])
        more = len(self) - ROWS_SHOWN
        below = card.facts(f"and {more:,} more") if more > 0 else ""
        return card.card(card.table(columns, rows), below)


class Predictor:
    """Label images with a trained model.

    Args:
        artifact: the model.
        device: as for `machine.choose_device`.
        batch_size: images computed at once; with 1 every answer comes before the next image
            is asked for.
        precision: "fp32" (the default: the same answers on every machine), "bf16", "fp16" or
            "auto", which is bf16 where the machine computes it natively and labels stay.
        workers: threads that decode; 0 for one a core.
        runtime: who computes: "eager" (PyTorch as it is), "compiled", "openvino",
            "onnxruntime", or "auto" for what is done first and agrees with PyTorch.
        notify: told in a line which runtime was chosen, and where the precision is slow here;
            None for the log (`reslab.log`).

    Raises:
        CheckpointError: the model has no classifier.
        UsageError: there is no such runtime, or it does not have that precision.
        MachineError: the device or the runtime is not there.
    """

    def __init__(
        self,
        artifact: Artifact,
        *,
        device: str = "auto",
        batch_size: int = 64,
        precision: str = "fp32",
        workers: int = 0,
        runtime: str = "eager",
        notify: Callable[[str], None] | None = None,
    ) -> None:
        if batch_size < 1:
            raise UsageError(f"batch_size must be 1 or more, received {batch_size}")
        if not artifact.classes:
            raise CheckpointError(
                f"this {artifact.network.spec.name} has no classifier, so that it cannot predict",
                remedy="start a training from it: reslab train DATA --start MODEL",
            )
        self.artifact = artifact
        self.device = choose_device(device)
        self.batch_size = batch_size
        self.workers = workers or available_cores()
        autocast_dtype(precision, self.device)  # raises where the device lacks it
        if runtime != "auto":
            kind_of(runtime, precision, self.device)
        notify = notifier(notify)
        if notify is not None and (slow := slow_precision(precision, self.device)):
            notify(slow)
        self._runtime, self._precision, self._notify = runtime, precision, notify
        self._compute: Auto | Runtime | None = None
        self._count: int | None = None

    def __repr__(self) -> str:
        spec = self.artifact.network.spec
        return short.lines(
            f"Predictor({spec.name}, images of {spec.in_chans}x{spec.img_size}x{spec.img_size}, "
            f"{len(self.classes):,} classes: {short.named(self.classes)}; {self.device}, "
            f"runtime {self._runtime}, {self._precision})"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits."""
        return self.artifact.classes

    def predict(self, images: ImageLike | Iterable[ImageLike], top: int = 5) -> Predictions:
        """Label images: one or several paths, folders, Pillow images or arrays.

        Args:
            images: arrays are uint8 or uint16, (height, width) or (height, width, channels) with
                1, 2, 3 or 4 channels: grey, grey with alpha, RGB, RGBA. An array gets the answer
                that its file gets. Folders stand for all images below them.
            top: how many classes to name for each, at most all.

        Returns:
            One prediction an image, in their order; an unreadable image has its `error` set.
        """
        several: Iterable[ImageLike]
        if isinstance(images, str | os.PathLike | Image.Image | np.ndarray):
            several = [images]
        else:
            several = images
        return Predictions(
            self._stream(sources_of(several, self.artifact.preprocess), top, count_of(several))
        )

    def predict_paths(
        self,
        paths: Iterable[str | os.PathLike[str]],
        top: int = 5,
        *,
        count: int | None = None,
    ) -> Iterator[Prediction]:
        """Yield a prediction for each image file, in their order, as batches are done.

        Args:
            paths: image files, which may come one by one.
            top: how many classes to name for each, at most all.
            count: how many there are, where that is known: `runtime="auto"` decides by it.
        """
        preprocess = self.artifact.preprocess
        sources = ((os.fspath(path), partial(read_file, path, preprocess)) for path in paths)
        return self._stream(sources, top, count)

    def probabilities(self, pixels: Sequence[Pixels]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Compute softmax(logits / temperature) of fitted images, (B, classes).

        Args:
            pixels: uint8, (resize_size, resize_size, in_chans) each, as `fit` returns them.

        Raises:
            DivergedError: the network puts out NaN or infinite values.
            MachineError: there is not enough memory for the batch.
        """
        batch = torch.from_numpy(np.stack(pixels))
        size = self.artifact.preprocess.img_size
        with enough_memory(len(batch), size), torch.inference_mode():
            images = network_input(batch.to(self.device), self.artifact.preprocess)
            scaled = self._computing(images)(images).double() / self.artifact.temperature
        if not torch.isfinite(scaled).all():
            raise DivergedError(
                "the model puts out NaN or infinite values", remedy="train it again"
            )
        probabilities: np.ndarray[Any, np.dtype[np.float64]] = scaled.softmax(1).numpy()
        return probabilities

    def measure(self, paths: Iterable[str | os.PathLike[str]] = ()) -> list[SurveyRow]:
        """Try every runtime on a batch, and remember for this machine what each is worth.

        Args:
            paths: images for the batch, repeated where they are fewer; noise where there are none.
        """
        own = self.artifact.preprocess
        pixels = []
        for path in itertools.islice(paths, self.batch_size):
            with contextlib.suppress(DataError):
                pixels.append(read_file(path, own))
        if not pixels:
            shape = (self.batch_size, own.resize_size, own.resize_size, own.in_chans)
            pixels = list(np.random.default_rng(0).integers(0, 256, shape, np.uint8))
        filled = [pixels[i % len(pixels)] for i in range(self.batch_size)]
        batch = torch.from_numpy(np.stack(filled)).to(self.device)
        return survey(
            self.artifact.network,
            self.artifact.temperature,
            network_input(batch, own),
            device=self.device,
            precision=self._precision,
            only=None if self._runtime == "auto" else self._runtime,
        )

    def _computing(self, images: torch.Tensor) -> Auto | Runtime:
        """Return what computes logits, made for batches like the first one."""
        if self._compute is None:
            network, precision = self.artifact.network, self._precision
            if "auto" in (self._runtime, precision):
                self._compute = Auto(
                    network,
                    self.artifact.temperature,
                    device=self.device,
                    precision=precision,
                    only=None if self._runtime == "auto" else self._runtime,
                    notify=self._notify,
                )
                self._compute.expect(self._count)
            else:
                self._compute = build_runtime(
                    self._runtime, network, shape_of(images), precision, self.device
                )
        return self._compute

    def _stream(
        self, sources: Iterable[tuple[str, Read]], top: int, count: int | None
    ) -> Iterator[Prediction]:
        """Decode by threads, one batch ahead of the network; every source gets an answer."""
        if top < 1:
            raise UsageError(f"top must be 1 or more, received {top}")
        self._count = count
        if isinstance(self._compute, Auto):
            self._compute.expect(count)
        ahead = 1 if self.batch_size > 1 else 0
        waiting: deque[list[tuple[str, Future[Pixels]]]] = deque()
        sources = iter(sources)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="reslab-decode") as pool:
            try:
                while chunk := list(itertools.islice(sources, self.batch_size)):
                    waiting.append([(name, pool.submit(read)) for name, read in chunk])
                    if len(waiting) > ahead:
                        yield from self._label(waiting.popleft(), top)
                while waiting:
                    yield from self._label(waiting.popleft(), top)
            finally:
                for _, future in itertools.chain(*waiting):
                    future.cancel()

    def _label(self, chunk: Sequence[tuple[str, Future[Pixels]]], top: int) -> Iterator[Prediction]:
        errors: dict[int, str] = {}
        pixels: list[Pixels] = []
        for place, (_, future) in enumerate(chunk):
            try:
                pixels.append(future.result())
            except DataError as error:
                errors[place] = str(error)
        answers = iter(self.probabilities(pixels) if pixels else ())
        for place, (name, _) in enumerate(chunk):
            if place in errors:
                yield Prediction(name, error=errors[place])
            else:
                yield Prediction(name, self._top(next(answers), top))

    def _top(
        self, probabilities: np.ndarray[Any, np.dtype[np.float64]], top: int
    ) -> tuple[tuple[str, float], ...]:
        order = np.argsort(-probabilities, kind="stable")[:top]
        return tuple((self.classes[i], float(probabilities[i])) for i in order)


def load(
    path: Path | str,
    *,
    device: str = "auto",
    batch_size: int = 64,
    precision: str = "fp32",
    workers: int = 0,
    runtime: str = "eager",
    notify: Callable[[str], None] | None = None,
) -> Predictor:
    """Load a model from a run or a model folder, ready to label images; see `Predictor`.

    Raises:
        CheckpointError: there is none, it is damaged, or it has no classifier.
        MachineError: the device or the runtime is not there.
    """
    return Predictor(
        artifacts.load(path),
        device=device,
        batch_size=batch_size,
        precision=precision,
        workers=workers,
        runtime=runtime,
        notify=notify,
    )
