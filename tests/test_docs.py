"""What documents say of the code: counts, links, commands and flags that exist, plain English."""

from __future__ import annotations

import re
from pathlib import Path

from reslab import list_models
from reslab.studies import SHIPPED

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
# Words that mean something else in this field, or nothing to people who learnt English late.
PRIVATE = (
    r"\b(rooms?|crews?|epitaphs?|anew|asked again|goes on|went on|hands? on|what becomes of"
    r"|unasked|who watches|whoever)\b"
)


def offenders(pattern: str) -> list[str]:
    """Return `file:line: words` of each match outside code."""
    found = []
    for document in DOCUMENTS:
        prose = re.sub(
            r"```.*?```|`[^`\n]*`",
            lambda code: "\n" * code[0].count("\n"),
            document.read_text(),
            flags=re.DOTALL,
        )
        for match in re.finditer(pattern, prose, re.IGNORECASE):
            line = prose.count("\n", 0, match.start()) + 1
            found.append(f"{document.relative_to(ROOT)}:{line}: {match[0]}")
    return found


def test_counts_are_those_of_the_registries():
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    networks = {int(n) for n in re.findall(r"\b(\d{3}) networks\b", text)}
    studies = {int(n) for n in re.findall(r"\b(\d+) (?:such )?studies\b", text)}
    assert networks == {len(list_models())}
    assert studies == {len(SHIPPED)}


def test_relative_links_lead_somewhere():
    broken = []
    for document in DOCUMENTS:
        for target in re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", document.read_text()):
            path = target.partition("#")[0]
            if "://" not in target and path and not (document.parent / path).exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
    assert broken == []


def test_the_readme_is_read_in_a_minute():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


def test_documents_keep_to_the_words_of_the_field():
    assert offenders(PRIVATE) == []
