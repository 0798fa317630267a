"""Updates that a graph replays are the updates taken one by one, to the last bit."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator

import pytest
import torch
from parts import make_training
from replaying import Replayed
from torch import Tensor

from reslab.data.augment import Augment
from reslab.training import build, compiling
from reslab.training.cuda_graph import WARM_UP_STEPS, Eager, can_capture
from reslab.training.distributed import World
from reslab.training.loop import open_steps
from reslab.training.recipe import Recipe
from reslab.training.schedule import Plan
from reslab.training.step import Training, train_step

STEPS = 7
RATES = [0.1 / (1 + step) for step in range(STEPS)]
SMALL = {"batch_size": 16, "img_size": 8}


@pytest.fixture(autouse=True)
def as_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    # A processor's fused passes are no operations of torch: a tape would not see them.
    monkeypatch.setattr(build, "uses_fused_passes", lambda recipe, device: False)


def tensors(training: Training) -> Iterator[Tensor]:
    yield from training.network.state_dict().values()
    if training.ema is not None:
        yield from training.ema.tensors().values()
    for state in training.optimizer.state.values():
        yield from (value for value in state.values() if isinstance(value, Tensor))


def taken(training: Training, batches, step) -> list[list[float]]:
    sums = []
    for rate in RATES:
        sums.append(step(next(batches), rate))
        training.state.step += 1
    return [row.tolist() for row in sums]


def replayed(training: Training, graph: Replayed, notes: list[str]) -> list[list[float]]:
    training.network.train()
    with open_steps(training, notes.append, graph) as (batches, step):
        return taken(training, batches, step)


def one_by_one(training: Training) -> list[list[float]]:
    training.network.train()
    sums = []
    for step, rate in enumerate(RATES):
        sums.append(train_step(training, training.loader.batch(step), rate).tolist())
        training.state.step += 1
    return sums


def assert_alike(found: Training, expected: Training) -> None:
    for a, b in zip(tensors(found), tensors(expected), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    "recipe",
    [
        {
            "ema": 0.9,
            "clip_grad_norm": 0.5,
            "label_smoothing": 0.1,
            "weight_decay": 1e-3,
            "pad_crop": 1,
        },
        pytest.param(
            {"optimizer": "adamw", "lr": 0.01, "mixup": 0.4, "cutmix": 1.0, "accumulate": 2},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {
                "crop_scale": (0.3, 1.0),
                "rotate": 10.0,
                "color_jitter": 0.3,
                "random_erasing": 0.5,
                "ema": 0.5,
            },
            marks=pytest.mark.slow,
        ),
        {"dropout": 0.5, "max_filter_rms": 0.1, "class_weights": True, "nesterov": True},
    ],
)
def test_a_graph_is_the_same_updates(recipe) -> None:
    found, expected = (make_training({**SMALL, **recipe}, graphed=True) for _ in range(2))
    graph, notes = Replayed(lambda: tensors(found)), list[str]()
    sums = replayed(found, graph, notes)
    assert notes == []
    played = STEPS - WARM_UP_STEPS
    steady = ["warm up"] * WARM_UP_STEPS + ["capture"] + ["replay"] * played
    assert graph.history == ["reset", *steady, "reset"]
    assert sums == one_by_one(expected)
    assert_alike(found, expected)


def test_rates_in_tensors_are_rates() -> None:
    # float32 rates round otherwise than Python's numbers do; nothing else differs.
    found, expected = make_training(SMALL, graphed=True), make_training(SMALL, graphed=False)
    for mine, theirs in zip(one_by_one(found), one_by_one(expected), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-3)
    assert [group["lr"].item() for group in found.optimizer.param_groups] == pytest.approx(
        [group["lr"] for group in expected.optimizer.param_groups]
    )


def test_each_size_is_captured_for_itself() -> None:
    growing = {**SMALL, "img_size": 16, "progressive_size": 8, "progressive_share": 0.5}
    found, expected = (make_training(growing, graphed=True) for _ in range(2))
    for training in (found, expected):
        training.state.plan = Plan(2 * (WARM_UP_STEPS + 1))
    graph, notes = Replayed(lambda: tensors(found)), list[str]()
    assert replayed(found, graph, notes) == one_by_one(expected)
    first = ["reset", *["warm up"] * WARM_UP_STEPS, "capture", "replay"]
    assert graph.history == [*first, "reset", *["warm up"] * 3, "reset"]


class Refusing(Eager):
    def capture(self, work) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")


def test_what_cannot_be_captured_is_taken_one_by_one() -> None:
    found, expected = (make_training(SMALL, graphed=True) for _ in range(2))
    notes: list[str] = []
    assert replayed(found, Refusing(), notes) == one_by_one(expected)
    assert len(notes) == 1
    assert notes[0].endswith("one by one: operation not permitted when stream is capturing")


def test_reading_a_number_cannot_be_captured() -> None:
    # What the tests above stand on: their graph refuses what a CUDA graph refuses.
    graph, value = Replayed(list), torch.ones(2)
    for work in (lambda: value.sum().item(), lambda: torch.tensor([1.0]) + value):
        with pytest.raises(RuntimeError, match="cannot be captured"):
            graph.capture(work)


def test_the_device_decides_whether_updates_are_captured() -> None:
    assert not make_training(SMALL).graphed
    gpu, recipe = torch.device("cuda", 0), Recipe(name="any")
    alone = World()
    assert can_capture(recipe, gpu, torch.bfloat16, alone)
    assert can_capture(recipe, gpu, None, alone)
    assert not can_capture(recipe, gpu, torch.float16, alone)
    assert not can_capture(recipe, gpu, None, World(0, 2))
    assert not can_capture(recipe, torch.device("cpu"), None, alone)
    recomputing = dataclasses.replace(recipe, checkpoint_activations=True)
    assert not can_capture(recomputing, gpu, None, alone)


@pytest.mark.parametrize("graphed", [False, True])
def test_updates_begin_at_the_state(graphed) -> None:
    found, expected = (make_training(SMALL, graphed=graphed) for _ in range(2))
    for training in (found, expected):
        training.network.train()
        training.state.step = 5
    with open_steps(found, lambda note: None) as (batches, step):
        sums = step(next(batches), 0.1)
    assert torch.equal(sums, train_step(expected, expected.loader.batch(5), 0.1))
    assert_alike(found, expected)


def test_images_elsewhere_give_the_same_batches() -> None:
    training = make_training({**SMALL, "mixup": 0.4, "cutmix": 1.0, "flip": True})
    loader = training.loader

    class Elsewhere:
        """The same bank, as if it were in memory that batches are not wanted in."""

        device = torch.device("meta")
        gather = staticmethod(loader.fitted.gather)

    expected = loader.batch(3)
    loader.fitted = Elsewhere()  # type: ignore[assignment]
    raw = loader.raw(3)
    assert raw.pixels is not None
    assert raw.partner_pixels is not None
    with contextlib.closing(loader.prefetch_raw(3, 4)) as raws:
        (ahead,) = raws
    for made in (loader.batch(3), loader.make(raw), loader.make(ahead)):
        for field in dataclasses.fields(made):
            assert torch.equal(getattr(made, field.name), getattr(expected, field.name))
    assert loader.augment != Augment()


def test_the_fastest_mode_is_chosen_and_failures_are_not() -> None:
    took = {"default": 3.0, "max-autotune-no-cudagraphs": 2.0}
    assert compiling.fastest(list(took), took.__getitem__) == "max-autotune-no-cudagraphs"
    assert compiling.fastest(["default"], lambda mode: 1 / 0) == "default"  # nothing to choose

    def failing(mode: str) -> float:
        if mode != "default":
            raise RuntimeError("no compiler")
        return 3.0

    assert compiling.fastest(["max-autotune-no-cudagraphs", "default"], failing) == "default"


def test_only_long_runs_try_every_kernel() -> None:
    assert compiling.modes_worth_trying(99_999) == ("default",)
    assert compiling.modes_worth_trying(100_000)[1:] == (compiling.AUTOTUNED,)
