"""Reading sums now and then changes nothing that is written down."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from parts import make_training

from reslab.errors import DivergedError
from reslab.runs.checkpoint import load_newest
from reslab.runs.directory import RunDirectory
from reslab.training import accumulator, loop, saving
from reslab.training.budget import Budget, Clock
from reslab.training.cuda_graph import Eager
from reslab.training.observe import Silent
from reslab.training.step import Training
from reslab.training.stop import StopRequest

RECIPE = {"batch_size": 128, "img_size": 8, "steps": 13, "ema": 0.9, "dropout": 0.2, "lr": 0.02}


class Counting(Silent):
    def __init__(self) -> None:
        self.steps: list[int] = []
        self.losses: list[float] = []

    def step(self, event) -> None:
        self.steps.append(event.step)
        self.losses.append(event.loss)


def trained(training: Training, folder: Path, **watch: Any) -> Counting:
    (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    observer = Counting()
    settings: dict[str, Any] = {
        "evaluate": dict,
        "run": RunDirectory(folder),
        "observer": observer,
        "stop": StopRequest(),
        "clock": Clock(0.0, time.perf_counter()),
        "budget": None,
        "save_every_s": 1e9,
        **watch,
    }
    loop.train(training, loop.Watch(**settings))
    return observer


def test_rows_do_not_depend_on_how_often_sums_are_read(tmp_path, monkeypatch) -> None:
    states = []
    for every in (1, 6):
        monkeypatch.setattr(accumulator, "READ_EVERY", every)
        training = make_training(RECIPE, graphed=True)
        observer = trained(training, tmp_path / str(every))
        heard = observer.steps
        assert all(0 < loss < 10 for loss in observer.losses)
        states.append(training.state.to_json() | {"elapsed_s": 0.0})
        if every == 1:
            assert heard == list(range(1, training.state.step + 1))
        else:
            assert len(heard) <= training.state.step / 2
            assert {row["step"] for row in training.state.rows} <= set(heard)
    assert states[0] == states[1]
    assert len(states[0]["rows"]) == 2  # digits' epoch is 10 steps


def test_a_processor_hears_of_every_update(tmp_path) -> None:
    training = make_training({**RECIPE, "steps": 5})
    assert trained(training, tmp_path).steps == list(range(1, training.state.step + 1))


def test_divergence_is_found_although_sums_are_read_late(tmp_path) -> None:
    training = make_training({**RECIPE, "lr": 1e20, "ema": 0, "steps": 50}, graphed=True)
    with pytest.raises(DivergedError):
        trained(training, tmp_path)
    assert 1 < training.state.step <= 2 * accumulator.READ_EVERY
    assert not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.slow
def test_a_captured_run_goes_on_from_its_checkpoint(tmp_path) -> None:
    whole, parts = (make_training(RECIPE, graphed=True) for _ in range(2))
    trained(whole, tmp_path / "whole")
    stop_at = 12

    class Interrupting(StopRequest):
        def __bool__(self) -> bool:
            return parts.state.step >= stop_at

    with pytest.raises(loop.StoppedError):
        trained(parts, tmp_path / "parts", stop=Interrupting())
    found = load_newest(tmp_path / "parts" / "checkpoints", print)
    assert found is not None
    again = make_training(RECIPE, graphed=True)
    again.state, groups = found
    assert again.state.step == stop_at
    saving.restore(again, groups)
    trained(again, tmp_path / "parts")
    assert again.state.rows == whole.state.rows
    for name, tensor in again.network.state_dict().items():
        assert (tensor == whole.network.state_dict()[name]).all(), name


def test_a_budget_knows_the_time_of_updates_that_were_read_together(tmp_path) -> None:
    clock = Clock(0.0, time.perf_counter())
    training = make_training({**RECIPE, "steps": 9}, graphed=True)
    trained(
        training,
        tmp_path,
        clock=clock,
        budget=Budget(1e6, 10, training.state.plan.total_steps, 128, 0, 100),
    )
    assert len(clock.step_s) >= training.state.step - 2


def test_several_updates_share_the_time_between_two_ticks(monkeypatch) -> None:
    times = iter([0.0, 1.0, 3.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    clock = Clock(0.0, 0.0)
    clock.resume()
    clock.tick()
    clock.tick(4)
    assert list(clock.step_s) == [1.0, 0.5, 0.5, 0.5, 0.5]


def test_plain_recordings_play_what_they_were_given() -> None:
    heard: list[str] = []
    eager = Eager()
    eager.warm_up(lambda: heard.append("warm"))
    eager.capture(lambda: heard.append("played"))
    assert heard == ["warm"]
    eager.replay()
    assert heard == ["warm", "played"]
    eager.reset()
    with pytest.raises(AssertionError, match="nothing is captured"):
        eager.replay()
