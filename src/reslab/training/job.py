"""The whole job: a request in, a trained, evaluated and saved model out.

`start` resolves a request and runs it; `resume` goes on with a run directory. Both end in
`_execute`, so that a resumed run cannot differ from an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from reslab import durable, kernels, machine
from reslab.data.dataset import Dataset
from reslab.data.open import first_there, located
from reslab.data.record import ImageRecord
from reslab.data.split import splits_to_json
from reslab.durable import Lock
from reslab.errors import StoppedError
from reslab.runs import checkpoint, directory, files
from reslab.runs.config import Config, describe_dataset, lengthened
from reslab.runs.directory import Position, RunDirectory
from reslab.runs.run import Run
from reslab.training import loop, saving
from reslab.training.budget import Budget, Clock
from reslab.training.build import build_training, uses_fused_passes
from reslab.training.config import Request
from reslab.training.distributed import World, joined
from reslab.training.evaluating import Interrupted, row_evaluator, split_evaluator
from reslab.training.failures import failures_recorded
from reslab.training.finish import Result, finish
from reslab.training.inputs import cost_of, decide, fitted_images
from reslab.training.observe import Observer, Silent
from reslab.training.preprocessing import planned_preprocess
from reslab.training.probe import Probe
from reslab.training.recipe import Recipe
from reslab.training.source import seen_before
from reslab.training.step import Training
from reslab.training.stop import StopRequest, listening

MANY_IMAGES = 100_000  # reading so many takes long enough to be said


@dataclasses.dataclass
class Job:
    """A run about to be executed: what it is, on what, where, and watched by whom.

    Args:
        config: all that was decided.
        dataset: the data with their splits.
        run: the run directory.
        device: where to compute.
        world: the processes.
        observer: who watches.
        stop: whether someone asked to stop.
        began: `time.perf_counter()` at the beginning.
        former: the recipe before a resume made the run longer; None for a new run.
    """

    config: Config
    dataset: Dataset
    run: RunDirectory
    device: torch.device
    world: World
    observer: Observer
    stop: StopRequest
    began: float
    former: Recipe | None = None


def start(request: Request, observer: Observer | None = None) -> Result:
    """Train as a request says, in a new run directory.

    Raises:
        ReslabError: each kind with its own exit code; see `reslab.errors`.
    """
    began, watcher = time.perf_counter(), observer or Silent()
    if request.out is not None:
        directory.check_free(request.out)
    device = machine.choose_device(request.device)
    with listening() as stop, joined(device) as world:
        dataset, chosen, findings = decide(request, watcher)
        if world.writes:
            _identify(dataset, stop, watcher)
        world.barrier()  # the others find the digests in the cache
        dtype = machine.autocast_dtype(chosen.recipe.precision, device)
        config = Config(
            request=request,
            spec=chosen.spec,
            recipe=chosen.recipe,
            choices=chosen.choices,
            dataset=describe_dataset(dataset),
            preprocess=planned_preprocess(request, chosen.recipe, chosen.spec.in_chans).to_json(),
            cost=cost_of(chosen.spec),
            location=located(request.data),
            environment={
                **machine.describe(device),
                "processes": world.size,
                "kernels": kernels.reason()
                if uses_fused_passes(chosen.recipe, device)
                else "torch",
                "precision": "fp32" if dtype is None else str(dtype).removeprefix("torch."),
            },
        )
        record = ImageRecord.of(dataset, seen_before(request))
        run = _new_run(config, dataset, record, findings, world)
        for choice in config.choices:
            watcher.note(f"{choice.what}: {choice.chosen} ({choice.why})")
        with _locked(run, world):
            return _execute(Job(config, dataset, run, device, world, watcher, stop, began))


def resume(
    path: Path,
    overrides: Mapping[str, Any] | None = None,
    observer: Observer | None = None,
    device_name: str | None = None,
    data: str | None = None,
) -> Result:
    """Go on with a run exactly where its newest complete checkpoint stands.

    Args:
        path: the run directory.
        overrides: recipe fields; only the length may differ. A longer run follows its schedule
            as if the new length had been planned from the start.
        observer: who watches.
        device_name: another device than the run began on.
        data: where the data are now, if they were moved or copied; the run remembers it.

    Raises:
        CheckpointError: no run, or no readable checkpoint.
        DataError: the data are not there, or have changed since.
        UsageError: the recipe differs in more than its length.
    """
    began, watcher = time.perf_counter(), observer or Silent()
    run, saved = RunDirectory(path), Run(path)
    former = saved.read_config()
    config = lengthened(former, overrides or {})
    device = machine.choose_device(device_name or config.request.device)
    with listening() as stop, joined(device) as world:
        place = data or first_there(saved.places)
        dataset = saved.dataset(place=data or "", notify=watcher.note)
        if located(place) != config.location:
            config = config.moved(place)
        with _locked(run, world):
            if world.writes and config.location != former.location:
                # Of a longer run the length is written later, with the checkpoint that has it.
                run.write_config(former.moved(place))
            job = Job(config, dataset, run, device, world, watcher, stop, began, former.recipe)
            return _execute(job)


def _identify(dataset: Dataset, stop: StopRequest, observer: Observer) -> None:
    """Read the images that are new here, to know them again; a signal need not wait for it."""
    told = False

    def progress(done: int, total: int) -> None:
        nonlocal told
        if stop:
            raise StoppedError(
                f"stopped by signal {stop.signal_number} with {done:,} of {total:,} images read",
                signal_number=stop.signal_number,
            )
        if not told and total - done > MANY_IMAGES:
            told = True
            observer.note(f"reading {total:,} images once, to know them again")

    dataset.images.digests(progress)


def _new_run(
    config: Config,
    dataset: Dataset,
    record: ImageRecord,
    findings: dict[str, Any],
    world: World,
) -> RunDirectory:
    """Make the run directory, with all that is known before training; every rank learns it."""
    path = None
    if world.writes:
        run = directory.create(config.request.out, dataset.name)
        run.write_json(files.CHECK, findings)
        run.write_json(files.SPLIT, splits_to_json(dataset))
        run.write_record(record)
        run.write_config(config)
        path = run.path
    return RunDirectory(world.share(path))


def _execute(job: Job) -> Result:
    """Train to the end, evaluate, save; leave an honest status whatever happens."""
    run, writes = job.run, job.world.writes
    job.observer.note(f"run directory: {run.path}")
    if writes and (slow := machine.slow_precision(job.config.recipe.precision, job.device)):
        job.observer.note(slow)
    if job.device.type == "cpu":
        machine.keep_memory()
    with failures_recorded(run, job.config.recipe, job.device, job.observer, writes=writes):
        preprocess, fitted = fitted_images(
            job.config,
            job.dataset,
            job.device,
            job.world,
            decoding=functools.partial(_decoding, job),
            note=job.observer.note,
        )
        found = _newest_checkpoint(job)
        training = build_training(
            job.config, job.dataset, fitted, preprocess, job.device, job.world, new=found is None
        )
        clock = Clock(0.0 if found is None else _restore(job, training, found), job.began)
        if job.former is not None and job.former != job.config.recipe:
            _make_longer(job, training, clock)
        if writes:
            run.write_status("running", **_position(training))
        measure = split_evaluator(training, job.dataset, fitted, preprocess, job.stop)
        probe = None
        if job.config.request.probe is not None and writes:
            probe = Probe(training, job.dataset, fitted, preprocess, run, job.config.request.probe)
        watch = loop.Watch(
            evaluate=row_evaluator(training, job.dataset, measure),
            run=run,
            observer=job.observer,
            stop=job.stop,
            clock=clock,
            budget=_budget(job, training),
            save_every_s=job.config.request.save_every_s,
            probe=probe,
        )
        loop.train(training, watch)
        job.observer.close()
        try:
            result = finish(training, job.config, job.dataset, preprocess, measure, watch)
        except Interrupted as interruption:
            # The checkpoint of the last step is there: a resumed run comes straight back here.
            raise loop.stopped(watch) from interruption
        if writes:
            run.write_status(
                "finished",
                **_position(training),
                wall_s=result.wall_s,
                train_images_per_s=result.train_images_per_s,
            )
        return result


def _position(training: Training) -> Position:
    state = training.state
    return {
        "step": state.step,
        "total_steps": state.plan.total_steps,
        "epoch": state.step * training.recipe.batch_size / training.num_train,
    }


def _decoding(job: Job, done: int, total: int) -> None:
    """Pass progress on; a signal need not wait for the last of a million images."""
    if job.stop:
        raise StoppedError(
            f"stopped by signal {job.stop.signal_number} with {done:,} of {total:,} images decoded",
            signal_number=job.stop.signal_number,
            remedy=f"continue with: reslab train --resume {job.run.path}",
        )
    job.observer.decoding(done, total)


def _newest_checkpoint(job: Job) -> checkpoint.Found | None:
    """Read the newest complete checkpoint of a resumed run; nothing else is needed to go on."""
    if job.former is None:
        return None
    if job.world.writes:
        durable.recover(job.run.checkpoints)
    job.world.barrier()
    found = checkpoint.load_newest(job.run.checkpoints, job.observer.note)
    if found is None:
        job.observer.note("no checkpoint yet: starting from the beginning")
        if job.world.writes:
            job.run.forget_events_after(-1)
    return found


def _restore(job: Job, training: Training, found: checkpoint.Found) -> float:
    """Put a checkpoint back; returns the time the run has used, seconds."""
    planned = training.state.plan
    training.state, groups = found
    saving.restore(training, groups)
    state = training.state
    if job.former != job.config.recipe:
        state.plan = dataclasses.replace(planned, total_steps=max(planned.total_steps, state.step))
    if job.world.writes:
        job.run.forget_events_after(state.step)
        job.run.append_event({"event": "resume", "step": state.step})
    job.observer.note(f"resumed at step {state.step} of {state.plan.total_steps}")
    return state.elapsed_s


def _make_longer(job: Job, training: Training, clock: Clock) -> None:
    """Keep another length: in a checkpoint first, so that a run killed here keeps it as well."""
    state = training.state
    job.observer.note(
        f"the run is now {state.plan.total_steps} steps long: the schedule continues as if it "
        "had been planned so from the start"
    )
    if state.step:
        saving.save(training, job.run, clock)
    if job.world.writes:
        job.run.write_config(job.config)


def _budget(job: Job, training: Training) -> Budget | None:
    """Return the time there is, and how many images are evaluated in it."""
    time_s = job.config.request.time_s
    if time_s is None:
        return None
    recipe = job.config.recipe
    counts = {name: len(samples) for name, samples in job.dataset.splits.items()}
    copies = 2 if training.ema is not None else 1
    held_out = counts.get("val", 0) + counts.get("test", 0)
    per_epoch = training.num_train / recipe.batch_size
    return Budget(
        total_s=time_s,
        steps_per_row=max(1.0, per_epoch / recipe.rows_per_epoch),
        most_steps=max(1, recipe.steps or round(recipe.epochs * per_epoch)),
        batch_size=recipe.batch_size,
        row_images=copies * counts.get("val", 0) + recipe.track_test * counts.get("test", 0),
        final_images=copies * (held_out or counts["train"]),
    )


def _locked(run: RunDirectory, world: World) -> contextlib.AbstractContextManager[object]:
    """Keep other commands out of the run; one process holds the lock for all."""
    return Lock(run.lock_file) if world.writes else contextlib.nullcontext()
