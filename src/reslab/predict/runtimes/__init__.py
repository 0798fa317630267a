"""Who computes the logits: torch as it is, compiled, OpenVINO or ONNX Runtime.

`build_runtime` makes one of them; `Auto` finds out which is done first and has the answers of
torch in float32; `survey` tries them all.
"""

from reslab.predict.runtimes.choose import Auto, Candidate
from reslab.predict.runtimes.kinds import build_runtime, kind_of
from reslab.predict.runtimes.runtime import RUNTIMES, Runtime, RuntimeKind, Shape, shape_of
from reslab.predict.runtimes.survey import SurveyRow, survey

__all__ = [
    "RUNTIMES",
    "Auto",
    "Candidate",
    "Runtime",
    "RuntimeKind",
    "Shape",
    "SurveyRow",
    "build_runtime",
    "kind_of",
    "shape_of",
    "survey",
]
