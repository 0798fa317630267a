"""The studies that come with reslab, by name; each is a file that defines `STUDY`.

A study is imported when it is asked for.
"""

from __future__ import annotations

from reslab.errors import unknown
from reslab.study.load import load_study
from reslab.study.study import Study

SHIPPED: dict[str, str] = {
    "degradation": "reslab.studies.degradation",
    "depth": "reslab.studies.depth",
    "shortcut-options": "reslab.studies.shortcut_options",
    "shortcut-kinds": "reslab.studies.shortcut_kinds",
    "activation-order": "reslab.studies.activation_order",
    "preactivation-depth": "reslab.studies.preactivation_depth",
    "highway-vs-residual": "reslab.studies.highway_vs_residual",
    "construction": "reslab.studies.construction",
    "initialisation": "reslab.studies.initialisation",
    "warmup": "reslab.studies.warmup",
    "no-batchnorm": "reslab.studies.no_batchnorm",
    "ancestors": "reslab.studies.ancestors",
    "notes-ideas": "reslab.studies.notes_ideas",
    "ensemble": "reslab.studies.ensemble",
    "augmentation": "reslab.studies.augmentation",
    "layer-responses": "reslab.studies.layer_responses",
    "lesion": "reslab.studies.lesion",
}


def reference(name: str) -> str:
    """Return what `study.load.load_study` takes: a module for a name, a path as it is.

    Raises:
        UsageError: neither a shipped study nor a .py file.
    """
    if name.endswith(".py"):
        return name
    if name not in SHIPPED:
        raise unknown("study", name, SHIPPED)
    return SHIPPED[name]


def shipped(name: str) -> Study:
    """Return a study by name.

    Raises:
        UsageError: there is none of that name.
    """
    return load_study(reference(name))
