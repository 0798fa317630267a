"""What a training will take on this machine: `predict`, and what `reslab plan` compares."""

from reslab.plan.forecast import Forecast, predict
from reslab.plan.task import OutOfMemory

__all__ = ["Forecast", "OutOfMemory", "predict"]
