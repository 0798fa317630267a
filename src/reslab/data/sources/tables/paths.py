"""Path in a table -> image file: against the table, its parent, a given root, or by its name."""

from __future__ import annotations

import errno
import functools
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from reslab.data.dataset import SplitName
from reslab.data.decode import IMAGE_SUFFIXES
from reslab.data.sources.tree import is_litter, output_in, split_in_name
from reslab.display.names import shown

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")
_REMOTE = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_IMAGE_FOLDERS = frozenset(
    ("images", "image", "img", "imgs", "photos", "pictures", "pics", "jpg", "jpeg", "png", "data")
)
_REMEDY = "paths start from the table's folder, its parent, or --root DIR"
_DEEPEST = 5


class Found(NamedTuple):
    """A file: its path from the anchor on (or absolute), and how it was found."""

    path: str
    how: tuple[str, ...]


class Missing(NamedTuple):
    """Why a path is no file that can be read, and what to do."""

    why: str
    remedy: str = _REMEDY


class Paths:
    """Finds the files that a table speaks of.

    In this order: as written, from `root`, the table's folder and its parent; there with the
    suffix added, in other letter case or Unicode form; by name in the folders below, where that
    is unique. What a folder's name says to be of another split than the table is not taken.

    Args:
        folder: the table's own.
        anchor: what found paths are relative to.
        root: where the user says that paths start, or None.
        split: the split that the table's name speaks of, or None.
    """

    def __init__(
        self, folder: Path, *, anchor: Path, root: str | None, split: SplitName | None
    ) -> None:
        self.anchor = anchor
        self._folder = os.path.abspath(folder)
        self._anchor = os.path.abspath(anchor)
        self._root = root
        self._split = split
        self._bases = [*([root] if root else []), self._folder, os.path.dirname(self._folder)]
        self._listings: dict[str, _Listing] = {}
        self._tree: _Tree | None = None
        self.used: Counter[tuple[str, ...]] = Counter()

    def find(self, text: str, split: SplitName | None = None) -> Found | Missing:
        """Return the file that a field of the table means, or why there is none.

        Args:
            text: the field.
            split: of its row, to choose among files of one name.
        """
        if _REMOTE.match(text):
            return Missing("is an address, and images are not fetched", "fetch them first")
        how: tuple[str, ...] = ()
        found: Found | Missing | None = self._as_written(text)
        if found is None and "\\" in text:
            text, how = text.replace("\\", "/"), ("back slashes read as slashes",)
            found = self._as_written(text)
        foreign = bool(_WINDOWS.match(text)) or os.path.isabs(text)
        if found is None and foreign:
            found = self._tail(text)
        elif found is None:
            found = self._nearly(text) or self._by_name(text, split) or self._in_parent(text)
        if found is None:
            return self._missing(text, foreign)
        if isinstance(found, Missing):
            return found
        return Found(found.path, how + found.how)

    def count(self, found: Found) -> None:
        """Note how a file was found, for `described`."""
        if found.how:
            self.used[found.how] += 1

    def described(self) -> Iterator[str]:
        """Say in a line each how paths were read that are not files as they stand."""
        for how, number in self.used.most_common(3):
            yield f"{number:,} path{'' if number == 1 else 's'}: {', '.join(how)}"

    def _as_written(self, text: str) -> Found | None:
        if os.path.isabs(text):
            path = os.path.normpath(text)
            return Found(path, ()) if self._is_file(path) else None
        bare = not os.path.dirname(text)
        for base in self._bases:
            if bare and base is self._bases[-1]:
                continue  # a mere name beside the table's folder comes last
            path = os.path.normpath(os.path.join(base, text))
            if self._is_file(path):
                return Found(self._relative(path), self._against(base))
        return None

    def _in_parent(self, text: str) -> Found | None:
        path = os.path.normpath(os.path.join(self._bases[-1], text))
        if not self._is_file(path):
            return None
        return Found(self._relative(path), self._against(self._bases[-1]))

    def _nearly(self, text: str) -> Found | Missing | None:
        """Look for the name with a suffix, or in another letter case or Unicode form."""
        folder, name = os.path.split(text)
        for base in self._bases:
            if not folder and base is self._bases[-1]:
                continue
            place = os.path.normpath(os.path.join(base, folder))
            those, what = self._listing(place).matches(name)
            if len(those) > 1:
                return _ambiguous([self._relative(os.path.join(place, one)) for one in those])
            if those:
                path = os.path.join(place, those[0])
                return Found(self._relative(path), (*self._against(base), what))
        return None

    def _by_name(self, text: str, split: SplitName | None) -> Found | Missing | None:
        """Look for the one file in the folders below that ends in this path."""
        text = os.path.normpath(text).replace(os.sep, "/")
        tree = self._images()
        those = tree.matches(text)
        if self._split is not None:
            those = [path for path in those if split_of_path(path) in (None, self._split)]
        if len(those) > 1 and (split or self._split):
            those = [
                path for path in those if split_of_path(path) == (split or self._split)
            ] or those
        if not those:
            return None
        if len(those) > 1:
            return _ambiguous([shown(path) for path in those])
        folder = os.path.dirname(those[0])
        head = os.path.normpath(folder[: len(folder) - len(os.path.dirname(text))] or ".")
        how = (f"read from {shown(head)}/",) if head != "." else ()
        suffix = os.path.splitext(those[0])[1]
        if not text.lower().endswith(suffix.lower()):
            how = (*how, f"with the suffix {suffix}")
        return Found(self._relative(os.path.join(tree.top, those[0])), how)

    def _images(self) -> _Tree:
        """Return the images below the root or the table; where none are, those beside it."""
        if self._tree is None:
            self._tree = _Tree(self._root or self._folder)
            if not self._tree.found and self._root is None:
                self._tree = _Tree(self._bases[-1], only=_may_hold_images)
        return self._tree

    def _tail(self, text: str) -> Found | None:
        """Look for the end of another machine's absolute path below --root, the longest first."""
        if self._root is None:
            return None
        parts = _parts(text)
        for start in range(1, len(parts)):
            path = os.path.join(self._root, *parts[start:])
            if self._is_file(path):
                how = f"read against {shown(self._root)} without {shown('/'.join(parts[:start]))}/"
                return Found(self._relative(path), (how,))
        return None

    def _missing(self, text: str, foreign: bool) -> Missing:
        if foreign:
            why = "does not exist here (an absolute path of another machine?)"
            for base in self._bases:
                for start in range(1, len(_parts(text))):
                    if self._is_file(os.path.join(base, *_parts(text)[start:])):
                        return Missing(why, f"use --root {shown(base)}, where the end of it is")
            return Missing(why, "--root DIR says which folder here the paths lie below")
        try:
            mode = os.stat(os.path.join(self._bases[0], text)).st_mode
        except ValueError:
            return Missing("is no file name")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                return Missing(f"cannot be read ({error.strerror})")
            return Missing(f"does not exist{self._hint(text)}")
        return Missing("is a folder" if stat.S_ISDIR(mode) else "is no file")

    def _hint(self, text: str) -> str:
        """Name a file that may be meant: with another suffix, or zeros before its number."""
        folder, name = os.path.split(text)
        stem = os.path.splitext(name)[0]
        for base in self._bases[:-1] if not folder else self._bases:
            place = os.path.normpath(os.path.join(base, folder))
            alike = self._listing(place).alike(stem)
            if alike:
                return f" (there is {shown(self._relative(os.path.join(place, alike)))})"
        return ""

    def _is_file(self, path: str) -> bool:
        folder, name = os.path.split(path)
        listing = self._listing(folder)
        if listing.is_complete:
            return name in listing.files
        try:
            return stat.S_ISREG(os.stat(path).st_mode)
        except (OSError, ValueError):
            return False

    def _listing(self, folder: str) -> _Listing:
        if folder not in self._listings:
            self._listings[folder] = _Listing(folder)
        return self._listings[folder]

    def _relative(self, path: str) -> str:
        inside = path.startswith(os.path.join(self._anchor, ""))
        below = path[len(os.path.join(self._anchor, "")) :] if inside else None
        return (below or os.path.relpath(path, self._anchor)).replace(os.sep, "/")

    def _against(self, base: str) -> tuple[str, ...]:
        if base == self._root:
            return (f"read against {shown(base)}",)
        return () if base == self._folder else ("read against the folder above the table",)


