"""What lies in a folder: the words that names are made of, what is never data, and the walk.

Everything that looks into folders asks here: image folders, tables, archives, predictions.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from reslab.data.collect import Finding
from reslab.data.dataset import SplitName
from reslab.data.decode import IMAGE_SUFFIXES
from reslab.display.names import shown
from reslab.durable.cache import TAG

# --- names: splits, masks, wrappers and what else is never a class for certain --------------------


def words_in(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


SPLIT_WORDS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
# Most likely splits, but people have meant other things by them.
_LIKELY_WORDS: dict[str, SplitName] = {
    "trn": "train",
    "trainval": "train",
    "dev": "val",
    "devel": "val",
    "development": "val",
    "tune": "val",
    "tuning": "val",
    "verification": "val",
    "tst": "test",
    "holdout": "test",
    "heldout": "test",
    # in the languages that public data sets are most often named in, besides English
    "entrenamiento": "train",
    "prueba": "test",
    "pruebas": "test",
    "treino": "train",
    "teste": "test",
    "apprentissage": "train",
    "entrainement": "train",
    "训练": "train",
    "训练集": "train",
    "验证": "val",
    "验证集": "val",
    "测试": "test",
    "测试集": "test",
}
_EITHER = frozenset({"eval", "evaluation", "evaluate"})  # validation, or test where there is one
# What may stand beside the word of a split and says nothing.
_FILLERS = words_in(
    "set sets data dataset datasets dir folder folders file files split splits subset sample "
    "samples image images img imgs jpg jpeg png photo photos pic pics picture pictures final new "
    "raw all full resized cropped px seg labeled labelled"
)
_JOINED = re.compile(
    r"(train|training|val|valid|validation|test|testing)"
    r"(set|sets|data|dataset|dir|folder|images|image|imgs|img|split)"
)
IMAGE_WORDS = words_in(
    "image images img imgs photo photos picture pictures pic pics jpg jpeg png jpegimages"
)
_WRAPPER_WORDS = IMAGE_WORDS | words_in(
    "data dataset datasets categories category objectcategories classes class archive raw "
    "classification main master folder folders files samples all download downloads bmp "
    "bitmap tif tiff labeled labelled"
)
_MASK_WORDS = words_in(
    "mask masks annotation annotations trimap trimaps segmentation segmentations "
    "segmentationclass segmentationobject segmap segmaps groundtruth gt label labels bbox bboxes "
    "boxes xml xmls txt json jsons labelmap"
)
# Folders of these names beside split folders hold no split.
_SIDE_WORDS = words_in(
    "extra extras other others pred preds predict prediction predictions inference infer "
    "unlabeled unlabelled unlabel submission submissions backup old original originals meta "
    "metadata doc docs documentation devkit imagesets lists list misc unused rejected aside demo "
    "example examples code scripts notebooks models attributes parts features csv papers"
)
# "fold1" or "part_2": pieces of one set when they are numbered.
_PIECE_WORDS = words_in("fold part shard chunk batch split subset cv kfold piece volume")
_PLACE_WORDS = words_in(
    "camera cam session day site hospital center centre patient subject person user writer "
    "scene video clip seq sequence run round location device scanner folder set station "
    "room trip year month week group"
)


def tokens_of(name: str) -> list[str]:
    """Split a name into lower-case words and numbers: ``seg_Train2017`` -> seg, train, 2017."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    words = re.findall(r"[^\W\d_]+|\d+", spaced.lower())
    found: list[str] = []
    for word in words:
        joined = _JOINED.fullmatch(word)
        found += joined.groups() if joined else [word]
    return "\0".join(found).replace("ground\0truth", "groundtruth").split("\0") if found else []


def split_word(name: str) -> SplitName | None:
    """Return the split that a folder's name says with certainty.

    The word for a split, in any case, alone or with words and numbers around it that say nothing:
    ``Training Data``, ``seg_train``, ``test_set``, ``val2017``. Not ``test_tube``.
    """
    found = split_and_rest(name)
    return found[0] if found and not found[1] else None


def split_and_rest(name: str) -> tuple[SplitName, tuple[str, ...]] | None:
    """Return the split that a name speaks of and the words of it that say something else."""
    tokens = tokens_of(name)
    splits = {SPLIT_WORDS[token] for token in tokens if token in SPLIT_WORDS}
    if len(splits) != 1:
        return None
    return splits.pop(), says_besides_split(name)


def split_in_name(name: str) -> SplitName | None:
    """Find the split that a file or folder name speaks of: ``trainLabels.csv``, ``test1``."""
    found = split_and_rest(name)
    return found[0] if found else None


def says_besides_split(name: str) -> tuple[str, ...]:
    """Return the words of a name without those for splits and those that say nothing."""
    return tuple(
        token
        for token in tokens_of(name)
        if token not in SPLIT_WORDS and token not in _FILLERS and not token.isdigit()
    )


