"""Folders of files with their hashes, replaced as a whole.

A folder is replaced in two renames; a crash between them leaves the old one under a name that
`read_directory` and `recover` know (`.NAME.aside`). Unfinished work is called
`.NAME.XXXXXXXX.partial`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from reslab.durable.files import (
    PARTIAL,
    Buffer,
    discard,
    make_parents,
    remove,
    sync_directory,
    temporary,
    write_new,
    writing,
)
from reslab.errors import CheckpointError, UsageError

MANIFEST = "manifest.json"
_ASIDE = ".aside"
_FORMAT = 1
_READ_ATTEMPTS = 10


def save_directory(folder: Path, files: Mapping[str, Buffer]) -> None:
    """Write a folder of files with their hashes, replacing an older one as a whole.

    Args:
        folder: where the files shall be found; its parents are made.
        files: plain file name -> content (memoryviews are written without a copy).

    Raises:
        UsageError: the folder exists and holds something else, which would be lost.
        MachineError: the disk is full or cannot be written; the older folder is intact.
    """
    for name in files:
        assert name not in ("", MANIFEST), name
        assert "/" not in name, name
        assert not name.startswith("."), name
    with writing(folder):
        folder = Path(os.path.realpath(folder))
        make_parents(folder.parent)
        _settle(folder)
        _refuse_strangers(folder, files)
        partial = temporary(folder)
        try:
            os.mkdir(partial)
            manifest = {name: write_new(partial / name, data) for name, data in files.items()}
            value = {"format": _FORMAT, "files": manifest}
            write_new(partial / MANIFEST, (json.dumps(value, indent=1) + "\n").encode())
            sync_directory(partial)
            _put_in_place(partial, folder)
        except BaseException:
            discard(partial)
            raise


def read_directory(folder: Path) -> dict[str, bytes]:
    """Return the files of a saved folder, each compared with its size and hash.

    Raises:
        CheckpointError: the folder or a file is missing, truncated or damaged; it is named.
    """
    for attempt in range(_READ_ATTEMPTS):
        place = current(folder)
        identity = _identity(place)
        try:
            return _read_verified(place)
        except CheckpointError:
            # A save may have replaced the folder while it was read: then read the new one.
            replaced = identity is None or identity != _identity(current(folder))
            if not replaced or attempt + 1 == _READ_ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def current(folder: Path) -> Path:
    """Return where a saved folder is now: under its name or, after a crash, set aside."""
    folder = Path(os.path.realpath(folder))
    aside = _aside(folder)
    return aside if not folder.exists() and aside.exists() else folder


def recover(parent: Path) -> list[str]:
    """Finish or undo what a killed process left half done in a folder.

    Only for the one process that writes there (see `Lock`): it removes unfinished work.

    Returns:
        What was done, one line each, for the log.
    """
    done: list[str] = []
    if not parent.is_dir():
        return done
    with writing(parent):
        for name in sorted(os.listdir(parent)):
            path = parent / name
            if name.startswith(".") and name.endswith(PARTIAL):
                remove(path)
                done.append(f"removed unfinished {name}")
            elif name.startswith(".") and name.endswith(_ASIDE):
                done.append(_settle(parent / name[1 : -len(_ASIDE)]))
        if done:
            sync_directory(parent)
    return done


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}{_ASIDE}")


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_ino, status.st_ctime_ns


def _put_in_place(partial: Path, folder: Path) -> None:
    """Swap the new folder for the old one; any failure brings the old one back."""
    aside = _aside(folder)
    undo: list[Callable[[], None]] = []
    replaces = folder.exists()
    try:
        if replaces:
            os.rename(folder, aside)
            undo.append(lambda: os.rename(aside, folder))
        os.rename(partial, folder)
        undo.append(lambda: os.rename(folder, partial))
        sync_directory(folder.parent)
    except BaseException:
        for step in reversed(undo):
            step()
        raise
    if replaces:
        discard(aside)  # the save has succeeded; what is left is removed by the next one


def _settle(folder: Path) -> str:
    """Undo or finish the two renames of a save that was killed between them; say which."""
    aside = _aside(folder)
    if not aside.exists():
        return ""
    if folder.exists():
        remove(aside)
        return f"removed the older copy of {folder.name}"
    os.rename(aside, folder)
    return f"put back {folder.name}, which a crash had left aside"


def _refuse_strangers(folder: Path, files: Mapping[str, Buffer]) -> None:
    """Raise UsageError where replacing a folder would lose what was never saved by us."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file, not a folder", remedy="choose another name")
    known = {MANIFEST, *files}
    # A damaged folder of ours may be replaced too: its files have the names of the new ones.
    with contextlib.suppress(CheckpointError):
        known |= set(_read_manifest(folder))
    strangers = sorted(set(os.listdir(folder)) - known)
    if strangers:
        raise UsageError(
            f"{folder} holds other things, which would be lost ({', '.join(strangers[:3])})",
            remedy="choose a new folder",
        )


def _read_verified(folder: Path) -> dict[str, bytes]:
    if not folder.is_dir():
        raise CheckpointError(f"{folder} does not exist")
    files: dict[str, bytes] = {}
    for name, entry in _read_manifest(folder).items():
        path = folder / name
        try:
            size = os.stat(path).st_size
            if size != entry["size"]:
                raise CheckpointError(
                    f"{path} is damaged: it has {size} bytes and should have {entry['size']}",
                    remedy="use an older copy",
                )
            data = path.read_bytes()
        except (OSError, ValueError) as error:  # ValueError: a name no file can have
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        if hashlib.sha256(data).hexdigest() != entry["sha256"]:
            raise CheckpointError(
                f"{path} is damaged: its content does not match its hash",
                remedy="use an older copy",
            )
        files[name] = data
    return files


def _read_manifest(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / MANIFEST
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", remedy="use an older copy") from error
    if not _is_manifest(value):
        raise CheckpointError(f"{path} is damaged: not a manifest", remedy="use an older copy")
    if value["format"] > _FORMAT:
        raise CheckpointError(f"{path} was written by a newer reslab", remedy="upgrade reslab")
    files: dict[str, dict[str, Any]] = value["files"]
    return files


def _is_manifest(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("format"), int)
        and isinstance(value.get("files"), dict)
        and all(
            "/" not in name and isinstance(entry, dict) and {"size", "sha256"} <= entry.keys()
            for name, entry in value["files"].items()
        )
    )
