"""What a run measures as it goes: the splits of a row, with raw and averaged weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator

from torch import Tensor

from reslab.data.dataset import Dataset, SplitName
from reslab.data.image_cache import FittedImages
from reslab.data.loader import eval_batches
from reslab.data.preprocess import Preprocess
from reslab.evaluate.evaluation import Evaluation
from reslab.evaluate.metrics import columns_of
from reslab.evaluate.run import evaluate_network
from reslab.training.state import EpochRow
from reslab.training.step import Training
from reslab.training.stop import StopRequest

EVAL_BATCH = 256


class Interrupted(Exception):  # noqa: N818 - it is a request, not an error
    """A signal arrived while a run evaluated."""


def split_evaluator(
    training: Training,
    dataset: Dataset,
    fitted: FittedImages,
    preprocess: Preprocess,
    stop: StopRequest,
) -> Callable[[SplitName], Evaluation]:
    """Return a function that measures the network, as it stands, on a split."""

    def measure(split: SplitName) -> Evaluation:
        samples = dataset.split(split)
        return evaluate_network(
            training.network,
            lambda part: _interruptible(
                eval_batches(fitted, part, preprocess, EVAL_BATCH, training.device),
                stop if training.world.size == 1 else StopRequest(),
            ),
            labels=dataset.labels,
            samples=samples,
            classes=dataset.classes,
            device=training.device,
            precision=training.dtype,
            rank=training.world.rank,
            world_size=training.world.size,
        )

    return measure


def row_evaluator(
    training: Training, dataset: Dataset, measure: Callable[[SplitName], Evaluation]
) -> Callable[[], EpochRow]:
    """Return a function that measures what a row reports.

    Validation where there is such a split; test too where the recipe tracks it (as the papers'
    figures do; no decision looks at it).
    """

    def evaluate() -> EpochRow:
        row: EpochRow = {}
        if "val" in dataset.splits:
            row |= columns_of(measure("val"), "val", "rows")
            if training.ema is not None:
                with training.ema.in_place():
                    row |= columns_of(measure("val"), "ema_val", "rows")
        if training.recipe.track_test and "test" in dataset.splits:
            row |= columns_of(measure("test"), "test", "rows")
        return row

    return evaluate


@contextlib.contextmanager
def averaged(training: Training) -> Iterator[None]:
    """Use the averaged weights for a while, where the run has them."""
    with training.ema.in_place() if training.ema is not None else contextlib.nullcontext():
        yield


def _interruptible(
    batches: Iterable[tuple[Tensor, Tensor]], stop: StopRequest
) -> Iterator[tuple[Tensor, Tensor]]:
    for batch in batches:
        if stop:
            raise Interrupted
        yield batch
