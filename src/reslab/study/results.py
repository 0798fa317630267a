"""What came out of a study: every run with its numbers, failed ones included."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from reslab import dataclass_json, durable
from reslab.aliases import current_config
from reslab.display import short
from reslab.display.short import short_repr
from reslab.errors import CheckpointError
from reslab.study.study import Arm, Scale, ScaleName, Study

Status = Literal["finished", "failed", "diverged", "missing"]
Outcome = Literal["reproduced", "not reproduced", "not decidable"]
FILE = "results.json"
FORMAT = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """The outcome of one run.

    Args:
        arm: the name of its arm.
        seed: its seed.
        status: "diverged": the loss or weights became infinite; "failed": it could not be done;
            "missing": it has not been run, or not to its end.
        error: why it diverged or failed, one line.
        run_dir: its directory, relative to the study's folder; empty where there is none.
        metrics: of the finished network: train_error_pct and train_loss (training images,
            evaluation mode, no augmentation), test_error_pct, test_loss, val_error_pct,
            val_loss (where there are such splits), running_train_error_pct (last epoch, as
            training saw it), params, macs, steps, wall_s, train_images_per_s, and what the arm
            measures besides.
        series: lists of numbers that the arm measures.
        rows: the training curve: a row an epoch, columns as in results.csv.
        recipe: every number of its recipe.
        combined: the runs that it puts together, in order; empty where it was trained.
    """

    arm: str
    seed: int
    status: Status
    error: str = ""
    run_dir: str = ""
    metrics: Mapping[str, float | int] = dataclasses.field(default_factory=dict)
    series: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)
    rows: tuple[Mapping[str, Any], ...] = ()
    recipe: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    combined: tuple[str, ...] = ()

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclass_json.to_json(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RunOutcome:
        """Rebuild what `to_json` returned.

        Raises:
            UsageError: a field is missing, unknown or of another type.
        """
        return dataclass_json.from_json(cls, current_config(value), "outcome")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether an expectation was met.

    Args:
        expectation: it in words.
        outcome: "reproduced", "not reproduced", or "not decidable" with so many seeds.
        because: the numbers that decided, one sentence.
        statistics: the same numbers by name: difference, ci95, p, n, effect size.
    """

    expectation: str
    outcome: Outcome
    because: str
    statistics: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclass_json.to_json(self)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudyResults:
    """A study's runs at one scale, complete or not.

    Args:
        study: the study.
        scale_name: which of its scales.
        data: what the data really were: name, classes, counts a split, fingerprint, note, and
            image size and channels of the networks' input.
        outcomes: one for each planned run, in the order of the plan.
        environment: the machine and the versions that ran it.
    """

    study: Study
    scale_name: ScaleName
    data: Mapping[str, Any]
    outcomes: tuple[RunOutcome, ...]
    environment: Mapping[str, Any]

    def __repr__(self) -> str:
        done = sum(outcome.status == "finished" for outcome in self.outcomes)
        about = (
            f"StudyResults of '{self.study.name}', scale {self.scale_name}: {done} of "
            f"{len(self.outcomes)} runs finished"
        )
        said = [f"{one.outcome}: {one.expectation}" for one in self.verdicts()]
        return short.cut([about, *(short.lines(line) for line in said)])

    def _repr_html_(self) -> str:
        from reslab.study.card import study_card

        return study_card(self)

    @property
    def scale(self) -> Scale:
        """The scale that was run."""
        return self.study.scale(self.scale_name)

    @property
    def arms(self) -> tuple[Arm, ...]:
        """What was compared."""
        return self.scale.arms

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds that were planned."""
        return tuple(sorted({outcome.seed for outcome in self.outcomes}))

    @property
    def complete(self) -> bool:
        """Whether every run has come to an end, good or bad."""
        return all(outcome.status != "missing" for outcome in self.outcomes)

    @property
    def chance_error_pct(self) -> float:
        """The error of guessing, all classes being equally likely."""
        classes = len(self.data.get("classes", ()))
        return 100.0 * (1 - 1 / classes) if classes else 100.0

    def groups(self) -> dict[str, tuple[Arm, ...]]:
        """Return the arms of each group, in the order of the study."""
        found: dict[str, tuple[Arm, ...]] = {}
        for arm in self.arms:
            found[arm.group] = (*found.get(arm.group, ()), arm)
        return found

    def of(self, arm: str) -> tuple[RunOutcome, ...]:
        """Return the outcomes of an arm, by seed."""
        assert any(arm == known.name for known in self.arms), arm
        return tuple(outcome for outcome in self.outcomes if outcome.arm == arm)

    def values(self, arm: str, metric: str) -> dict[int, float]:
        """Return seed -> number over the runs of an arm.

        A diverged run counts as guessing in an error; in any other metric, and wherever a run
        failed, there is no number.
        """
        found: dict[int, float] = {}
        for outcome in self.of(arm):
            if outcome.status == "finished" and metric in outcome.metrics:
                found[outcome.seed] = float(outcome.metrics[metric])
            elif outcome.status == "diverged" and metric.endswith("_error_pct"):
                found[outcome.seed] = self.chance_error_pct
        return found

    def verdicts(self) -> tuple[Verdict, ...]:
        """Test every expectation of the study."""
        return tuple(expectation.test(self) for expectation in self.study.expectations)

    def to_json(self) -> dict[str, Any]:
        """Return what results.json holds; the study itself is found again by its name."""
        return {
            "format": FORMAT,
            "study": self.study.name,
            "question": self.study.question,
            "scale": self.scale_name,
            "data": dict(self.data),
            "environment": dict(self.environment),
            "complete": self.complete,
            "verdicts": [verdict.to_json() for verdict in self.verdicts()],
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
        }

    @classmethod
    def from_json(cls, study: Study, value: Mapping[str, Any]) -> StudyResults:
        """Rebuild what `to_json` returned.

        Raises:
            CheckpointError: it belongs to another study, or to a newer reslab.
        """
        if value.get("format") != FORMAT or value.get("study") != study.name:
            raise CheckpointError(
                f"these are no results of study '{study.name}' that this reslab can read "
                f"(study {value.get('study')!r}, format {value.get('format')!r})"
            )
        return cls(
            study=study,
            scale_name=value["scale"],
            data=value["data"],
            outcomes=tuple(RunOutcome.from_json(outcome) for outcome in value["outcomes"]),
            environment=value["environment"],
        )

    def save(self, folder: Path) -> Path:
        """Write results.json into a folder, all of it or nothing."""
        path = folder / FILE
        text = json.dumps(self.to_json(), indent=1, ensure_ascii=False) + "\n"
        durable.write_file(path, text.encode("utf-8", "surrogateescape"))
        return path

    @classmethod
    def load(cls, study: Study, folder: Path) -> StudyResults:
        """Read what `save` wrote.

        Raises:
            CheckpointError: it is missing, damaged, or of another study.
        """
        path = folder / FILE
        try:
            value = json.loads(path.read_bytes().decode("utf-8", "surrogateescape"))
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{folder} holds no study's results", remedy=f"reslab study run {study.name}"
            ) from error
        except ValueError as error:
            raise CheckpointError(f"{path} is damaged: {error}") from error
        return cls.from_json(study, value)
