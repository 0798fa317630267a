"""Zip or tar of an image folder -> the folder, unpacked once into the cache, and safely.

Nothing is written outside the cache: absolute names, ``..`` and links are refused before the
first byte is written. Only images, tables and lists are unpacked, and nothing that is hidden. The
times of the files come from the archive, so that the same archive is the same data set wherever
and whenever it is unpacked.
"""

from __future__ import annotations

import calendar
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from reslab.data.decode import IMAGE_SUFFIXES
from reslab.data.sources.tables.parse import SUFFIXES as TABLE_SUFFIXES
from reslab.data.sources.tree import is_litter, output_folders, split_word
from reslab.display.names import shown
from reslab.durable.files import writing
from reslab.errors import DataError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
# Images hardly shrink when packed: what grows by more is made to fill the disk.
MAX_GROWTH = 100
MAX_BYTES_ANYWAY = 256 * 1024 * 1024
_BLOCK = 1024 * 1024
# Changes with the kinds of files that are unpacked, so that older copies are not taken for whole.
_UNPACKED = 2
# What the readers of archives raise at damage; gzip and bz2 also raise OSError without a number.
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    RuntimeError,
    ValueError,
    OSError,
)
_LATEST_TIME = 2**31  # seconds since 1970 that every file system can keep


class _Member(NamedTuple):
    """One file of an archive: its time in seconds since 1970, and what is in it."""

    name: str
    time: float
    blocks: Iterator[bytes]


def is_archive(path: Path) -> bool:
    """Tell by its name whether a file is a zip or tar archive."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def archive_stem(path: Path) -> str:
    """Return the name of an archive without its suffixes."""
    suffixes = sorted(ARCHIVE_SUFFIXES, key=len, reverse=True)
    suffix = next((s for s in suffixes if path.name.lower().endswith(s)), "")
    return path.name[: len(path.name) - len(suffix)]


@contextmanager
def reading_archive(archive: Path) -> Iterator[None]:
    """Raise as DataError what an archive that is damaged or may not be read raises inside."""
    try:
        yield
    except DataError:
        raise
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise DataError(
                f"{shown(archive)} cannot be read ({error.strerror})",
                remedy="check the disk and the permissions",
            ) from error
        reason = str(error).partition("\n")[0].rstrip(":") or type(error).__name__
        raise DataError(
            f"{shown(archive)} is damaged ({shown(reason)})", remedy="pack it or fetch it again"
        ) from error


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
    identity = f"{_UNPACKED}\0{archive.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    key = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    home = cache / "unpacked" / f"{archive_stem(archive)}-{key}"
    if home.is_dir():
        return _top(home)
    with writing(home):
        home.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=home.parent))
    try:
        with writing(home):
            _unpack_into(archive, partial, max(MAX_BYTES_ANYWAY, MAX_GROWTH * status.st_size))
            if not home.is_dir():  # otherwise another process was faster
                os.rename(partial, home)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return _top(home)


def _unpack_into(archive: Path, folder: Path, most: int) -> None:
    written = 0
    with closing(_members(archive)) as members:
        for member in members:
            target = folder.joinpath(*PurePosixPath(member.name).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            checksum = 0
            with target.open("wb") as copy:
                for block in member.blocks:
                    written += len(block)
                    if written > most:
                        raise DataError(
                            f"{shown(archive)} unpacks to more than {most // 2**20} MiB",
                            remedy="unpack it yourself if that is right, and give the folder",
                        )
                    checksum = zlib.crc32(block, checksum)
                    copy.write(block)
            time_ns = _time_ns(member.time, checksum)
            os.utime(target, ns=(time_ns, time_ns))


def _time_ns(seconds: float, checksum: int) -> int:
    """Return the time of an unpacked file: a function of the archive alone.

    Whole seconds are the member's own, 1970 where it has none. Many archives give all members
    one time; the checksum fills the nanoseconds, so that another content is another time.
    """
    whole = int(seconds) if 0 <= seconds < _LATEST_TIME else 0
    return whole * 10**9 + checksum % 10**9


def _members(archive: Path) -> Generator[_Member, None, None]:
    """Yield the files that are worth unpacking; refuse unsafe names in all of it first."""
    with reading_archive(archive):
        yield from _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive)


def _zip_members(archive: Path) -> Generator[_Member, None, None]:
    with zipfile.ZipFile(archive) as packed:
        files = [info for info in packed.infolist() if not info.is_dir()]
        for info in files:
            link = stat.S_ISLNK(info.external_attr >> 16)
            _refuse_unsafe(archive, info.filename, link)
        ours = output_folders(info.filename for info in files)
        for info in files:
            if _is_wanted(info.filename, ours):
                with packed.open(info) as source:
                    yield _Member(info.filename, _zip_time(info), _blocks(archive, source))


def _zip_time(info: zipfile.ZipInfo) -> float:
    """Read the time as if it were UTC: zip does not keep the zone, and all must read the same."""
    try:
        return calendar.timegm((*info.date_time, 0, 0, 0))
    except ValueError:  # month 0
        return 0


def _tar_members(archive: Path) -> Generator[_Member, None, None]:
    with tarfile.open(archive) as packed:
        for info in packed:
            link = not (info.isfile() or info.isdir())
            _refuse_unsafe(archive, info.name, link)
        _read_to_end(packed)
        ours = output_folders(info.name for info in packed)
        for info in packed:
            source = packed.extractfile(info) if _is_wanted(info.name, ours) else None
            if source is not None:
                with source:
                    yield _Member(info.name, info.mtime, _blocks(archive, source))


def _read_to_end(packed: tarfile.TarFile) -> None:
    """Read on after the last member, for tarfile takes damage for the end, and skips checksums.

    Raises:
        tarfile.ReadError: the block of zeros that ends an archive is not there.
    """
    stream = packed.fileobj
    assert stream is not None
    stream.seek(packed.offset)
    if stream.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError(f"neither a file nor the end at byte {packed.offset}")
    while stream.read(_BLOCK):
        pass


def _blocks(archive: Path, source: IO[bytes]) -> Iterator[bytes]:
    with reading_archive(archive):
        while block := source.read(_BLOCK):
            yield block


def _is_wanted(name: str, ours: set[str]) -> bool:
    """Tell whether a file is worth unpacking: no litter, and nothing that reslab wrote itself."""
    path = PurePosixPath(name)
    readable = path.suffix.lower() in IMAGE_SUFFIXES | {*TABLE_SUFFIXES, ".txt"}
    if not readable or any(is_litter(part) for part in path.parts):
        return False
    return not any(str(parent) in ours for parent in path.parents)


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
        inside = [path for path in home.iterdir() if not is_litter(path.name)]
        if len(inside) != 1 or not inside[0].is_dir() or split_word(inside[0].name):
            return home
        if not any(
            path.is_dir() or path.suffix.lower() in TABLE_SUFFIXES for path in inside[0].iterdir()
        ):
            return home
        home = inside[0]
