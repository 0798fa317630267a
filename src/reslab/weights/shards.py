"""Weights that one program wrote into several files, with or without an index of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reslab.errors import CheckpointError

INDEX_SUFFIX = ".index.json"
_NUMBERED = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})(?P<suffix>\.\w+)")


def parts_of_index(path: Path) -> list[Path]:
    """Return the files that an index (`model.safetensors.index.json`) lists.

    Raises:
        CheckpointError: it lists none, or one that is missing or lies elsewhere.
    """
    value: Any = json.loads(path.read_bytes())
    table = value["weight_map"]
    names = sorted({str(name) for name in table.values()})
    if not names or any(Path(name).name != name for name in names):
        raise CheckpointError(f"{path} is an index that names no files of weights beside it")
    return _all_there(path, [path.parent / name for name in names])


def parts_of_shard(path: Path) -> list[Path]:
    """Return all files of a set from one of them (`model-00001-of-00002.safetensors`).

    Returns:
        The files in order; only `path` where its name is not one of a set.

    Raises:
        CheckpointError: another file of the set is missing.
    """
    found = _NUMBERED.fullmatch(path.name)
    if found is None:
        return [path]
    total = int(found["total"])
    names = [
        f"{found['stem']}-{number:05d}-of-{found['total']}{found['suffix']}"
        for number in range(1, total + 1)
    ]
    return _all_there(path, [path.parent / name for name in names])


def _all_there(path: Path, parts: list[Path]) -> list[Path]:
    missing = [part.name for part in parts if not part.exists()]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise CheckpointError(
            f"{path} is one of {len(parts)} files that belong together; missing are "
            f"{', '.join(missing[:3])}{more}"
            if not path.name.endswith(INDEX_SUFFIX)
            else f"{path} lists {len(parts)} files; missing are {', '.join(missing[:3])}{more}",
            remedy="download them all into one folder",
        )
    return parts


def merged(parts: list[Mapping[str, Any]], path: Path) -> dict[str, Any]:
    """Put the tensors of several files together.

    Raises:
        CheckpointError: two files have a tensor of one name.
    """
    found: dict[str, Any] = {}
    for part in parts:
        twice = next((name for name in part if name in found), None)
        if twice is not None:
            raise CheckpointError(f"two of the files of {path} have a tensor '{twice}'")
        found.update(part)
    return found
