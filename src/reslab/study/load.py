"""A study by reference: a module that comes with reslab, or a user's own file."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path
from types import ModuleType

from reslab.errors import ReslabError, UsageError
from reslab.study.study import Study


def load_study(reference: str) -> Study:
    """Return the study that a module or a file defines as `STUDY`.

    Args:
        reference: a module's name, e.g. "reslab.studies.degradation", or the path of a .py file.

    Raises:
        UsageError: the file cannot be read or run, or defines no study.
    """
    if reference.endswith(".py"):
        module, where = _module_of(Path(reference)), reference
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


def _module_of(path: Path) -> ModuleType:
    """Run a user's file as a module of its own; what goes wrong in it is one line."""
    if not path.is_file():
        raise UsageError(f"{path} does not exist", remedy="name a study or a .py file")
    name = f"reslab_user_study_{path.stem}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses in the file look their module up
    try:
        # Compiled anew each time: a cached form is told from the file by its second and its size.
        exec(compile(path.read_bytes(), path, "exec"), vars(module))
    except ReslabError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno for f in reversed(frames) if f.filename == str(path)), None)
        line = error.lineno if isinstance(error, SyntaxError) else line
        place = f"{path}, line {line}" if line else str(path)
        raise UsageError(f"{place}: {type(error).__name__}: {error}") from error
    return module
