"""Single files: written whole or not at all, and logs that grow by whole lines."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reslab.errors import MachineError

PARTIAL = ".partial"

Buffer = bytes | bytearray | memoryview


def write_file(path: Path, data: Buffer) -> None:
    """Write one file so that its older content or the new one is there, never a mix.

    Raises:
        MachineError: the disk is full or cannot be written; the older file is intact.
    """
    with writing(path):
        path = Path(os.path.realpath(path))
        make_parents(path.parent)
        partial = temporary(path)
        try:
            write_new(partial, data)
            os.rename(partial, path)
            sync_directory(path.parent)
        except BaseException:
            discard(partial)
            raise


def append_line(path: Path, text: str, *, sync: bool = False) -> None:
    """Append one line to a log in one write; `sync` waits until the disk has it.

    Raises:
        MachineError: the disk is full or cannot be written.
    """
    assert "\n" not in text, text
    with writing(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            write_all(descriptor, (text + "\n").encode("utf-8", "surrogateescape"))
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)


def truncate_lines(path: Path, count: int) -> int:
    """Keep the first `count` whole lines of a log; a last line without its end is dropped.

    Returns:
        How many lines are there now (fewer than `count` where the log was shorter).
    """
    if not path.exists():
        return 0
    data = path.read_bytes()
    end = kept = 0
    while kept < count and (newline := data.find(b"\n", end)) >= 0:
        end, kept = newline + 1, kept + 1
    if end < len(data):
        write_file(path, memoryview(data)[:end])
    return kept


def explain(error: OSError, path: Path) -> MachineError:
    """Turn an operating system's error while writing into one with a remedy."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        remedy = "free some space or choose another place with --out"
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        remedy = "choose a place that you may write to"
    elif error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG):
        remedy = "choose another name"
    else:
        remedy = "check the disk (what was saved before is intact)"
    return MachineError(f"cannot write {path}: {reason}", remedy=remedy)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise the system's errors inside as MachineError."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


def temporary(path: Path) -> Path:
    """Name an unused sibling that is renamed to `path` when it is complete."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{PARTIAL}")


def make_parents(folder: Path) -> None:
    """Make a folder and those above it, so that they survive a power cut."""
    if folder.is_dir():
        return
    make_parents(folder.parent)
    try:
        os.mkdir(folder)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    sync_directory(folder.parent)


def write_new(path: Path, data: Buffer) -> dict[str, Any]:
    """Write and fsync a file that must not exist; return its entry in the manifest."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o666)
    try:
        write_all(descriptor, data)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    view = memoryview(data)
    return {"size": view.nbytes, "sha256": hashlib.sha256(view).hexdigest()}


def write_all(descriptor: int, data: Buffer) -> None:
    """Write every byte: one call may take only some of them."""
    view = memoryview(data).cast("B")
    while view.nbytes:
        view = view[os.write(descriptor, view) :]


def sync_directory(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems
            raise
    finally:
        os.close(descriptor)


def discard(path: Path) -> None:
    """Remove what is no longer needed, twice if need be; a failure is not worth reporting."""
    for _ in range(2):
        with contextlib.suppress(OSError):
            remove(path)
        if not os.path.lexists(path):
            return


def remove(path: Path) -> None:
    """Remove a file, or a folder of files."""
    if not path.is_dir() or path.is_symlink():
        os.unlink(path)
        return
    for name in os.listdir(path):
        os.unlink(path / name)
    os.rmdir(path)
