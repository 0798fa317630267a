"""The table of the networks, and the page on them, made from what the families declare.

``python -m reslab.networks.build_index docs/networks.md`` writes networks/index.json and the tables
between the page's two markers. It measures what new networks cost; after a change of networks that
are there already, name them (``... docs/networks.md 'resnet*'``), and they are measured again.
Sections keep their order, new ones come last; to move one, move it in index.json. Tests hold the
table and the page against the families, and the costs against the built networks.
"""

from __future__ import annotations

import fnmatch
import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from reslab import networks
from reslab.networks import Entry, NetworkInfo, Published, Section
from reslab.networks import index as table
from reslab.networks.cost import measure

BEGIN, END = "<!-- networks -->", "<!-- /networks -->"
COLUMNS = ("name", "parameters", "multiply-adds", "input", "the paper's error, %", "what it is")
Costs = Mapping[str, Mapping[str, int]]


def index_text(old: Mapping[str, Any], costs: Costs) -> str:
    """Return index.json for the families as they are.

    Args:
        old: the table before, which orders the sections.
        costs: "params" and "macs" of every network, by name.
    """
    order = [(section["module"], section["title"]) for section in old["sections"]]
    found = {(_name(family), section.title): section for family, section in _sections()}
    keys = sorted(found, key=lambda key: order.index(key) if key in order else len(order))
    sections = [
        {
            "module": module,
            "title": title,
            "notes": found[module, title].notes,
            "networks": {e.name: _row(e, costs[e.name]) for e in found[module, title].entries},
        }
        for module, title in keys
    ]
    # A kind belongs to the file that defines it, wherever its networks are listed.
    specs = {type(entry.spec) for _, section in _sections() for entry in section.entries}
    kinds = {spec.kind: spec.__module__.rpartition(".")[2] for spec in specs}
    value = {"kinds": dict(sorted(kinds.items())), "sections": sections}
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


def families() -> Iterator[ModuleType]:
    """Import every module of `reslab.networks` that declares named networks."""
    for found in pkgutil.iter_modules(networks.__path__):
        module = importlib.import_module(f"{networks.__name__}.{found.name}")
        if hasattr(module, "SECTIONS"):
            yield module


def known_costs(old: Mapping[str, Any]) -> dict[str, Mapping[str, int]]:
    """Return the costs that a table holds, by name."""
    return {
        name: {"params": row["params"], "macs": row["macs"]}
        for section in old["sections"]
        for name, row in section["networks"].items()
    }


def tables() -> str:
    """Return a heading, a paragraph where there is one, and a table for each section."""
    return "\n\n".join(_section(section) for section in table.sections())


def with_tables(page: str) -> str:
    """Return the page with new tables between its markers."""
    before, rest = page.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{after}"


def _sections() -> Iterator[tuple[ModuleType, Section]]:
    yield from ((family, section) for family in families() for section in family.SECTIONS)


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]


def _row(entry: Entry, cost: Mapping[str, int]) -> dict[str, Any]:
    return {
        "kind": entry.spec.kind,
        "family": entry.family,
        "summary": entry.summary,
        "source": entry.source,
        "paper": dict(entry.paper),
        "deviations": list(entry.deviations),
        "img_size": entry.spec.img_size,
        "in_chans": entry.spec.in_chans,
        "params": cost["params"],
        "macs": cost["macs"],
    }


def _section(section: table.ListedSection) -> str:
    lines = [
        f"### {section.title}",
        "",
        *([section.notes, ""] if section.notes else []),
        f"| {' | '.join(COLUMNS)} |",
        "|---|--:|--:|--:|---|---|",
        *(_line(networks.info(name)) for name in section.networks),
    ]
    return "\n".join(lines)


def _line(info: NetworkInfo) -> str:
    cells = (
        f"`{info.name}`",
        f"{info.params:,}",
        f"{info.macs:,}",
        f"{info.in_chans}x{info.img_size}x{info.img_size}",
        _error(info.paper),
        info.summary,
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
    """Write the table and the tables of a page; measure new networks and those named."""
    if not arguments or arguments[0].startswith("-"):
        sys.exit("usage: python -m reslab.networks.build_index docs/networks.md [NAME...]")
    page, *patterns = arguments
    old = table.read()
    costs = known_costs(old)
    for entry in (entry for _, section in _sections() for entry in section.entries):
        named = any(fnmatch.fnmatchcase(entry.name, pattern) for pattern in patterns)
        if named or entry.name not in costs:
            cost = measure(entry.spec)
            costs[entry.name] = {"params": cost.params, "macs": cost.macs}
    text = index_text(old, costs)
    (Path(table.__file__).parent / table.FILE).write_text(text, encoding="utf-8")
    table.clear()
    Path(page).write_text(with_tables(Path(page).read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
