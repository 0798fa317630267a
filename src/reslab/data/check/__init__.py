"""What is wrong with a data set, found before anything trains on it."""

from reslab.data.check.plan import mending_plan
from reslab.data.check.run import CheckReport, check_dataset
from reslab.data.findings import Finding

__all__ = ["CheckReport", "Finding", "check_dataset", "mending_plan"]