class _Listing:
    """The files of one folder: asking it is quicker than asking the system about each."""

    def __init__(self, folder: str) -> None:
        self.files: frozenset[str] = frozenset()
        self.is_complete = True
        try:
            with os.scandir(folder) as entries:
                self.files = frozenset(entry.name for entry in entries if entry.is_file())
        except ValueError:
            pass
        except OSError as error:
            self.is_complete = error.errno in (errno.ENOENT, errno.ENOTDIR)

    def matches(self, name: str) -> tuple[list[str], str]:
        """Return the files that a name may mean, and what was done to find them."""
        those = self._by_stem.get(name, [])
        if those:
            return those, f"with the suffix {os.path.splitext(those[0])[1]}"
        return self._by_folded.get(_folded(name), []), "letter case ignored"

    def alike(self, stem: str) -> str:
        """Return a file of the same stem, or of the same number; empty where there is none."""
        those = self._by_stem.get(stem, [])
        if not those and stem.isdecimal():
            those = self._by_number.get(stem.lstrip("0"), [])
        return those[0] if len(those) == 1 else ""

    @functools.cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        images = (n for n in self.files if n.lower().endswith(tuple(IMAGE_SUFFIXES)))
        return _sorted_by(images, lambda name: os.path.splitext(name)[0])

    @functools.cached_property
    def _by_folded(self) -> dict[str, list[str]]:
        return _sorted_by(self.files, _folded)

    @functools.cached_property
    def _by_number(self) -> dict[str, list[str]]:
        numbered = (stem for stem in self._by_stem if stem.isdecimal())
        names = (name for stem in numbered for name in self._by_stem[stem])
        return _sorted_by(names, lambda name: os.path.splitext(name)[0].lstrip("0"))


