"""Who computes the logits: torch as it is, compiled, OpenVINO or ONNX Runtime.

`build_runtime` makes one of them; `Auto` finds out which is done first and has the answers of
torch in float32; `survey` tries them all.
"""

from reslab.predict.runtimes.choose import Auto, Candidate
from reslab.predict.runtimes.kinds import KINDS, build_runtime, kind_of
from reslab.predict.runtimes.runtime import Kind, Runtime, Shape, shape_of
from reslab.predict.runtimes.survey import Row, survey

__all__ = [
    "KINDS",
    "Auto",
    "Candidate",
    "Kind",
    "Row",
    "Runtime",
    "Shape",
    "build_runtime",
    "kind_of",
    "shape_of",
    "survey",
]
