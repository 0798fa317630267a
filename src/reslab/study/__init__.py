"""Studies: a question asked of many training runs, answered with statistics over seeds.

`study` says what a study is, `results` what came out, `expectation` how the two are compared.
"""

from reslab.study.expectation import (
    Best,
    DoesNotRise,
    Fails,
    FallsWith,
    Judged,
    Ordered,
    RisesWith,
)
from reslab.study.results import RunOutcome, StudyResults, Verdict
from reslab.study.study import After, Arm, FinishedRun, Scale, ScaleName, Study

__all__ = [
    "After",
    "Arm",
    "Best",
    "DoesNotRise",
    "Fails",
    "FallsWith",
    "FinishedRun",
    "Judged",
    "Ordered",
    "RisesWith",
    "RunOutcome",
    "Scale",
    "ScaleName",
    "Study",
    "StudyResults",
    "Verdict",
]
