"""Image folder -> data set, in both layouts, with everything odd about it named.

``train|val|test/<class>/...`` or a flat ``<class>/...``; files may lie deeper below a class.
Links are followed inside the folder. One that closes a loop, leads nowhere, or leads out of the
folder is an error, unless it is the given folder itself: what was not put into the folder would
otherwise be trained on unseen. Dotfiles are skipped without a word, other files that are no
images with a warning.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from reslab.data.decode import IMAGE_SUFFIXES
from reslab.data.findings import Finding, Severity, count
from reslab.data.names import shown
from reslab.data.sources.collected import SPLIT_WORDS, Collected, Listed, collect, is_litter
from reslab.data.sources.outputs import output_in


def collect_folder(root: Path, *, name: str = "", need_train: bool = True) -> Collected:
    """List an image folder.

    Args:
        root: the folder; may itself be a link.
        name: of the data set; the folder's own name where empty.
        need_train: see `collected.collect`.
    """
    scan = _Scan(root)
    folders, loose = scan.children(scan.root)
    splits = scan.split_folders(folders)
    images: list[Listed] = []
    if splits:
        _warn_ignored(scan, [f for f in folders if f not in splits.values()], loose)
        for split, folder in splits.items():
            images += _list_classes(scan, folder, split)
    else:
        _warn_ignored(scan, [], loose)
        images += _list_classes(scan, scan.root, None)
    if not images and not any(finding.severity == "error" for finding in scan.found):
        scan.add(
            "no-images",
            f"{shown(root)} holds no class folders with images",
            [scan.root],
            "lay it out as <class>/<image> or train/<class>/<image>",
        )
    return collect(name or root.resolve().name, root, images, scan.found, need_train=need_train)


def _list_classes(scan: _Scan, folder: str, split: str | None) -> list[Listed]:
    """List every class folder below a split folder (or below the root)."""
    images: list[Listed] = []
    folders, loose = scan.children(folder)
    if split is not None:
        _warn_ignored(scan, [], loose)
    for class_folder in folders:
        files, others = scan.files_below(class_folder)
        if not files:
            _name_empty(scan, "class", class_folder, _nothing_but(others), split)
        elif others:
            scan.add(
                "ignored",
                f"{len(others)} file{'s' if len(others) > 1 else ''} below "
                f"{shown(class_folder)} with no image suffix",
                others,
                "they are not used; rename or remove them",
                warning=True,
            )
        word = SPLIT_WORDS.get(split or "")
        class_name = os.path.basename(class_folder)
        images += [Listed(scan.relative(path), class_name, word) for path in files]
    if split is not None and not images:
        holds = "holds no image in its class folders" if folders else _nothing_but(loose)
        _name_empty(scan, "split", folder, holds, split)
    return images


def _nothing_but(others: list[str]) -> str:
    return f"holds no image ({count(len(others), 'other file')})" if others else "is empty"


def _name_empty(scan: _Scan, what: str, folder: str, holds: str, split: str | None) -> None:
    if folder in scan.unreadable:
        return
    scan.add(
        f"{what}-empty",
        f"{what} folder {shown(folder)} {holds}",
        [folder],
        "add images or remove the folder",
        warning=split not in (None, "train"),
    )


def _warn_ignored(scan: _Scan, folders: list[str], files: list[str]) -> None:
    images = [path for path in files if _is_image(path)]
    if images:
        scan.add(
            "ignored",
            f"{len(images)} image{'s' if len(images) > 1 else ''} beside the class folders of "
            f"{shown(os.path.dirname(images[0]))}",
            images,
            "they are not used; move them into the folder of their class",
            warning=True,
        )
    for folder in folders:
        is_split = os.path.basename(folder).lower() in SPLIT_WORDS
        why = "has no class folders" if is_split else "is no split"
        scan.add(
            "ignored",
            f"folder {shown(folder)} lies beside train and {why}",
            [folder],
            "it is not used; move it away if it should not be there",
            warning=True,
        )


def _is_image(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


class _Scan:
    """A walk through one folder that follows links only as far as is safe.

    Paths are strings: a `Path` for each of a million files would take longer than the walk.
    """

    def __init__(self, root: Path) -> None:
        self.root = os.fspath(root)
        self.real_root = os.path.realpath(root)
        self.found: list[Finding] = []
        self.unreadable: set[str] = set()
        self._named: set[str] = set()
        self._above = len(os.path.join(self.root, ""))

    def add(
        self, kind: str, message: str, paths: list[str], remedy: str, *, warning: bool = False
    ) -> None:
        """Add a finding about paths below the root."""
        severity: Severity = "warning" if warning else "error"
        self.found.append(Finding(kind, severity, message, tuple(paths), remedy))

    def relative(self, path: str) -> str:
        """Return the path of a file that was found, from the root on, with forward slashes."""
        below = path[self._above :]
        return below if os.sep == "/" else below.replace(os.sep, "/")

    def split_folders(self, folders: list[str]) -> dict[str, str]:
        """Find the folders that are splits; a class may be called "train" in a flat layout."""
        splits: dict[str, str] = {}
        for folder in folders:
            word = SPLIT_WORDS.get(os.path.basename(folder).lower())
            if word is None or not self._holds_folders(folder):
                continue
            if word in splits:
                self.add(
                    "split-twice",
                    f"both {shown(splits[word])} and {shown(folder)} are the {word} split",
                    [splits[word], folder],
                    "keep one of them",
                )
            else:
                splits[word] = folder
        others = [f for f in folders if f not in splits.values()]
        return {} if others and "train" not in splits else splits

    def _holds_folders(self, folder: str) -> bool:
        folders, files = self.children(folder)
        return bool(folders) or not any(_is_image(path) for path in files)

    def children(self, folder: str) -> tuple[list[str], list[str]]:
        """Return the sub-folders and the files of a folder, each sorted by name."""
        folders: list[str] = []
        files: list[str] = []
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self._name_unreadable(folder, error)
            return folders, files
        for entry in listed:
            if is_litter(entry.name):
                continue
            path = entry.path
            if entry.is_symlink():
                kind = self._follow(path)
            else:
                kind = "folder" if entry.is_dir(follow_symlinks=False) else "file"
                if kind == "file" and not entry.is_file(follow_symlinks=False):
                    continue  # a socket or pipe
            if kind == "folder" and not self._is_output(path):
                folders.append(path)
            elif kind == "file":
                files.append(path)
        return folders, files

    def _is_output(self, folder: str) -> bool:
        """Tell whether reslab itself wrote a folder; name it."""
        what = output_in(folder)
        if what and folder not in self._named:
            self._named.add(folder)
            self.add(
                "own-output",
                f"folder {shown(folder)} is {what} of reslab and is not read as data",
                [folder],
                "fine as it is; with --out it goes elsewhere",
                warning=True,
            )
        return bool(what)

    def files_below(self, folder: str) -> tuple[list[str], list[str]]:
        """Return all image files and all other files below a folder."""
        images: list[str] = []
        others: list[str] = []
        stack = [folder]
        while stack:
            folders, files = self.children(stack.pop())
            for path in files:
                (images if _is_image(path) else others).append(path)
            stack += reversed(folders)
        return images, others

    def _follow(self, link: str) -> str:
        """Say what a link leads to; name it where it may not be followed."""
        try:
            real = os.path.realpath(link, strict=True)
            mode = os.stat(real).st_mode
        except OSError as error:
            if error.errno == errno.ELOOP:
                self._name_link("link-loop", link, "leads back to itself")
            else:
                self._name_link("link-broken", link, "leads nowhere")
            return ""
        inside = real == self.real_root or real.startswith(self.real_root + os.sep)
        if stat.S_ISDIR(mode) and self._passes_through(real, os.path.dirname(link)):
            self._name_link("link-loop", link, f"leads back up to {shown(real)}")
            return ""
        if not inside:
            self._name_link("link-outside", link, f"leads out of the folder, to {shown(real)}")
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

    def _name_unreadable(self, folder: str, error: OSError) -> None:
        if folder in self.unreadable:
            return
        self.unreadable.add(folder)
        self.add(
            "unreadable",
            f"folder {shown(folder)} cannot be listed ({error.strerror})",
            [folder],
            "check its permissions",
        )

    def _name_link(self, kind: str, link: str, what: str) -> None:
        if link in self._named:
            return
        self._named.add(link)
        remedy = {
            "link-loop": "remove the link",
            "link-broken": "remove the link or restore what it led to",
            "link-outside": "copy the files into the folder, or list them in a CSV",
        }[kind]
        self.add(kind, f"link {shown(link)} {what}", [link], remedy)