def likely_split(name: str, siblings: Iterable[str]) -> SplitName | None:
    """Return the split that a name most likely means, where it does not say it for certain.

    Args:
        name: of a folder; beside training data a name like ``PublicTest`` is one, too.
        siblings: the names beside it: ``eval`` is for the test where there is validation data.
    """
    speaking = split_and_rest(name)
    if speaking and speaking[1]:
        public = speaking == ("test", ("public",))  # of a competition, known before the private one
        return "val" if public else speaking[0]
    tokens = [token for token in tokens_of(name.replace("hold_out", "holdout")) if token]
    plain = [token for token in tokens if token not in _FILLERS and not token.isdigit()]
    if plain in (["hold", "out"], ["held", "out"]):
        return "test"
    if len(plain) != 1:
        return None
    if plain[0] in _EITHER:
        return "test" if "val" in {split_word(sibling) for sibling in siblings} else "val"
    return _LIKELY_WORDS.get(plain[0])


def shared_affix(names: Sequence[str]) -> dict[str, SplitName]:
    """Return the splits among names like ``pets_train``, ``pets_test``: all but the word is equal.

    Empty unless one of them is for training and another is not.
    """
    by_rest: dict[tuple[str, ...], dict[str, SplitName]] = {}
    for name in names:
        found = split_and_rest(name)
        if found and found[1] and not set(found[1]) & (_MASK_WORDS | _SIDE_WORDS):
            by_rest.setdefault(found[1], {})[name] = found[0]
    whole = [group for group in by_rest.values() if _has_train_and_more(group)]
    return whole[0] if len(whole) == 1 and len(by_rest) == 1 else {}


def class_and_split(names: Sequence[str]) -> bool:
    """Tell whether names join a class and a split: cat_train, cat_test, dog_train, dog_test."""
    by_rest: dict[tuple[str, ...], set[SplitName]] = {}
    for name in names:
        found = split_and_rest(name)
        if found and found[1]:
            by_rest.setdefault(found[1], set()).add(found[0])
    whole = [splits for splits in by_rest.values() if "train" in splits and len(splits) > 1]
    return len(whole) > 1


def _has_train_and_more(group: dict[str, SplitName]) -> bool:
    return "train" in group.values() and len(set(group.values())) == len(group) > 1


def is_wrapper(name: str) -> bool:
    """Tell whether a name says that images are inside, not which: ``PetImages``, ``data``."""
    return bool(set(tokens_of(name)) & _WRAPPER_WORDS)


def is_image_word(name: str) -> bool:
    """Tell whether a name says "images" and nothing else."""
    tokens = [token for token in tokens_of(name) if not token.isdigit()]
    joined = "".join(tokens)
    return bool(tokens) and (set(tokens) <= IMAGE_WORDS or joined == "jpegimages")


def is_mask_word(name: str) -> bool:
    """Tell whether a name says masks, boxes or annotations, perhaps those of a split."""
    rest = says_besides_split(name)
    joined = "".join(rest)
    return bool(rest) and (set(rest) <= _MASK_WORDS or joined in _MASK_WORDS)


def is_side_word(name: str) -> bool:
    """Tell whether a folder of this name beside others is no class and no split."""
    rest = says_besides_split(name)
    return bool(rest) and set(rest) <= (_SIDE_WORDS | _MASK_WORDS)


def says_unlabeled(name: str) -> bool:
    """Tell whether a folder of images says itself that they have no labels."""
    return name.lower() in ("unlabeled", "unlabelled", "unsup")


def are_pieces(names: Sequence[str]) -> bool:
    """Tell whether names number the pieces of one set: fold1, fold2; images_part_1, ..._part_2."""
    return _numbered(names, _PIECE_WORDS)


def are_places(names: Sequence[str]) -> bool:
    """Tell whether names number where or when images were taken (camera1, camera2), or pieces."""
    return _numbered(names, _PIECE_WORDS | _PLACE_WORDS)


def _numbered(names: Sequence[str], words: frozenset[str]) -> bool:
    stems = set()
    for name in names:
        tokens = tokens_of(name)
        if len(tokens) < 2 or tokens[-2] not in words:
            return False
        if not (tokens[-1].isdigit() or len(tokens[-1]) == 1):
            return False
        stems.add(tuple(tokens[:-1]))
    return len(names) > 1 and len(stems) == 1


def is_image_path(path: str) -> bool:
    """Tell by its suffix whether a path leads to an image."""
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES


# --- litter: what desktops, file servers, cameras and tools leave, which nobody means as data -----


