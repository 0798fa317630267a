"""What folders are called: splits, masks, wrappers and what else is never a class for certain."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from reslab.data.dataset import SplitName
from reslab.data.decode import IMAGE_SUFFIXES
from reslab.data.sources.collected import SPLIT_WORDS


def words_in(text: str) -> frozenset[str]:
    """Return the words of a text as a set."""
    return frozenset(text.split())


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
    "bitmap tif tiff"
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
