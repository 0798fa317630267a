"""Labels in the names of image files: by a pattern that is certain, or by the user's expression."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence

from reslab.data.collect import Finding, Listed, count, list_names
from reslab.data.dataset import SplitName
from reslab.data.sources.tree import likely_split, split_word, tokens_of, words_in
from reslab.display.names import shown
from reslab.errors import UsageError

# A label, then the number of an image: cat.0, american_bulldog_107, cat (12), dog7.
_NUMBERED = re.compile(r"(?P<label>[^\d]*[^\W\d_])[\s._-]*\(?\d+\)?")
# What programs and cameras put before the number, and what numbers things rather than names them.
_GENERIC = words_in(
    "img image images dsc dscn dscf pict photo photos picture pic pics frame frames scan sample "
    "samples page file pxl vid mvi gopr screenshot screen shot sam snap capture cam camera fig "
    "figure untitled download unnamed train training test testing val valid validation ilsvrc "
    "coco patient subject person user case slide crop patch tile part copy new mask masks item "
    "object video clip seq sequence burst pano hdr whatsapp received index idx number no nr num "
    "data dataset input output result out query batch fold day session series left right front "
    "back top bottom side view angle"
)


def label_in_name(path: str) -> str:
    """Return the label of a file that is named ``<label><separator><number>``; empty if it is not.

    Labels with digits in them and words that only number things (``IMG``, ``frame``) are none.
    """
    stem = os.path.splitext(os.path.basename(path))[0]
    match = _NUMBERED.fullmatch(stem)
    if match is None:
        return ""
    label = match["label"].strip(" ._-")
    words = tokens_of(label)
    if len(label) < 2 or not words or all(word in _GENERIC or len(word) == 1 for word in words):
        return ""
    return label


def labels_in_names(paths: Sequence[str]) -> list[str]:
    """Return the label of each file, or nothing unless all have one for certain.

    Certain: every name is a label and a number, there are two labels or more, and none of them
    occurs only once.
    """
    labels = [label_in_name(path) for path in paths]
    occurring = Counter(labels)
    if "" in occurring or len(occurring) < 2 or min(occurring.values()) < 2:
        return []
    return labels


class LabelExpression:
    """A regular expression that finds the label, and perhaps the split, in an image's path.

    The path starts below the data folder and has forward slashes. The label is the group named
    ``label``, else the first group; a group named ``split`` holds the word for the split. An image
    that matches while the group of the label takes no part in it is left out on purpose.

    Raises:
        UsageError: no expression, or one without a group.
    """

    def __init__(self, expression: str) -> None:
        self.expression = expression
        try:
            self._pattern = re.compile(expression)
        except re.error as error:
            raise UsageError(
                f"--label-from-name '{shown(expression)}' is no regular expression ({error})",
                remedy=_EXAMPLE,
            ) from None
        unnamed = self._pattern.groups > len(self._pattern.groupindex)
        if "label" not in self._pattern.groupindex and not unnamed:
            raise UsageError(
                f"--label-from-name '{shown(expression)}' has no group that is the label",
                remedy=_EXAMPLE,
            )
        named = set(self._pattern.groupindex.values())
        first = next(n for n in range(1, self._pattern.groups + 2) if n not in named)
        self._label = self._pattern.groupindex.get("label", first)

    def images(self, root: str, paths: Sequence[str]) -> tuple[list[Listed], list[Finding]]:
        """List the images that match; name those that do not.

        Args:
            root: what the paths are relative to, for messages.
            paths: relative, with forward slashes.
        """
        found: list[tuple[str, str, str]] = []
        unmatched, left_out = [], []
        for path in paths:
            match = self._pattern.search(path)
            if match is None or match[self._label] == "":
                unmatched.append(path)
            elif match[self._label] is None:
                left_out.append(path)
            else:
                split = match["split"] if "split" in self._pattern.groupindex else None
                found.append((path, match[self._label], split or ""))
        findings = []
        if unmatched:
            findings.append(self._unmatched(root, unmatched, len(paths)))
        if left_out:
            text = f"{count(len(left_out), 'image')} that --label-from-name gives no label"
            full = tuple(os.path.join(root, path) for path in left_out)
            findings.append(Finding("ignored", "note", f"{text}: {list_names(left_out)}", full))
        images, wrong = _with_splits(found)
        return images, [*findings, *wrong, *_summary(images)]

    def _unmatched(self, root: str, paths: Sequence[str], total: int) -> Finding:
        verb = "does" if len(paths) == 1 else "do"
        return Finding(
            "label-unmatched",
            "error",
            f"{len(paths):,} of {count(total, 'image')} {verb} not match --label-from-name "
            f"'{shown(self.expression)}': {list_names(paths)}",
            tuple(os.path.join(root, path) for path in paths),
            "widen the expression, move them away, or leave them out by letting it match them "
            "without a label, as '^masks/|^images/(\\w+)_' does",
        )


_EXAMPLE = (
    "put the label in parentheses: '^(\\w+)_\\d+' for cat_1.jpg, '^[^/]+/([^/]+)/' for the second "
    "folder"
)


def _with_splits(found: Sequence[tuple[str, str, str]]) -> tuple[list[Listed], list[Finding]]:
    """Turn the words of splits into splits."""
    words = sorted({word for _, _, word in found})
    if words == [""] or not words:
        return [Listed(path, label, None) for path, label, _ in found], []
    splits: dict[str, SplitName | None] = {
        word: split_word(word) or likely_split(word, words) for word in words
    }
    findings = []
    for word in (word for word in words if splits[word] is None):
        those = [path for path, _, split in found if split == word]
        what = f"'{shown(word)}', which is no split" if word else "no split"
        findings.append(
            Finding(
                "label-unmatched",
                "error",
                f"--label-from-name finds {what}, in {count(len(those), 'image')}: "
                f"{list_names(those)}",
                (),
                "the group 'split' must hold train, val or test",
            )
        )
    taken = ", ".join(
        f"{shown(word)} is taken as {split}" for word, split in splits.items() if word != split
    )
    if taken and not findings:
        findings.append(Finding("layout", "note", taken))
    return [Listed(path, label, splits[word]) for path, label, word in found], findings


def _summary(images: Sequence[Listed]) -> list[Finding]:
    return [labels_finding(images, " by --label-from-name")] if images else []


def labels_finding(images: Sequence[Listed], how: str) -> Finding:
    """Say in one line which labels were read from names."""
    counts = Counter(image.class_name for image in images)
    listed = list_names([f"{label} ({number:,})" for label, number in sorted(counts.items())], 6)
    return Finding("layout", "note", f"labels are read from the file names{how}: {listed}")
