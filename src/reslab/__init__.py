"""A workbench for deep residual networks: train, compare and understand image classifiers.

Everything is imported when it is first used, so that ``import reslab`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "train": "reslab.api",
    "resume": "reslab.api",
    "load": "reslab.api",
    "DataOptions": "reslab.data.collect",
    "look_inside": "reslab.look",
    "create_model": "reslab.models",
    "list_models": "reslab.networks",
    "open_dataset": "reslab.data.open",
    "check_dataset": "reslab.data.check",
    "compare_runs": "reslab.report.comparison",
}

__all__ = [
    "DataOptions",
    "__version__",
    "check_dataset",
    "compare_runs",
    "create_model",
    "list_models",
    "load",
    "look_inside",
    "open_dataset",
    "resume",
    "train",
]

if TYPE_CHECKING:
    from reslab.api import load, resume, train
    from reslab.data.check import check_dataset
    from reslab.data.collect import DataOptions
    from reslab.data.open import open_dataset
    from reslab.look import look_inside
    from reslab.models import create_model
    from reslab.networks import list_models
    from reslab.report.comparison import compare_runs


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'reslab' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
