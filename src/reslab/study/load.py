"""A study by reference: a module that comes with reslab, or a user's own file."""

from __future__ import annotations

import importlib
from pathlib import Path

from reslab.errors import UsageError
from reslab.study.study import Study
from reslab.user_file import run_file


def load_study(reference: str) -> Study:
    """Return the study that a module or a file defines as `STUDY`.

    Args:
        reference: a module's name, e.g. "reslab.studies.degradation", or the path of a .py file.

    Raises:
        UsageError: the file cannot be read or run, or defines no study.
    """
    if reference.endswith(".py"):
        module, where = run_file(Path(reference), "study"), reference
    else:
        module, where = importlib.import_module(reference), reference
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        received = "nothing" if study is None else f"a {type(study).__name__}"
        raise UsageError(
            f"{where} shall define STUDY as a reslab.study.Study, but has {received} there",
            remedy="see docs/studies.md for an example",
        )
    return study
