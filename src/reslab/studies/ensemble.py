"""Ensembles: how much several networks together gain over one."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from reslab.errors import UsageError
from reslab.evaluate.compare import together
from reslab.runs.run import Run
from reslab.studies.scales import paper, small, tiny
from reslab.study import Arm, FallsWith, FinishedRun, Ordered, Study
from reslab.study.study import Measured


def error_of(count: int, runs: Sequence[FinishedRun]) -> Measured:
    """Return the error of the first networks together: their probabilities are averaged.

    Raises:
        UsageError: there are fewer runs.
    """
    if len(runs) < count:
        raise UsageError(
            f"{count} networks together need {count} seeds, received {len(runs)}",
            remedy=f"--seeds {count + 1} or more",
        )
    found = together([Run.open(run.run_dir).splits["test"] for run in runs[:count]])
    return {"test_error_pct": 100.0 - found.accuracy_pct, "test_loss": found.nll(1.0)}


def arms(model: str, most: int) -> tuple[Arm, ...]:
    """Return single networks, and two to `most` of them together."""
    single = Arm(
        name="1 network",
        group="networks",
        model=model,
        x=1,
        measure=functools.partial(error_of, 1),
    )
    return (
        single,
        *(
            Arm(
                name=f"{count} networks",
                group="networks",
                x=count,
                combines=single.name,
                measure=functools.partial(error_of, count),
                note="of this seed and the next ones, in turn",
            )
            for count in range(2, most + 1)
        ),
    )


SHARED = "Ensembles of different seeds share networks, so that their intervals are too narrow."
STUDY = Study(
    name="ensemble",
    title="Networks together",
    question="How far does the error fall when several networks vote?",
    source="He et al. 2015 (arXiv 1512.03385), section 4.1, Table 5 (on ImageNet)",
    x_label="networks",
    scales={
        "tiny": tiny(arms("resnet20", 4), steps=250, seeds=5),
        "small": small(arms("resnet20", 4), steps=700, seeds=5),
        "paper": paper(arms("resnet56", 4)),
    },
    expectations=(
        FallsWith(
            sentence="The error falls with the number of networks.", group="networks", smallest=0.1
        ),
        Ordered(
            sentence="Two networks are better than one.",
            better="2 networks",
            worse="1 network",
            smallest=0.1,
        ),
    ),
    notes=(SHARED, "The paper's ensemble of six networks of different depth is not this one."),
)
