"""What a study is, as data: a question, what is compared, and what the paper leads one to expect.

A study lists its arms in Python (a comprehension over depths, kinds, rates), once for each scale.
Nothing here runs: `expansion.expand` lists the runs, `runner.run` does them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from reslab.display.short import short_repr
from reslab.errors import UsageError, unknown
from reslab.networks import NetworkSpec

if TYPE_CHECKING:
    from reslab.study.results import StudyResults, Verdict

ScaleName = Literal["tiny", "small", "paper"]
SCALES: tuple[ScaleName, ...] = get_args(ScaleName)
Measured = Mapping[str, float | Sequence[float]]


@dataclasses.dataclass(frozen=True)
class FinishedRun:
    """A finished run, handed to the functions that measure more on it.

    `reslab.artifact.load(run.model)` gives its network; evaluation/test.safetensors in its
    directory holds logits and labels of the test split.

    Args:
        arm: the name of its arm.
        seed: its seed.
        run_dir: its directory.
    """

    arm: str
    seed: int
    run_dir: Path

    @property
    def model(self) -> Path:
        """The folder of the trained model."""
        return self.run_dir / "model"


MeasureRuns = Callable[[Sequence[FinishedRun]], Measured]


@dataclasses.dataclass(frozen=True)
class After:
    """The arm whose finished run of the same seed a run starts from.

    Args:
        arm: the name of that arm.
        how: "start" takes its model as it is, "deepen" deepens it to the arm's own network.
    """

    arm: str
    how: Literal["start", "deepen"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One thing that is compared with others: a network and how it is trained.

    Args:
        name: unique within the study, a plain word such as "plain-56"; names its folder.
        group: the curve or the group of rows that it belongs to, e.g. "plain".
        model: a network of the catalogue by name, or any specification.
        x: where it stands on its curve, e.g. its depth; None where there is no such number.
        recipe: a recipe's name; None for that of the scale.
        overrides: recipe fields with other values than those of study and scale.
        paper: metric -> the paper's number, for what the paper calls the same thing.
        after: the arm that its runs start from, or None for new weights.
        combines: name of an arm whose finished runs are put together instead of training
            anything: `measure` receives them all, that of this run's seed first, then the
            others. None for an arm that trains.
        measure: metrics besides the usual ones, of the finished run (a list with that one run).
            Numbers become metrics, sequences become series.
        note: what a reader should know about it.
    """

    name: str
    group: str
    model: str | NetworkSpec = ""
    x: float | None = None
    recipe: str | None = None
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    paper: Mapping[str, float] = dataclasses.field(default_factory=dict)
    after: After | None = None
    combines: str | None = None
    measure: MeasureRuns | None = None
    note: str = ""

    @property
    def network(self) -> str:
        """The name of the network; empty for an arm that only combines runs of another."""
        return self.model if isinstance(self.model, str) else self.model.name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scale:
    """A study as it is asked with so much data and time.

    Args:
        data: a named data set or a path; `--data` replaces it.
        arms: what is compared.
        recipe: the recipe's name for arms that name none.
        overrides: recipe fields for all arms; an arm's own come on top.
        seeds: how many seeds, 0, 1, ...; `--seeds` replaces it.
        differs: sentences that say how this scale differs from the paper.
    """

    data: str
    arms: tuple[Arm, ...]
    recipe: str = "he2015-cifar"
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    seeds: int = 3
    differs: tuple[str, ...] = ()

    __repr__ = short_repr


class Expectation(Protocol):
    """What the paper leads one to expect, and how that is tested."""

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        ...

    def test(self, results: StudyResults) -> Verdict:
        """Compare it with what came out."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A question, the runs that answer it, and what the paper leads one to expect.

    Args:
        name: as the command line knows it, e.g. "degradation".
        title: a heading.
        question: one sentence that ends with a question mark.
        source: the paper, with section, table or figure.
        scales: what is run at each scale; a study need not have all of them.
        metric: the number that the question is about; lower is better, as errors are, unless it
            is a registered metric (`evaluate.metrics`) that says otherwise.
        x_label: what `Arm.x` is, for axes and tables ("depth, layers").
        expectations: what the paper leads one to expect.
        notes: sentences for the reader of the report.
    """

    name: str
    title: str
    question: str
    source: str
    scales: Mapping[ScaleName, Scale]
    metric: str = "test_error_pct"
    x_label: str = ""
    expectations: tuple[Expectation, ...] = ()
    notes: tuple[str, ...] = ()

    __repr__ = short_repr

    def __post_init__(self) -> None:
        if not self.scales:
            raise UsageError(f"study '{self.name}' has no scales")
        for name, scale in self.scales.items():
            if name not in SCALES:
                raise unknown("scale", str(name), SCALES)
            _check_arms(scale.arms, f"study '{self.name}' at scale '{name}'")

    def scale(self, name: ScaleName) -> Scale:
        """Return one of its scales.

        Raises:
            UsageError: it has none of that name.
        """
        if name not in self.scales:
            raise unknown(f"scale of study '{self.name}'", name, self.scales)
        return self.scales[name]


def _check_arms(arms: Sequence[Arm], where: str) -> None:
    """Refuse names that are used twice, or arms that lean on one that does not come before."""
    known: set[str] = set()
    for arm in arms:
        if arm.name in known:
            raise UsageError(f"{where}: two arms are called '{arm.name}'")
        if not arm.name or arm.name != arm.name.strip(". ") or set(arm.name) & set('/\\:*?"<>|'):
            raise UsageError(f"{where}: '{arm.name}' cannot name a folder")
        needed = arm.after.arm if arm.after is not None else arm.combines
        if needed is not None and needed not in known:
            raise UsageError(
                f"{where}: '{arm.name}' needs '{needed}', which does not come before it",
                remedy="list that arm first",
            )
        if arm.combines is not None and arm.measure is None:
            raise UsageError(f"{where}: '{arm.name}' combines runs and needs a measure")
        deepened = arm.after is not None and arm.after.how == "deepen"
        if deepened and not isinstance(arm.model, str):
            raise UsageError(
                f"{where}: '{arm.name}' is deepened, which needs a network of the catalogue",
                remedy="give its name",
            )
        if arm.combines is None and arm.model == "":
            raise UsageError(f"{where}: '{arm.name}' names no network")
        known.add(arm.name)
    if not known:
        raise UsageError(f"{where} has no arms")
