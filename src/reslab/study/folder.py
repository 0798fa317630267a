"""The folder of a study: a folder a run, the outcome of each, and the results of all."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from reslab import durable
from reslab.errors import CheckpointError, UsageError
from reslab.runs.files import is_run
from reslab.runs.run import Run
from reslab.study.expansion import PlannedRun, Setting, asked, located_data
from reslab.study.measuring import described_data
from reslab.study.results import RunOutcome, StudyResults
from reslab.study.study import Study

IDENTITY = "study.json"
Stage = Literal["new", "resume", "measure", "done", "failed"]


class StudyFolder:
    """The files of a study.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock_file = path / "study.lock"

    def outcome_file(self, run_id: str) -> Path:
        """Return where the outcome of a run is written."""
        return self.path / f"{run_id}.json"

    def claim(self, study: Study, setting: Setting) -> None:
        """Note whose folder this is, or check it: one study, one scale, the same data.

        Raises:
            UsageError: it is that of another study, or holds something else.
        """
        data = located_data(setting.data or study.scale(setting.scale).data)
        own = {"study": study.name, "scale": setting.scale, "data": data}
        path = self.path / IDENTITY
        if path.is_file():
            found = _read(path)
            differing = [f"{k} {found.get(k)} -> {v}" for k, v in own.items() if found.get(k) != v]
            if differing:
                raise UsageError(
                    f"{self.path} holds another study: {', '.join(differing)}",
                    remedy="choose another --out",
                )
            return
        # Hidden files are what a killed process left of its first write.
        others = list(self.path.iterdir()) if self.path.exists() else []
        if any(p != self.lock_file and not p.name.startswith(".") for p in others):
            raise UsageError(
                f"{self.path} is not empty and no study's", remedy="choose another --out"
            )
        durable.write_file(path, (json.dumps(own, indent=2) + "\n").encode())

    def recover(self, plan: Sequence[PlannedRun]) -> None:
        """Remove what a killed process left half written; only for the holder of the lock."""
        for folder in {self.path, *((self.path / run.id).parent for run in plan)}:
            durable.recover(folder)

    def stage(self, run: PlannedRun, *, retry: bool = False) -> Stage:
        """Say what is left to do of a run.

        Args:
            run: the run.
            retry: a failed run is to be tried again.

        Returns:
            "done" also where it diverged, which it would do again; "failed" where it failed
            and shall not be tried again. Runs that are put together are so again where they are
            others than before, as they are with more seeds.

        Raises:
            UsageError: its folder holds a run with other settings.
        """
        self.check_same(run)
        outcome = self.outcome(run)
        if outcome is not None and run.request is None and outcome.combined != run.needs:
            return "measure"
        if outcome is not None and not (outcome.status == "failed" and retry):
            return "failed" if outcome.status == "failed" else "done"
        if run.request is None:
            return "measure"
        run_dir = self.path / run.id
        if not is_run(run_dir):
            return "new"
        # One that was killed before its first status counts as running.
        return "measure" if Run(run_dir).state == "finished" else "resume"

    def check_same(self, run: PlannedRun) -> None:
        """Refuse a run whose folder holds one with other settings.

        Raises:
            UsageError: names what differs.
        """
        run_dir = self.path / run.id
        if run.request is None or not is_run(run_dir):
            return
        found = asked(Run(run_dir).read_config().request)
        wanted = asked(run.request)
        differing = [f"{k} {found[k]} -> {wanted[k]}" for k in wanted if found.get(k) != wanted[k]]
        if differing:
            raise UsageError(
                f"{self.path / run.id} was run with other settings: {', '.join(differing)}",
                remedy="choose another --out, or remove that folder",
            )

    def clear(self, run: PlannedRun) -> None:
        """Remove a run that never got as far as its configuration: there is nothing in it."""
        run_dir = self.path / run.id
        if run_dir.is_dir() and not is_run(run_dir):
            shutil.rmtree(run_dir)

    def outcome(self, run: PlannedRun) -> RunOutcome | None:
        """Return the outcome of a run; None where it has not ended.

        Raises:
            CheckpointError: the file is damaged.
        """
        path = self.outcome_file(run.id)
        if not path.is_file():
            return None
        try:
            return RunOutcome.from_json(_read(path))
        except UsageError as error:
            raise _unreadable(path, error) from error

    def write_outcome(self, run: PlannedRun, outcome: RunOutcome) -> RunOutcome:
        """Write the outcome of a run, with its curve and recipe; returns it with them."""
        run_dir = self.path / run.id
        known, trained = is_run(run_dir), Run(run_dir)
        whole = dataclasses.replace(
            outcome,
            run_dir=run.id if known else "",
            rows=tuple(trained.rows),
            recipe=trained.section("recipe"),
            combined=run.needs if run.request is None else (),
        )
        text = json.dumps(whole.to_json(), ensure_ascii=False) + "\n"
        durable.write_file(self.outcome_file(run.id), text.encode("utf-8", "surrogateescape"))
        return whole

    def results(self, study: Study, setting: Setting, plan: tuple[PlannedRun, ...]) -> StudyResults:
        """Collect what there is; runs that have not come to an end are "missing"."""
        config = next(
            (Run.open(self.path / run.id).config for run in plan if is_run(self.path / run.id)),
            None,
        )
        return StudyResults(
            study=study,
            scale_name=setting.scale,
            data={} if config is None else described_data(config),
            outcomes=tuple(
                self.outcome(run) or RunOutcome(arm=run.arm.name, seed=run.seed, status="missing")
                for run in plan
            ),
            environment={} if config is None else config["environment"],
        )


def _read(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
        return value
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read: {error}", remedy="remove it, and run the study again"
    )