def _sorted_by(names: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(names):
        if not is_litter(name):
            found.setdefault(key(name), []).append(name)
    return found


class _Tree:
    """All images below a folder, by their names and by their stems."""

    def __init__(self, top: str, only: Callable[[str], bool] | None = None) -> None:
        self.top = top
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for path in images_below(top, only):
            name = path.rpartition("/")[2]
            self._by_name.setdefault(name, []).append(path)
            self._by_stem.setdefault(os.path.splitext(name)[0], []).append(path)

    @property
    def found(self) -> bool:
        """Whether there is any image."""
        return bool(self._by_name)

    def matches(self, text: str) -> list[str]:
        """Return the images whose path ends in the text, with or without a suffix."""
        folder, _, name = text.rpartition("/")
        those = self._by_name.get(name) or self._by_stem.get(name, [])
        if not folder:
            return those
        return [path for path in those if f"/{path}".rpartition("/")[0].endswith(f"/{folder}")]


def images_below(top: str | Path, only: Callable[[str], bool] | None = None) -> Iterator[str]:
    """Yield the paths of all images below a folder, relative to it, without following links.

    Args:
        top: the folder.
        only: tells by name into which of its own folders to go, and leaves its own files out.
    """
    top = os.fspath(top)
    for place, folders, files in os.walk(top):
        relative = os.path.relpath(place, top)
        wanted = (name for name in folders if not is_litter(name))
        folders[:] = sorted(name for name in wanted if not output_in(os.path.join(place, name)))
        if only is not None and relative == ".":
            folders[:], files = [name for name in folders if only(name)], []
        if relative.count(os.sep) >= _DEEPEST:
            folders.clear()
        prefix = "" if relative == "." else relative.replace(os.sep, "/") + "/"
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not is_litter(name):
                yield prefix + name


def split_of_path(path: str) -> SplitName | None:
    """Return the split that the folders of a path speak of; the innermost decides."""
    return _split_of_folder(path.rpartition("/")[0])


@functools.cache
def _split_of_folder(folder: str) -> SplitName | None:
    words = [split_in_name(part) for part in folder.split("/")]
    return next((word for word in reversed(words) if word), None)


def _may_hold_images(name: str) -> bool:
    return name.lower() in _IMAGE_FOLDERS or split_in_name(name) is not None


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"[\\/]+", text) if part]


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _ambiguous(paths: list[str]) -> Missing:
    return Missing(
        f"may be {shown(paths[0])} or {shown(paths[1])}",
        "write the path with its folder, or say with --root DIR which folder is meant",
    )