# In any case; a name that somebody might give to a class does not belong here.
_LITTER = frozenset(
    {
        # Windows
        "thumbs.db",
        "thumbs.db:encryptable",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "desktop.ini",
        "$recycle.bin",
        "$extend",
        "system volume information",
        "_vti_cnf",
        "_vti_pvt",
        # macOS, and its classic predecessor
        "__macosx",
        "icon\r",
        "icon\n",  # as some archivers write it
        "network trash folder",
        "temporary items",
        "thevolumesettingsfolder",
        "desktop db",
        "desktop df",
        # Linux, Android
        "lost+found",
        "lost.dir",
        # file servers: Synology, QNAP, NetApp, TrueNAS
        "@eadir",
        "#recycle",
        "#snapshot",
        "@recycle",
        "@recently-snapshot",
        "@__thumb",
        "@tmp",
        "@sharebin",
        "@sharesnap",
        "@synoeastream",
        "@synoresource",
        "~snapshot",
        # image managers
        "picasa.ini",
        "zbthumbnail.info",
        "pspbrwse.jbf",
        # programs
        "__pycache__",
        "_gsdata_",
        "conflictanddeleted",
    }
)
_LITTER_PATTERNS = re.compile(
    r"found\.\d{3}"  # what chkdsk recovered
    r"|~\$.*"  # a document that is open in an office program
    r"|:2e.*"  # a dotfile as netatalk wrote it
    r"|.*:zone\.identifier"  # where a browser found a file, copied from Windows
    r"|.*@syno(eastream|resource)",
    re.IGNORECASE | re.DOTALL,
)


def is_litter(name: str) -> bool:
    """Tell whether a file or folder is hidden, or left there by a program, by its bare name.

    One answer for everything that walks through folders or archives: training data, predictions,
    duplicates.
    """
    return (
        name.startswith(".")
        or name.lower() in _LITTER
        or name == "RECYCLER"
        or _LITTER_PATTERNS.fullmatch(name) is not None
    )


# --- outputs: what reslab itself writes, known by the files that only it writes together ----------
# ``cd photos; reslab train .`` puts its run below the images. Such folders hold no images to train
# on, though some hold pictures; they are known by the files that only reslab writes together.


# What a folder is that holds all of these files.
MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("a run", ("split.json", "config.json")),
    ("a run", ("split.json", "check.json")),  # one that was killed as it began
    ("a model", ("model.json", "model.safetensors")),
    ("a study", ("study.json", "study.lock")),
    ("a study", ("study.json", "results.json")),
    ("a report", ("report.md", "report.html")),
    ("a look", ("look.html",)),
    ("a cache", (TAG,)),
)
_MARK_NAMES = frozenset(name for _, mark in MARKS for name in mark)
_DEEPEST = 4


def output_in(folder: str, *, deepest: int = _DEEPEST) -> str:
    """Say what of ours a folder is ("a run"), or what all folders in it are; else return "".

    Args:
        folder: the folder; hidden files and empty folders in it do not count.
        deepest: so many folders further down are looked at.
    """
    for kind, mark in MARKS:
        if all(os.path.lexists(os.path.join(folder, name)) for name in mark):
            return kind
    if deepest == 0:
        return ""
    kinds: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if not entry.is_dir(follow_symlinks=False):
                    return ""
                inside = output_in(entry.path, deepest=deepest - 1)
                if not inside and os.listdir(entry.path):
                    return ""
                kinds.add(inside.removeprefix("a folder of "))
    except OSError:
        return ""
    kinds.discard("")
    return f"a folder of {' and '.join(map(_plural, sorted(kinds)))}" if kinds else ""


def output_folders(names: Iterable[str]) -> set[str]:
    """Return the folders of an archive that are ours, from the names of its files."""
    inside: dict[str, set[str]] = {}
    for name in names:
        path = PurePosixPath(name)
        if path.name in _MARK_NAMES:
            inside.setdefault(str(path.parent), set()).add(path.name)
    return {
        folder
        for folder, there in inside.items()
        if folder != "." and any(there.issuperset(mark) for _, mark in MARKS)
    }


def _plural(kind: str) -> str:
    return kind.removeprefix("a ") + "s" if kind.startswith("a ") else kind


# --- the walk: links are followed as far as is safe -----------------------------------------------
# Links are followed inside the folder. One that closes a loop, leads nowhere, or leads out of the
# folder is an error, unless it is the given folder itself: what was not put into the folder would
# otherwise be trained on unseen.


class FolderListing(NamedTuple):
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
        self._listings: dict[str, FolderListing] = {}
        self._holding: dict[str, bool] = {}

    def relative(self, path: str) -> str:
        """Return the path of what was found, from the root on, with forward slashes."""
        below = path[self._above :]
        return below if os.sep == "/" else below.replace(os.sep, "/")

    def listing(self, folder: str) -> FolderListing:
        """Return what lies directly in a folder."""
        if folder not in self._listings:
            self._listings[folder] = self._read(folder)
        return self._listings[folder]

    def walk(self, folder: str) -> Iterator[FolderListing]:
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

    def _read(self, folder: str) -> FolderListing:
        found = FolderListing([], [], [], [])
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
