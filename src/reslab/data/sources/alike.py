"""Class names that people take for one: other case, Unicode form, spaces, or look-alikes."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from reslab.data.findings import Finding, count
from reslab.data.names import shown

# Letters of other scripts that are drawn like Latin ones.
_LOOK_ALIKE = str.maketrans("аеорсухіјѕԁһӏɡον", "aeopcyxijsdhlgov")
_PUNCTUATION = str.maketrans("‐‑–—−’‘", "-----''")
# Compatibility forms that look like what they stand for; not circled or raised digits.
_SAME_FORMS = ("<wide>", "<narrow>", "<noBreak>", "<compat>")


def merged_name_key(name: str) -> str:
    """Return what is equal for names that are taken for one."""
    text = "".join(_plain(character) for character in name)
    text = unicodedata.normalize("NFC", text).casefold()
    text = text.translate(_PUNCTUATION).translate(_LOOK_ALIKE)
    return re.sub(r"\s+", " ", text).strip()


def _plain(character: str) -> str:
    """Replace a character that is another form of a plain one; drop one without any width."""
    if unicodedata.category(character) == "Cf" or character in "\ufe0e\ufe0f":
        return ""
    if unicodedata.decomposition(character).startswith(_SAME_FORMS):
        return unicodedata.normalize("NFKC", character)
    return character


def similar_classes(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of names that are taken for one, each sorted."""
    groups: dict[str, set[str]] = {}
    for name in names:
        groups.setdefault(merged_name_key(name), set()).add(name)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def merged_names(
    counts: Mapping[str, int], in_train: Mapping[str, int]
) -> tuple[dict[str, str], list[Finding]]:
    """Make one class of similar names: that with the most training images, of equal ones the first.

    Args:
        counts: class name -> images.
        in_train: the same of training images alone; a name may be missing.

    Returns:
        Name -> name of its class, of those that are similar, and a note for each class.
    """
    renamed: dict[str, str] = {}
    notes = []
    for group in similar_classes(counts):
        kept = min(group, key=lambda name: (-in_train.get(name, 0), name))
        renamed |= dict.fromkeys(group, kept)
        others = [name for name in group if name != kept]
        are = "is" if len(others) == 1 else "are"
        text = f"{_spelled(others)} {are} taken as class {_spelled([kept])}"
        notes.append(Finding("class-alike", "note", text, (), "", tuple(group)))
    return renamed, notes


def alike_findings(counts: Mapping[str, int]) -> list[Finding]:
    """Name the classes that are taken for one, with the code points that tell them apart.

    Args:
        counts: class name -> images.
    """
    found = []
    for group in similar_classes(counts):
        numbers = ", ".join(count(counts[name], "image") for name in group)
        found.append(
            Finding(
                "class-alike",
                "error",
                f"classes {_spelled(group)} differ only by {_difference(group)} ({numbers})",
                (),
                "rename them; or --merge-similar-classes makes them one class, "
                "--no-merge-similar-classes keeps them apart",
                tuple(group),
            )
        )
    return found


def _spelled(names: Sequence[str]) -> str:
    """Quote names; where they look alike, with what cannot be seen as code points."""
    parts = [f"'{shown(name)}'{_code_points(name)}" for name in names]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _code_points(name: str) -> str:
    """Return the code points of what a reader cannot be sure of; empty where there is nothing."""
    odd = []
    for index, character in enumerate(name):
        code = f"U+{ord(character):04X}"
        if unicodedata.combining(character):
            odd.append(f"{name[index - 1 : index]} + {code}" if index else code)
        elif ord(character) > 127 and not 0xDC80 <= ord(character) <= 0xDCFF:
            odd.append(code)
        elif character.isspace() and not (name[:index].strip() and name[index + 1 :].strip()):
            odd.append(f"{code} at the {'start' if not name[:index].strip() else 'end'}")
        elif name[index : index + 2] == "  ":
            odd.append(f"two {code}")
    return f" ({', '.join(dict.fromkeys(odd))})" if odd else ""


def _difference(names: Sequence[str]) -> str:
    """Say what names differ by: the gentlest folding that makes them equal."""
    composed = [unicodedata.normalize("NFC", name) for name in names]
    single = [re.sub(r"\s+", " ", name).strip() for name in composed]
    if len(set(composed)) == 1:
        return "Unicode form"
    if len({name.casefold() for name in composed}) == 1:
        return "case"
    if len(set(single)) == 1:
        return "spaces"
    if len({name.casefold() for name in single}) == 1:
        return "case and spaces"
    return "characters that look alike or are invisible"
