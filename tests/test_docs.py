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
