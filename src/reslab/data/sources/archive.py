"""Zip or tar of an image folder -> the folder, unpacked once into the cache, and safely.

Nothing is written outside the cache: absolute names, ``..`` and links are refused before the
first byte is written. Only images and CSV files are unpacked.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from reslab.data.decode import IMAGE_SUFFIXES
from reslab.data.names import shown
from reslab.data.sources.collected import SPLIT_WORDS
from reslab.durable import explain
from reslab.errors import DataError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# Images hardly shrink when packed: what grows by more is made to fill the disk.
MAX_GROWTH = 100
MAX_BYTES_ANYWAY = 256 * 1024 * 1024
_BLOCK = 1024 * 1024


class _Member(NamedTuple):
    name: str
    size: int
    open: IO[bytes]


def is_archive(path: Path) -> bool:
    """Tell by its name whether a file is a zip or tar archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def archive_stem(path: Path) -> str:
    """Return the name of an archive without its suffixes."""
    suffixes = sorted(ARCHIVE_SUFFIXES, key=len, reverse=True)
    suffix = next((s for s in suffixes if path.name.lower().endswith(s)), "")
    return path.name[: len(path.name) - len(suffix)]


def unpack(archive: Path, cache: Path) -> Path:
    """Unpack an archive into the cache, unless it is there already, and return its top folder.

    Args:
        archive: a zip or tar file.
        cache: the folder for data sets.

    Raises:
        DataError: damaged, unsafe or out of proportion; nothing of it is kept.
        MachineError: the cache cannot be written.
    """
    status = archive.stat()
    identity = f"{archive.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    key = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    home = cache / "unpacked" / f"{archive_stem(archive)}-{key}"
    if home.is_dir():
        return _top(home)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=home.parent))
    except OSError as error:
        raise explain(error, home) from error
    try:
        _unpack_into(archive, partial, max(MAX_BYTES_ANYWAY, MAX_GROWTH * status.st_size))
        if home.is_dir():  # another process was faster
            return _top(home)
        os.rename(partial, home)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, RuntimeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{shown(archive)} is damaged ({error})") from error
    except OSError as error:
        raise explain(error, home) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _top(home)


def _unpack_into(archive: Path, folder: Path, most: int) -> None:
    written = 0
    with _members(archive) as members:
        for member in members:
            parts = PurePosixPath(member.name).parts
            if PurePosixPath(member.name).suffix.lower() not in IMAGE_SUFFIXES | {".csv"}:
                continue
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with member.open as source, target.open("wb") as copy:
                while block := source.read(_BLOCK):
                    written += len(block)
                    if written > most:
                        raise DataError(
                            f"{shown(archive)} unpacks to more than {most // 2**20} MiB",
                            remedy="unpack it yourself if that is right, and give the folder",
                        )
                    copy.write(block)


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[_Member]]:
    """Give the regular files of an archive; refuse unsafe names in all of it first."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            files = [info for info in packed.infolist() if not info.is_dir()]
            for info in files:
                link = stat.S_ISLNK(info.external_attr >> 16)
                _refuse_unsafe(archive, info.filename, link)
            yield (_Member(i.filename, i.file_size, packed.open(i)) for i in files)
        return
    with tarfile.open(archive) as packed_tar:
        for tar_info in packed_tar:
            link = not (tar_info.isfile() or tar_info.isdir())
            _refuse_unsafe(archive, tar_info.name, link)
        yield _tar_files(packed_tar)


def _tar_files(packed: tarfile.TarFile) -> Iterator[_Member]:
    for info in packed:
        stream = packed.extractfile(info) if info.isfile() else None
        if stream is not None:
            yield _Member(info.name, info.size, stream)


def _refuse_unsafe(archive: Path, name: str, link: bool) -> None:
    path = PurePosixPath(name)
    why = ""
    if link:
        why = "is a link or device"
    elif path.is_absolute() or ".." in path.parts or "\0" in name or name[1:2] == ":":
        why = "leads out of the archive"
    if why:
        raise DataError(
            f"{shown(archive)} is not safe to unpack: '{shown(name)}' {why}",
            remedy="unpack it yourself and look at it, then give the folder",
        )


def _top(home: Path) -> Path:
    """Step into folders that only wrap the rest."""
    while True:
        inside = [path for path in home.iterdir() if not path.name.startswith(".")]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].name.lower() in SPLIT_WORDS:
            return home
        if not any(path.is_dir() or path.suffix == ".csv" for path in inside[0].iterdir()):
            return home
        home = inside[0]
