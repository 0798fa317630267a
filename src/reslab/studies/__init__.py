"""The studies that come with reslab, by name; each is a file that defines `STUDY`.

A study is imported when it is asked for.
"""

from __future__ import annotations

import importlib

from reslab.errors import unknown
from reslab.study.study import Study

SHIPPED: dict[str, str] = {
    "degradation": "reslab.studies.degradation",
}


def shipped(name: str) -> Study:
    """Return a study by name.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in SHIPPED:
        raise unknown("study", name, SHIPPED)
    study = importlib.import_module(SHIPPED[name]).STUDY
    assert isinstance(study, Study)
    assert study.name == name
    return study
