"""The tables of the page on networks, made from the catalogue and the measured costs.

``python -m reslab.analyze.page docs/networks.md`` puts them between the page's two markers; a
test holds the page against the catalogue.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

from reslab import catalog
from reslab.catalog import Entry, Published

BEGIN, END = "<!-- networks -->", "<!-- /networks -->"
COLUMNS = ("name", "parameters", "multiply-adds", "input", "the paper's error, %", "what it is")


def tables() -> str:
    """Return a heading, a sentence and a table for each family, in the order of history."""
    return "\n\n".join(_section(family) for family in catalog.FAMILIES if family.ENTRIES)


def with_tables(page: str) -> str:
    """Return the page with what stands between its markers made anew."""
    before, rest = page.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _section(family: ModuleType) -> str:
    title, *paragraphs = (family.__doc__ or "").strip().split("\n\n")
    entries: Sequence[Entry] = family.ENTRIES
    lines = [
        f"### {' '.join(title.split()).rstrip('.')}",
        "",
        *(line for text in paragraphs for line in (text.replace("\n    ", "\n"), "")),
        f"| {' | '.join(COLUMNS)} |",
        "|---|--:|--:|--:|---|---|",
        *(_row(entry) for entry in entries),
    ]
    return "\n".join(lines)


def _row(entry: Entry) -> str:
    cost, spec = catalog.costs()[entry.name], entry.spec
    cells = (
        f"`{entry.name}`",
        f"{cost.params:,}",
        f"{cost.macs:,}",
        f"{spec.in_chans}x{spec.img_size}x{spec.img_size}",
        _error(entry.paper),
        entry.summary,
    )
    return f"| {' | '.join(cells)} |"


def _error(paper: Published) -> str:
    """Put top-1, top-5 and the mean over runs into a few characters."""
    if "error_pct" not in paper:
        return f"top-5 {paper['top5_error_pct']:.2f}" if "top5_error_pct" in paper else ""
    text = f"{paper['error_pct']:.2f}"
    if "top5_error_pct" in paper:
        text += f" / {paper['top5_error_pct']:.2f}"
    if "error_mean_pct" in paper:
        text += f" ({paper['error_mean_pct']:.2f} ± {paper['error_std_pct']:.2f})"
    return text


def main(arguments: Sequence[str]) -> int:
    """Make the tables of a page anew."""
    page = Path(arguments[0])
    page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
