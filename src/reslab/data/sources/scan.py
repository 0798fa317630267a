"""A walk through one folder that follows links only as far as is safe, and lists when asked.

Links are followed inside the folder. One that closes a loop, leads nowhere, or leads out of the
folder is an error, unless it is the given folder itself: what was not put into the folder would
otherwise be trained on unseen.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from reslab.data.decode import IMAGE_SUFFIXES
from reslab.data.findings import Finding
from reslab.data.litter import is_litter
from reslab.data.names import shown
from reslab.data.sources.outputs import output_in


class Listing(NamedTuple):
    """What lies directly in a folder, each sorted by name; without litter.

    Args:
        folders: paths of sub-folders.
        images: paths of files with the suffix of an image.
        others: paths of other files.
        findings: what cannot be listed or followed here.
    """

    folders: list[str]
    images: list[str]
    others: list[str]
    findings: list[Finding]


class Scan:
    """The folders below a root, each listed once.

    Paths are strings: a `Path` for each of a million files would take longer than the walk.
    """

    def __init__(self, root: Path) -> None:
        self.root = os.fspath(root)
        self._real_root = os.path.realpath(root)
        self._above = len(os.path.join(self.root, ""))
        self._listings: dict[str, Listing] = {}
        self._holding: dict[str, bool] = {}

    def relative(self, path: str) -> str:
        """Return the path of what was found, from the root on, with forward slashes."""
        below = path[self._above :]
        return below if os.sep == "/" else below.replace(os.sep, "/")

    def listing(self, folder: str) -> Listing:
        """Return what lies directly in a folder."""
        if folder not in self._listings:
            self._listings[folder] = self._read(folder)
        return self._listings[folder]

    def walk(self, folder: str) -> Iterator[Listing]:
        """Yield the listings of a folder and of all below it, files before sub-folders."""
        stack = [folder]
        while stack:
            listing = self.listing(stack.pop())
            yield listing
            stack += reversed(listing.folders)

    def holds_images(self, folder: str) -> bool:
        """Tell whether there is an image anywhere below a folder."""
        if folder not in self._holding:
            self._holding[folder] = any(listing.images for listing in self.walk(folder))
        return self._holding[folder]

    def folders_with_images(self, folder: str) -> list[str]:
        """Return the sub-folders of a folder that hold images anywhere below."""
        return [inner for inner in self.listing(folder).folders if self.holds_images(inner)]

    def is_unreadable(self, folder: str) -> bool:
        """Tell whether a folder could not be listed."""
        return any(finding.kind == "unreadable" for finding in self.listing(folder).findings)

    def findings(self, left_out: Collection[str]) -> list[Finding]:
        """Return what could not be listed or followed, but for folders that are left out."""
        return [
            finding
            for folder, listing in self._listings.items()
            for finding in listing.findings
            if not any(f"{folder}/".startswith(f"{out}/") for out in left_out)
        ]

    def _read(self, folder: str) -> Listing:
        found = Listing([], [], [], [])
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            text = f"folder {shown(folder)} cannot be listed ({error.strerror})"
            found.findings.append(
                Finding("unreadable", "error", text, (folder,), "check its permissions")
            )
            return found
        for entry in listed:
            if is_litter(entry.name):
                continue
            path = entry.path
            if entry.is_symlink():
                kind = self._follow(path, found.findings)
            else:
                kind = "folder" if entry.is_dir(follow_symlinks=False) else "file"
                if kind == "file" and not entry.is_file(follow_symlinks=False):
                    continue  # a socket or pipe
            if kind == "folder":
                what = output_in(path)
                if what:
                    found.findings.append(_output(path, what))
                else:
                    found.folders.append(path)
            elif kind == "file":
                (found.images if _is_image(path) else found.others).append(path)
        return found

    def _follow(self, link: str, found: list[Finding]) -> str:
        """Say what a link leads to; name it where it may not be followed."""
        try:
            real = os.path.realpath(link, strict=True)
            mode = os.stat(real).st_mode
        except OSError as error:
            if error.errno == errno.ELOOP:
                found.append(_link("link-loop", link, "leads back to itself"))
            else:
                found.append(_link("link-broken", link, "leads nowhere"))
            return ""
        inside = real == self._real_root or real.startswith(self._real_root + os.sep)
        if stat.S_ISDIR(mode) and self._passes_through(real, os.path.dirname(link)):
            found.append(_link("link-loop", link, f"leads back up to {shown(real)}"))
            return ""
        if not inside:
            found.append(_link("link-outside", link, f"leads out of the folder, to {shown(real)}"))
            return ""
        if stat.S_ISDIR(mode):
            return "folder"
        return "file" if stat.S_ISREG(mode) else ""

    def _passes_through(self, real: str, folder: str) -> bool:
        """Tell whether walking `real` would come by one of the folders walked to get here."""
        while True:
            walked = os.path.realpath(folder)
            if walked == real or walked.startswith(real.rstrip(os.sep) + os.sep):
                return True
            if folder == self.root:
                return False
            folder = os.path.dirname(folder)


def _output(folder: str, what: str) -> Finding:
    """Name what reslab itself wrote into a data folder."""
    return Finding(
        "own-output",
        "note",
        f"folder {shown(folder)} is {what} of reslab and is not read as data",
        (folder,),
        "fine as it is; with --out it goes elsewhere",
    )


def _is_image(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


def _link(kind: str, link: str, what: str) -> Finding:
    remedy = {
        "link-loop": "remove the link",
        "link-broken": "remove the link or restore what it led to",
        "link-outside": "copy the files into the folder, or list them in a CSV",
    }[kind]
    return Finding(kind, "error", f"link {shown(link)} {what}", (link,), remedy)
