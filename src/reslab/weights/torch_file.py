"""Files of torch.save, opened so that nothing in them is run.

This is the only place that opens a pickle, and only through torch's reader of plain tensors
(`weights_only`), which builds tensors and containers and calls nothing else.
"""

from __future__ import annotations

import os
import pickletools
import re
from pathlib import Path
from typing import Any

import torch

from reslab.errors import CheckpointError


class _Value:
    """What stands in for a value of a training program that is no tensor; it is forgotten."""

    is_array = False

    def __init__(self, *parts: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass


class _Array(_Value):
    """What stands in for a NumPy array."""

    is_array = True


# Training programs save their arguments, folders and best accuracy beside the weights. They are
# nothing but values: objects of these names are replaced by ours, which do nothing.
_STAND_INS: tuple[tuple[type[_Value], str], ...] = (
    (_Value, "argparse.Namespace"),
    *(
        (_Value, f"{module}.{name}")
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
    ),
    *(
        (stand_in, f"{module}.{name}")
        for module in ("numpy.core.multiarray", "numpy._core.multiarray")
        for stand_in, name in ((_Value, "scalar"), (_Array, "_reconstruct"))
    ),
    (_Value, "numpy.dtype"),
    (_Array, "numpy.ndarray"),
    *(
        (_Value, f"{module}.AttributeDict")
        for module in (
            "lightning.fabric.utilities.data",
            "lightning_fabric.utilities.data",
            "pytorch_lightning.utilities.parsing",
        )
    ),
)

_OF_CONTAINERS = ("collections.", "torch._utils.", "__builtin__.set", "builtins.set")
# Two of versions, one of the writing machine, the objects, the order of the tensors' bytes.
_PICKLES_OF_OLD_FORMAT = 5


def read_torch(path: Path) -> Any:
    """Read what torch.save wrote: tensors, containers, numbers and texts.

    Raises:
        CheckpointError: the file is damaged, or holds objects of other kinds, which are named.
    """
    try:
        # A file, not its name: by that torch would choose another reader.
        with open(path, "rb") as file, torch.serialization.safe_globals(list(_STAND_INS)):
            return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles make torch raise all kinds
        raise _refusal(path) from error


def _refusal(path: Path) -> CheckpointError:
    """Say what else than tensors a file holds, or that it is damaged.

    torch's own messages give advice that is wrong here: to load the file without its guard.
    """
    try:
        with torch.serialization.safe_globals(list(_STAND_INS)):
            strangers = torch.serialization.get_unsafe_globals_in_checkpoint(os.fspath(path))
    except Exception:  # an old or damaged file
        strangers = _strangers_in_old_format(path)
    if not strangers:
        return CheckpointError(
            f"{path} is a torch checkpoint that is damaged or was cut off "
            f"({path.stat().st_size:,} bytes)",
            remedy="download or copy it again, or save it again with torch.save",
        )
    modules = [name for name in strangers if not name.startswith("torch.")] or strangers
    if any(name.startswith("torch.nn.modules.") for name in strangers):
        return CheckpointError(
            f"{path} holds a whole module ({_some(modules)}), code included, which is never loaded",
            remedy="save its state_dict() alone, best as safetensors, where you trust the file",
        )
    return CheckpointError(
        f"{path} holds Python objects besides tensors ({_some(strangers)}), which are never loaded",
        remedy="save its state_dict() alone, best as safetensors, where you trust the file",
    )


def _strangers_in_old_format(path: Path) -> list[str]:
    """List what the old format's pickles name besides torch and containers; nothing is loaded."""
    found: dict[str, None] = {}
    known = {name for _, name in _STAND_INS}
    try:
        with open(path, "rb") as file:
            for _ in range(_PICKLES_OF_OLD_FORMAT):
                for opcode, argument, _ in pickletools.genops(file):
                    name = str(argument).replace(" ", ".")
                    harmless = name in known or name.startswith(_OF_CONTAINERS)
                    is_storage = re.fullmatch(r"torch\.\w*Storage", name)
                    if opcode.name == "GLOBAL" and not harmless and not is_storage:
                        found[name] = None
    except Exception:  # damaged pickles make Python raise all kinds, too
        return list(found)
    return list(found)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
