"""The studies that come with reslab, by name; each is a file that defines `STUDY`.

A study is imported when it is asked for.
"""

from __future__ import annotations

from reslab.errors import unknown
from reslab.study.load import load_study
from reslab.study.study import Study

SHIPPED: dict[str, str] = {
    "degradation": "reslab.studies.degradation",
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
