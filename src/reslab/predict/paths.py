"""What a user points at -> image paths; what leads to none stays in the list and fails aloud."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator

from reslab.data.decode import IMAGE_SUFFIXES
from reslab.data.sources.tree import is_litter, output_in


def find_images(places: Iterable[str]) -> Iterator[str]:
    """Yield the paths of files, of all images below folders, and of what a pattern matches.

    A file that is named itself is yielded whatever it is called. What does not exist, and a
    folder or pattern without images, is yielded as it was given, so that reading it reports it.
    Folders are searched in the order of names, through links but never twice; litter and hidden
    files (`data.litter`) are left out, and so are runs, models and pages of reslab below a folder.
    """
    for place in places:
        if os.path.isdir(place):
            yield from _found_or_itself(place, _below(place, set()))
        elif not os.path.lexists(place) and glob.has_magic(place):
            matches = sorted(glob.glob(place, recursive=True))
            yield from _found_or_itself(place, _inside(matches))
        else:
            yield place


def _inside(matches: Iterable[str]) -> Iterator[str]:
    folders: set[tuple[int, int]] = set()
    files: set[str] = set()
    for match in matches:
        if os.path.isdir(match):
            yield from _below(match, folders)
            continue
        # `**` goes round loops of links: the same place again is the same image.
        real = os.path.join(os.path.realpath(os.path.dirname(match)), os.path.basename(match))
        if real not in files:
            files.add(real)
            yield match


def _below(folder: str, seen: set[tuple[int, int]]) -> Iterator[str]:
    """Yield image files below a folder, files before sub-folders."""
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        yield folder  # cannot be listed: reading it says why
        return
    visible = [entry for entry in listed if not is_litter(entry.name)]
    for entry in visible:
        suffix = os.path.splitext(entry.name)[1].lower()
        if suffix in IMAGE_SUFFIXES and not _is_folder(entry):
            yield entry.path
    for entry in visible:
        if _is_folder(entry) and not output_in(entry.path):
            yield from _below(entry.path, seen)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Tell whether an entry leads to a folder; a link that leads round in a circle does not."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _found_or_itself(place: str, found: Iterator[str]) -> Iterator[str]:
    none = True
    for path in found:
        none = False
        yield path
    if none:
        yield place
