"""A comparison of runs as a card for notebooks."""

from __future__ import annotations

from reslab.display import card, wording
from reslab.display.names import shown
from reslab.report.comparison import Comparison, Entry, finding, p_value

PAIRS_SHOWN = 10


def comparison_card(comparison: Comparison) -> str:
    """Return what was found, the runs with their intervals, and the paired tests, as HTML."""
    tests = ""
    if comparison.pairs:
        images = f"{comparison.pairs[0].found.num_images:,}"
        tests = card.part(f"Paired tests on the same {images} images", _pairs(comparison))
    differs = [row.what for row in comparison.differences]
    return card.card(
        card.sentence(shown(finding(comparison)), large=True),
        _runs(comparison),
        card.side_by_side(tests),
        *(card.sentence(shown(line)) for line in comparison.refused),
        card.facts(f"differ in: {wording.listed(differs[:6])}") if differs else "",
    )


def _runs(comparison: Comparison) -> str:
    intervals = [e.evaluation.ci95_pct for e in comparison.entries if e.evaluation is not None]
    ends = card.around(intervals) if intervals else (0.0, 100.0)
    columns = [
        ("run", "left"), ("network", "left"), ("accuracy %", "right"), ("95% interval", "left"),
        ("", "right"), ("parameters", "right"), ("time", "right"),
    ]  # fmt: skip
    rows = [_row(entry, ends) for entry in comparison.entries]
    return card.table(columns, rows, margin="10px 0 0")


def _row(entry: Entry, ends: tuple[float, float]) -> list[str]:
    found, measured = entry.evaluation, ["–", "", "–"]
    if found is not None:
        count, (low, high) = len(found), found.ci95_pct
        accuracy = wording.percent(found.accuracy_pct, count)
        measured = [
            f"<b>{accuracy}</b>",
            card.interval(found.accuracy_pct, low, high, ends),
            f"{wording.percent(low, count)} to {wording.percent(high, count)}",
        ]
    state = "" if entry.run.state == "finished" else f" ({entry.run.state})"
    return [
        card.text(f"{wording.shortened(shown(entry.name), 36)}{state}"),
        card.text(entry.run.section("spec").get("name", "–")),
        *measured,
        card.text(wording.large(entry.cost("params"))),
        card.text(wording.duration(entry.wall_s)),
    ]


def _pairs(comparison: Comparison) -> str:
    columns = [
        ("second − first", "left"), ("points", "right"), ("95% interval", "right"),
        ("only one right", "right"), ("p", "right"),
    ]  # fmt: skip
    several = len(comparison.pairs) > 1
    if several:
        columns.append(("p corrected", "right"))
    rows = []
    for pair in comparison.pairs[:PAIRS_SHOWN]:
        found, (low, high) = pair.found, pair.found.ci95_pct
        names = [wording.shortened(shown(name), 28) for name in (pair.second, pair.first)]
        row = [
            card.text(" − ".join(names)),
            f"<b>{found.difference_pct:+.2f}</b>",
            f"{low:+.2f} to {high:+.2f}",
            f"{found.only_first:,} / {found.only_second:,}",
            card.text(p_value(found.p_mid)),
        ]
        rows.append([*row, card.text(p_value(pair.p_holm))] if several else row)
    return card.table(columns, rows)
