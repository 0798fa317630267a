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
from reslab.data.findings import Finding
from reslab.data.names import shown
from reslab.data.sources.collected import SPLIT_WORDS, Collected, Listed, collect

_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def collect_folder(root: Path, *, name: str = "", need_train: bool = True) -> Collected:
    """List an image folder.

    Args:
        root: the folder; may itself be a link.
        name: of the data set; the folder's own name where empty.
        need_train: see `collected.collect`.
    """
    scan = _Scan(root)
    folders, loose = scan.children(root)
    splits = scan.split_folders(folders)
    images: list[Listed] = []
    if splits:
        _warn_ignored(scan, [f for f in folders if f not in splits.values()], loose)
        for split, folder in splits.items():
            images += _list_classes(scan, folder, split, root)
    else:
        _warn_ignored(scan, [], loose)
        images += _list_classes(scan, root, None, root)
    if not images and not any(finding.severity == "error" for finding in scan.found):
        scan.add(
            "no-images",
            f"{shown(root)} holds no class folders with images",
            [root],
            "lay it out as <class>/<image> or train/<class>/<image>",
        )
    return collect(name or root.resolve().name, root, images, scan.found, need_train=need_train)


def _list_classes(scan: _Scan, folder: Path, split: str | None, root: Path) -> list[Listed]:
    """List every class folder below a split folder (or below the root)."""
    images: list[Listed] = []
    folders, loose = scan.children(folder)
    if split is not None:
        _warn_ignored(scan, [], loose)
    for class_folder in folders:
        files, others = scan.files_below(class_folder)
        if not files:
            _name_empty(scan, class_folder, len(others), split)
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
        # As `path.relative_to(root)`, in a third of its time: all files were found below the root.
        above = len(root.parts)
        images += [Listed(Path(*path.parts[above:]), class_folder.name, word) for path in files]
    return images


def _name_empty(scan: _Scan, folder: Path, others: int, split: str | None) -> None:
    holds = f"holds no image ({others} other files)" if others else "is empty"
    scan.add(
        "class-empty",
        f"class folder {shown(folder)} {holds}",
        [folder],
        "add images or remove the folder",
        warning=split not in (None, "train"),
    )


def _warn_ignored(scan: _Scan, folders: list[Path], files: list[Path]) -> None:
    images = [path for path in files if _is_image(path)]
    if images:
        scan.add(
            "ignored",
            f"{len(images)} image{'s' if len(images) > 1 else ''} beside the class folders of "
            f"{shown(images[0].parent)}",
            images,
            "they are not used; move them into the folder of their class",
            warning=True,
        )
    for folder in folders:
        why = "has no class folders" if folder.name.lower() in SPLIT_WORDS else "is no split"
        scan.add(
            "ignored",
            f"folder {shown(folder)} lies beside train and {why}",
            [folder],
            "it is not used; move it away if it should not be there",
            warning=True,
        )


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


class _Scan:
    """A walk through one folder that follows links only as far as is safe."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.real_root = os.path.realpath(root)
        self.found: list[Finding] = []
        self._named: set[Path] = set()

    def add(
        self, kind: str, message: str, paths: list[Path], remedy: str, *, warning: bool = False
    ) -> None:
        """Add a finding about paths below the root."""
        names = tuple(str(path) for path in paths)
        self.found.append(Finding(kind, "warning" if warning else "error", message, names, remedy))

    def split_folders(self, folders: list[Path]) -> dict[str, Path]:
        """Find the folders that are splits; a class may be called "train" in a flat layout."""
        splits: dict[str, Path] = {}
        for folder in folders:
            word = SPLIT_WORDS.get(folder.name.lower())
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

    def _holds_folders(self, folder: Path) -> bool:
        folders, files = self.children(folder)
        return bool(folders) or not any(_is_image(path) for path in files)

    def children(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Return the sub-folders and the files of a folder, each sorted by name."""
        folders: list[Path] = []
        files: list[Path] = []
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.add(
                "unreadable",
                f"folder {shown(folder)} cannot be listed ({error.strerror})",
                [folder],
                "check its permissions",
            )
            return folders, files
        for entry in listed:
            if entry.name.startswith(".") or entry.name.lower() in _LITTER:
                continue
            path = folder / entry.name
            if entry.is_symlink():
                kind = self._follow(path)
            else:
                kind = "folder" if entry.is_dir(follow_symlinks=False) else "file"
                if kind == "file" and not entry.is_file(follow_symlinks=False):
                    continue  # a socket or pipe
            if kind == "folder":
                folders.append(path)
            elif kind == "file":
                files.append(path)
        return folders, files

    def files_below(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """Return all image files and all other files below a folder."""
        images: list[Path] = []
        others: list[Path] = []
        stack = [folder]
        while stack:
            folders, files = self.children(stack.pop())
            for path in files:
                (images if _is_image(path) else others).append(path)
            stack += reversed(folders)
        return images, others

    def _follow(self, link: Path) -> str:
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
        if stat.S_ISDIR(mode) and self._passes_through(real, link.parent):
            self._name_link("link-loop", link, f"leads back up to {shown(real)}")
            return ""
        if not inside:
            self._name_link("link-outside", link, f"leads out of the folder, to {shown(real)}")
            return ""
        if stat.S_ISDIR(mode):
            return "folder"
        return "file" if stat.S_ISREG(mode) else ""

    def _passes_through(self, real: str, folder: Path) -> bool:
        """Tell whether walking `real` would come by one of the folders walked to get here."""
        while True:
            walked = os.path.realpath(folder)
            if walked == real or walked.startswith(real.rstrip(os.sep) + os.sep):
                return True
            if folder == self.root:
                return False
            folder = folder.parent

    def _name_link(self, kind: str, link: Path, what: str) -> None:
        if link in self._named:
            return
        self._named.add(link)
        remedy = {
            "link-loop": "remove the link",
            "link-broken": "remove the link or restore what it led to",
            "link-outside": "copy the files into the folder, or list them in a CSV",
        }[kind]
        self.add(kind, f"link {shown(link)} {what}", [link], remedy)
