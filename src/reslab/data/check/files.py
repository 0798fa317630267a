"""File headers: what cannot be an image, odd sizes and modes, EXIF rotation."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from reslab.data.dataset import Dataset, FileImages
from reslab.data.decode import Header, read_header
from reslab.data.findings import Finding, count, list_names
from reslab.data.names import shown
from reslab.errors import DataError

HEADER_LIMIT = 20_000
ODD_SIZE = 4
ODD_ASPECT = 4
_GREY = frozenset({"1", "L", "LA", "La", "I", "F"})


@dataclasses.dataclass(frozen=True)
class HeaderCheck:
    """What the headers say.

    Args:
        findings: about files.
        unreadable: image number -> why its header cannot be read.
        read: how many headers were looked at.
    """

    findings: tuple[Finding, ...]
    unreadable: dict[int, str]
    read: int


@dataclasses.dataclass(frozen=True, slots=True)
class _File:
    name: str
    header: Header


def check_headers(dataset: Dataset, *, workers: int, everything: bool) -> HeaderCheck:
    """Read file headers, of an evenly spread sample of HEADER_LIMIT unless `everything`."""
    images = dataset.images
    if not isinstance(images, FileImages):
        return HeaderCheck((), {}, 0)
    numbers = np.arange(len(images))
    if len(numbers) > HEADER_LIMIT and not everything:
        numbers = np.linspace(0, len(images) - 1, HEADER_LIMIT).astype(np.int64)
    paths = [images.name(number) for number in numbers.tolist()]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        results = list(pool.map(_read, paths, chunksize=256))
    files: list[_File] = []
    unreadable: dict[int, str] = {}
    for number, path, result in zip(numbers.tolist(), paths, results, strict=True):
        if isinstance(result, Header):
            files.append(_File(path, result))
        else:
            unreadable[number] = result
    found = name_unreadable({images.name(n): reason for n, reason in unreadable.items()})
    if files:
        found += [*_modes(files), *_sizes(files), *_turned(files)]
    return HeaderCheck(tuple(found), unreadable, len(numbers))


def _read(path: str) -> Header | str:
    try:
        return read_header(path)
    except DataError as error:
        return fault_of(error, str(path))


def fault_of(error: DataError, name: str) -> str:
    """Return what a message says of a file, without the file's name."""
    return error.message.removeprefix(shown(name)).strip()


def name_unreadable(reasons: dict[str, str]) -> list[Finding]:
    """Make one finding for each reason, with all the files it holds for."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    found = []
    for reason, names in by_reason.items():
        if len(names) == 1:
            message = f"{shown(names[0])} {reason}"
        else:
            message = f"{count(len(names), 'file')}, each {reason}: {list_names(names)}"
        remedy = "restore or remove, or train with --skip-corrupt"
        found.append(Finding("unreadable", "error", message, tuple(names), remedy))
    return found


def _modes(files: Sequence[_File]) -> list[Finding]:
    grey = _where(files, lambda h: h.mode in _GREY or h.mode.startswith("I;16"))
    colour = len(files) - len(grey)
    found = []
    if grey and colour:
        minority = grey if len(grey) <= colour else _where(files, lambda h: not _is_grey(h))
        is_grey, other = ("grey", "colour") if minority is grey else ("colour", "grey")
        found.append(
            _odd(
                "odd-mode",
                minority,
                f"{is_grey} among {other} ones",
                "fine if intended; otherwise the colour may give the class away",
            )
        )
    special = (
        (("CMYK",), "CMYK", "they are converted to RGB without a colour profile"),
        (("RGBA", "LA", "PA", "RGBa", "La"), "with transparency", "they are laid on white"),
        (("I;16", "I;16B", "I;16L", "I;16N"), "16-bit", "they are scaled to 8 bits"),
    )
    for modes, what, remedy in special:
        those = _where(files, lambda h, modes=modes: h.mode in modes)  # type: ignore[misc]
        if those and len(those) < len(files):
            found.append(_odd("odd-format", those, what, remedy))
    animated = _where(files, lambda h: h.animated)
    if animated:
        found.append(_odd("animated", animated, "with several frames", "the first frame is used"))
    return found


def _is_grey(header: Header) -> bool:
    return header.mode in _GREY or header.mode.startswith("I;16")


def _sizes(files: Sequence[_File]) -> list[Finding]:
    sides = np.sqrt([float(f.header.width) * f.header.height for f in files])
    typical = float(np.median(sides))
    odd = np.flatnonzero((sides > ODD_SIZE * typical) | (sides < typical / ODD_SIZE)).tolist()
    found = []
    if odd:
        middle = files[int(np.argmin(np.abs(sides - typical)))].header
        sample = files[odd[0]]
        found.append(
            Finding(
                "odd-size",
                "warning",
                f"{count(len(odd), 'image')} of quite another size than the usual "
                f"{middle.width}x{middle.height}: {shown(sample.name)} is "
                f"{sample.header.width}x{sample.header.height}",
                tuple(files[n].name for n in odd),
                "they are scaled like all others; check that they belong here",
            )
        )
    aspects = np.array([f.header.width / f.header.height for f in files])
    stretch = np.maximum(aspects, 1 / aspects)
    long = np.flatnonzero(stretch > max(ODD_ASPECT, 2 * float(np.median(stretch)))).tolist()
    if long:
        found.append(
            _odd(
                "odd-shape",
                [files[n] for n in long],
                f"more than {ODD_ASPECT} times as long as wide",
                "choose --resize pad or crop, or cut them",
            )
        )
    return found


def _turned(files: Sequence[_File]) -> list[Finding]:
    turned = _where(files, lambda h: h.orientation != 1)
    if not turned:
        return []
    return [
        _odd(
            "exif-rotation",
            turned,
            "stored turned, with an EXIF orientation",
            "they are turned upright here; other tools may not do so",
        )
    ]


def _where(files: Sequence[_File], test: Callable[[Header], bool]) -> list[_File]:
    return [file for file in files if test(file.header)]


def _odd(kind: str, files: Sequence[_File], what: str, remedy: str) -> Finding:
    names = tuple(file.name for file in files)
    message = f"{count(len(files), 'image')} {what}: {list_names(names, 1)}"
    return Finding(kind, "warning", message, names, remedy)


def default_workers() -> int:
    """Return one thread a processor."""
    return os.cpu_count() or 1
