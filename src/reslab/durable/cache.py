"""What may be lost: the user's cache folder, and small answers kept in it, a JSON file each."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reslab.durable.files import write_file
from reslab.errors import MachineError

# Backup programs leave a folder with this file out; see https://bford.info/cachedir/
TAG = "CACHEDIR.TAG"
_TAG_TEXT = b"""Signature: 8a477f597d28d172789f06886806bc55
# What reslab keeps to save time. It may be removed whenever no reslab is running.
"""


def cache_root(cache: str | Path | None = None) -> Path:
    """Return the one folder that everything lies in which may be lost.

    It is `cache`, else $RESLAB_CACHE, else $XDG_CACHE_HOME/reslab, else ~/.cache/reslab. Where
    there is no home, or none that can be written, it is a folder of the user's own among the
    system's temporary files.

    Raises:
        MachineError: there is no place at all.
    """
    named = cache or os.environ.get("RESLAB_CACHE")
    if named:
        return Path(os.path.expanduser(named))
    # The XDG specification: a relative path in it is invalid and to be ignored.
    base = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(base):
        return Path(base) / "reslab"
    home = os.path.expanduser("~")
    own = Path(home) / ".cache" / "reslab"
    if os.path.isabs(home) and home != os.sep and (own.is_dir() or _can_be_made(own)):
        return own
    return _temporary_root()


def cache_folder(kind: str, cache: str | Path | None = None) -> Path:
    """Return the folder of one kind of thing below `cache_root`, whether or not it exists."""
    return cache_root(cache) / kind


def make_cache_folder(kind: str, cache: str | Path | None = None) -> Path:
    """Make that folder; a root that is new is marked as a cache.

    Raises:
        OSError: it cannot be made.
    """
    folder = cache_folder(kind, cache)
    new = not folder.parent.exists()
    folder.mkdir(parents=True, exist_ok=True)
    if new:  # a folder that was there may hold what is to be kept, and backed up
        with contextlib.suppress(OSError):
            (folder.parent / TAG).write_bytes(_TAG_TEXT)
    return folder


def _can_be_made(folder: Path) -> bool:
    above = next(parent for parent in folder.parents if parent.exists())
    home = folder.parents[1]  # which has to be there: no home is made here
    return home.is_dir() and above.is_dir() and os.access(above, os.W_OK | os.X_OK)


@functools.cache
def _temporary_root() -> Path:
    """Return the user's folder among the temporary files; nobody else may write into it.

    Compiled code is loaded from there, so a folder that another user made is not taken.
    """
    user = os.geteuid() if hasattr(os, "geteuid") else "user"
    try:
        folder = Path(tempfile.gettempdir()) / f"reslab-{user}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        status = folder.lstat()
        own = user in (status.st_uid, "user") and stat.S_ISDIR(status.st_mode)
        if own and not stat.S_IMODE(status.st_mode) & 0o022:
            return folder
        return Path(tempfile.mkdtemp(prefix="reslab-"))
    except OSError as error:
        raise MachineError(
            "there is no home and no temporary folder to keep files in",
            remedy="name a folder in the environment variable RESLAB_CACHE",
        ) from error


def key_of(question: Mapping[str, Any]) -> str:
    """Name a question that is made of JSON values (hexadecimal)."""
    return hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:32]


def recall(kind: str, key: str) -> Any:
    """Return an answer that was kept, or None where there is none that can be read."""
    try:
        return json.loads((cache_folder(kind) / f"{key}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, MachineError):
        return None


def keep(kind: str, key: str, answer: Any) -> None:
    """Keep an answer; a cache that cannot be written is no reason to fail."""
    try:
        path = make_cache_folder(kind) / f"{key}.json"
        write_file(path, json.dumps(answer, sort_keys=True).encode())
    except (OSError, MachineError):
        return
