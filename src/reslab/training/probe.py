"""What a run records about its signal when asked: activations, gradients, residuals by depth."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reslab import durable
from reslab.analyze import probed
from reslab.data.dataset import Dataset
from reslab.data.image_cache import FittedImages
from reslab.data.loader import eval_batches
from reslab.data.preprocess import Preprocess
from reslab.runs.directory import RunDirectory
from reslab.training.step import Training

MOST_IMAGES, FEWEST_IMAGES = 128, 16
MOST_PIXELS = 1 << 19


class Probe:
    """Measures the network as it stands and appends a line to the run's probe.jsonl.

    The same few training images are looked at each time, without random views, in float32, with
    the statistics of this batch. It is a measurement on modules of its own: whether a run is
    probed or not, its weights are the same to the last bit.

    Args:
        training: what is measured.
        dataset: where the labels are.
        fitted: where the images are.
        preprocess: how they become network input.
        run: where the lines go.
        every_steps: steps between two measurements, besides those before the first step and at
            the end of each epoch; 0 for those alone.
    """

    def __init__(
        self,
        training: Training,
        dataset: Dataset,
        fitted: FittedImages,
        preprocess: Preprocess,
        run: RunDirectory,
        every_steps: int,
    ) -> None:
        self._training = training
        self._every_steps = every_steps
        self._path = run.path / probed.FILE
        train = dataset.split("train")
        affordable = max(FEWEST_IMAGES, MOST_PIXELS // preprocess.img_size**2)
        count = min(MOST_IMAGES, affordable, len(train))
        samples = train[np.linspace(0, len(train) - 1, count).round().astype(np.int64)]
        ((self._images, _),) = eval_batches(fitted, samples, preprocess, count, training.device)
        self._labels: Tensor = torch.as_tensor(dataset.labels[samples], dtype=torch.int64)
        self._last_step = self._forget_after(training.state.step)

    def measure_if_due(self) -> bool:
        """Measure before the first step, at the end of each epoch and every so many steps.

        Returns:
            Whether it was due.
        """
        state = self._training.state
        at_step = self._every_steps > 0 and state.step % self._every_steps == 0
        due = state.step > self._last_step and (at_step or state.step == state.last_row_step)
        if due:
            durable.append_line(self._path, json.dumps(self._measured(), allow_nan=False))
            self._last_step = state.step
        return due

    def _measured(self) -> dict[str, Any]:
        training = self._training
        step = training.state.step
        epoch = round(step * training.recipe.batch_size / training.num_train, 4)
        found = probed.probe(training.network, self._images, self._labels, step=step, epoch=epoch)
        return found.to_json()

    def _forget_after(self, step: int) -> int:
        """Drop lines of steps that a resumed run takes again; returns the last step kept, or -1."""
        if not self._path.exists():
            return -1
        last, count = -1, 0
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                found = int(json.loads(line)["step"])
            except ValueError:
                break  # the last line, cut off
            if found > step:
                break
            last, count = found, count + 1
        durable.truncate_lines(self._path, count)
        return last
