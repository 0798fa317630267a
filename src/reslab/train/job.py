"""The whole job: a request in, a trained, evaluated and saved model out.

`start` resolves a request and runs it; `resume` goes on with a run directory. Both end in
`_execute`, so that a resumed run cannot differ from an uninterrupted one.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from reslab import artifact, machine
from reslab.analyze import cost
from reslab.data.bank import Bank, open_bank
from reslab.data.check import check_dataset
from reslab.data.dataset import Dataset
from reslab.data.open import open_dataset
from reslab.data.preprocess import Preprocess
from reslab.data.split import complete_splits, splits_from_json, splits_to_json
from reslab.durable import Lock
from reslab.errors import DataError, MachineError, ReslabError, StoppedError
from reslab.spec import NetworkSpec
from reslab.train import checkpoint, loop, rundir
from reslab.train.assemble import assemble, geometry, with_statistics
from reslab.train.budget import Budget, Clock
from reslab.train.choose import choose
from reslab.train.config import Config, Request, changed_recipe, describe_dataset
from reslab.train.distributed import World, joined
from reslab.train.evaluating import row_evaluator, split_evaluator
from reslab.train.finish import Result, finish
from reslab.train.observe import Observer, Silent
from reslab.train.rundir import RunDirectory
from reslab.train.step import Training
from reslab.train.stop import StopRequest, listening


@dataclasses.dataclass
class Job:
    """A run that is about to be executed: what it is, on what, where, watched by whom."""

    config: Config
    dataset: Dataset
    run: RunDirectory
    device: torch.device
    world: World
    observer: Observer
    stop: StopRequest
    began: float


def start(request: Request, observer: Observer | None = None) -> Result:
    """Train as a request says, in a new run directory.

    Raises:
        ReslabError: each kind with its own exit code; see `reslab.errors`.
    """
    began, watcher = time.perf_counter(), observer or Silent()
    if request.out is not None:
        rundir.check_free(request.out)
    device = machine.choose_device(request.device)
    with listening() as stop, joined(device) as world:
        dataset, findings = _open(request, watcher)
        initial = artifact.load(request.start).network.spec if request.start else None
        chosen = choose(request, dataset, initial)
        machine.autocast_dtype(chosen.recipe.precision, device)
        config = Config(
            request=request,
            spec=chosen.spec,
            recipe=chosen.recipe,
            choices=chosen.choices,
            dataset=describe_dataset(dataset),
            preprocess=geometry(chosen.recipe, chosen.spec.in_chans).to_json(),
            cost=_cost(chosen.spec),
            environment={**machine.describe(device), "processes": world.size},
        )
        run = _new_run(config, dataset, findings, world)
        for choice in config.choices:
            watcher.note(f"{choice.what}: {choice.chosen} ({choice.why})")
        with _locked(run, world):
            return _execute(
                Job(config, dataset, run, device, world, watcher, stop, began), resumed=False
            )


def resume(
    path: Path,
    overrides: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    device_name: str | None = None,
) -> Result:
    """Go on with a run exactly where its newest complete checkpoint stands.

    Args:
        path: the run directory.
        overrides: recipe fields; only the length may differ. A longer run follows its schedule
            as if the new length had been planned from the start.
        observer: who watches.
        device_name: another device than the run began on.

    Raises:
        CheckpointError: no run, or no readable checkpoint.
        DataError: the data have changed since.
        UsageError: the recipe differs in more than its length.
    """
    began, watcher = time.perf_counter(), observer or Silent()
    run = RunDirectory(path)
    config = Config.from_json(run.read_json("config.json"))
    recipe = changed_recipe(config.recipe, overrides or {})
    config = dataclasses.replace(config, recipe=recipe)
    device = machine.choose_device(device_name or config.request.device)
    with listening() as stop, joined(device) as world:
        dataset = open_dataset(config.request.data, skip_bad=config.request.skip_bad)
        dataset = splits_from_json(dataset, run.read_json("split.json"))
        if dataset.fingerprint() != config.dataset["fingerprint"]:
            raise DataError(
                f"the images or labels of '{config.request.data}' have changed since {path} began",
                remedy="restore them, or start a new run",
            )
        with _locked(run, world):
            if world.writes:
                run.write_json("config.json", config.to_json())
            return _execute(
                Job(config, dataset, run, device, world, watcher, stop, began), resumed=True
            )


def _open(request: Request, observer: Observer) -> tuple[Dataset, dict[str, Any]]:
    """Open the data, complete its splits, and look for what would spoil the training."""
    dataset = open_dataset(request.data, skip_bad=request.skip_bad)
    fraction = request.overrides.get("val_fraction")
    if fraction is None:
        fraction = 0.0 if request.recipe.startswith("he2015") else 0.1
    dataset = complete_splits(
        dataset,
        val_fraction=fraction,
        test_fraction=request.test_fraction,
        seed=request.seed,
    )
    report = check_dataset(dataset, deep=False, workers=request.workers)
    findings: dict[str, Any] = report.to_json()
    for finding in findings["findings"]:
        observer.note(f"check: {finding['message']}")
    if not findings["ok"]:
        first = next(f for f in findings["findings"] if f["severity"] == "error")
        raise DataError(first["message"], remedy=first["remedy"])
    return dataset, findings


def _cost(spec: NetworkSpec) -> dict[str, int]:
    measured = cost.measure(spec)
    return {"params": measured.params, "macs": measured.macs}


def _new_run(
    config: Config, dataset: Dataset, findings: dict[str, Any], world: World
) -> RunDirectory:
    """Make the run directory, with all that is known before training; every rank learns it."""
    path = None
    if world.writes:
        stem = f"{dataset.name}-{config.spec.name}"
        run = rundir.create(config.request.out, stem)
        run.write_json("config.json", config.to_json())
        run.write_json("check.json", findings)
        run.write_json("split.json", splits_to_json(dataset))
        path = run.path
    return RunDirectory(world.share(path))


def _execute(job: Job, *, resumed: bool) -> Result:
    """Train to the end, evaluate, save; leave an honest status whatever happens."""
    config, run = job.config, job.run
    job.observer.note(f"run directory: {run.path}")
    try:
        preprocess, bank = _images(job)
        training = assemble(config, job.dataset, bank, preprocess, job.device, job.world)
        spent_s = _restore(job, training) if resumed else 0.0
        clock = Clock(spent_s, job.began)
        _status(job, training, "running", "", None)
        measure = split_evaluator(training, job.dataset, bank, preprocess, job.stop)
        watch = loop.Watch(
            evaluate=row_evaluator(training, job.dataset, measure),
            run=run,
            observer=job.observer,
            stop=job.stop,
            clock=clock,
            budget=_budget(job, training),
            save_every_s=config.request.save_every_s,
        )
        loop.train(training, watch)
        job.observer.close()
        result = finish(training, config, job.dataset, preprocess, measure, watch)
        _status(job, training, "finished", "", 0, wall_s=result.wall_s)
        return result
    except ReslabError as error:
        _record_failure(job, error)
        raise
    except KeyboardInterrupt:
        _record_failure(job, StoppedError("interrupted", signal_number=2))
        raise
    except torch.OutOfMemoryError as error:
        raise _out_of_memory(job) from error
    except RuntimeError as error:
        if "can't allocate memory" in str(error) or "out of memory" in str(error):
            raise _out_of_memory(job) from error
        raise
    finally:
        job.observer.close()


def _images(job: Job) -> tuple[Preprocess, Bank]:
    """Decode what is not decoded yet (one process for all), and measure mean and deviation."""
    request = job.config.request
    preprocess = geometry(job.config.recipe, job.config.spec.in_chans)
    for turn in (0, 1):
        if turn == 0 and not job.world.writes:
            job.world.barrier()
            continue
        if turn == 1 and job.world.writes:
            job.world.barrier()
            continue
        bank = open_bank(
            job.dataset,
            preprocess,
            device=job.device,
            cache=request.cache,
            workers=request.workers,
            note=job.observer.note if job.world.writes else None,
        )
    return with_statistics(preprocess, job.config.recipe, job.dataset, bank), bank


def _restore(job: Job, training: Training) -> float:
    """Put the newest complete checkpoint back; returns the time the run has used."""
    found = checkpoint.load_newest(job.run.checkpoints, job.observer.note)
    planned = training.state.plan.total_steps
    if found is None:
        job.observer.note("no checkpoint yet: starting from the beginning")
        job.run.forget_events_after(-1)
        return 0.0
    training.state, groups = found
    loop.restore(training, groups)
    state = training.state
    if job.config.request.time_s is None and planned != state.plan.total_steps:
        state.plan = dataclasses.replace(
            state.plan, total_steps=planned, from_step=0, from_progress=0.0
        )
        job.observer.note(
            f"the run is now {planned} steps long: the schedule goes on as if it had been "
            "planned so from the start"
        )
    if job.world.writes:
        job.run.forget_events_after(state.step)
        job.run.append_event({"event": "resume", "step": state.step})
    job.observer.note(f"resumed at step {state.step} of {state.plan.total_steps}")
    return state.elapsed_s


def _budget(job: Job, training: Training) -> Budget | None:
    time_s = job.config.request.time_s
    if time_s is None:
        return None
    counts = {name: len(samples) for name, samples in job.dataset.splits.items()}
    in_row = counts.get("val", 0) * (2 if training.ema else 1)
    in_row += counts.get("test", 0) if job.config.recipe.track_test else 0
    per_row = training.num_train / job.config.recipe.batch_size
    recipe = job.config.recipe
    most = recipe.steps or round(recipe.epochs * per_row)
    final = sum(n * (2 if training.ema else 1) for k, n in counts.items() if k != "train")
    return Budget(
        total_s=time_s,
        steps_per_row=max(1.0, per_row),
        most_steps=max(1, most),
        final_share=final / max(1, in_row),
    )


def _new_status(state: str, message: str, exit_code: int | None) -> dict[str, Any]:
    return {"state": state, "message": message, "exit_code": exit_code}


def _status(
    job: Job,
    training: Training,
    state: str,
    message: str,
    exit_code: int | None,
    wall_s: float | None = None,
) -> None:
    if not job.world.writes:
        return
    position = training.state
    value = _new_status(state, message, exit_code) | {
        "step": position.step,
        "total_steps": position.plan.total_steps,
        "epoch": position.step * training.recipe.batch_size / training.num_train,
        "wall_s": wall_s,
    }
    job.run.write_json("status.json", value)


_STATES = {6: "diverged", 130: "interrupted", 143: "interrupted"}


def _record_failure(job: Job, error: ReslabError) -> None:
    """Write why a run ended; a disk that is full must not hide the real error."""
    if not job.world.writes:
        return
    state = _STATES.get(error.exit_code, "failed")
    try:
        kept = json.loads((job.run.path / "status.json").read_text())
    except (OSError, ValueError):
        kept = {}
    try:
        job.run.write_json("status.json", kept | _new_status(state, str(error), error.exit_code))
    except MachineError:
        job.observer.note("the status could not be written either")


def _out_of_memory(job: Job) -> MachineError:
    recipe = job.config.recipe
    error = MachineError(
        f"out of memory on {job.device} with batch_size {recipe.batch_size} and img_size "
        f"{recipe.img_size}",
        remedy="use --accumulate 2 (or more), --checkpoint-activations, or a smaller --batch-size",
    )
    _record_failure(job, error)
    return error


class _Unlocked:
    def __enter__(self) -> None:
        """Do nothing: another process holds the lock for this one."""

    def __exit__(self, *exception: object) -> None:
        """Do nothing."""


def _locked(run: RunDirectory, world: World) -> Lock | _Unlocked:
    return Lock(run.lock_file) if world.writes else _Unlocked()
