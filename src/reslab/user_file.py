"""A Python file of the user's: a study, or metrics."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from types import ModuleType

from reslab.errors import ReslabError, UsageError


def run_file(path: Path, what: str) -> ModuleType:
    """Run a user's file as a module of its own; what goes wrong in it is one line.

    Args:
        path: the file.
        what: what it defines, for messages: "study", "metrics".

    Raises:
        UsageError: there is no such file, or it fails; names the line.
    """
    if not path.is_file():
        raise UsageError(
            f"{path} does not exist",
            remedy="name a study or a .py file" if what == "study" else "name a .py file",
        )
    name = f"reslab_user_{what}_{path.stem}"
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses in the file look their module up
    try:
        # Compiled each time: a cached form is told from the file by its second and its size.
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
