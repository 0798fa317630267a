"""What may be lost: the user's cache folder, and small answers kept in it, a JSON file each."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reslab.durable.files import write_file
from reslab.errors import MachineError


def cache_folder(kind: str, cache: str | Path | None = None) -> Path:
    """Return the folder of one kind of thing, in `cache`, $RESLAB_CACHE or ~/.cache/reslab."""
    root = cache or os.environ.get("RESLAB_CACHE") or "~/.cache/reslab"
    return Path(root).expanduser() / kind


def key_of(question: Mapping[str, Any]) -> str:
    """Name a question that is made of JSON values (hexadecimal)."""
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]


def recall(kind: str, key: str) -> Any:
    """Return an answer that was kept, or None where there is none that can be read."""
    try:
        return json.loads((cache_folder(kind) / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def keep(kind: str, key: str, answer: Any) -> None:
    """Keep an answer; a cache that cannot be written is no reason to fail."""
    path = cache_folder(kind) / f"{key}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, json.dumps(answer, sort_keys=True).encode())
    except (OSError, MachineError):
        return
