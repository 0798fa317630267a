"""A study's results as a card for notebooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reslab.display import card, wording
from reslab.study import statistics
from reslab.study.figures import metric_words

if TYPE_CHECKING:
    from reslab.study.results import StudyResults

MARKS = {"reproduced": "✓", "not reproduced": "✗", "not decidable": "?"}
ARMS_SHOWN = 24


def study_card(results: StudyResults) -> str:
    """Return the question, the verdicts and the arms with their intervals, as HTML."""
    study, metric = results.study, results.study.metric
    verdicts = [
        [
            f"<b>{MARKS[verdict.outcome]}</b>",
            card.text(wording.shortened(verdict.expectation, 90)),
            card.text(verdict.outcome),
        ]
        for verdict in results.verdicts()
    ]
    columns = [("", "left"), ("expectation", "left"), ("verdict", "left")]
    seeds = wording.plural(len(results.seeds), "seed")
    return card.card(
        card.title(study.title, f"{study.question} ({study.source})"),
        card.facts(
            f"scale {results.scale_name}",
            str(results.data.get("name", "")),
            wording.plural(len(results.outcomes), "run"),
            seeds,
            "" if results.complete else "not all runs are done",
        ),
        card.table(columns, verdicts, margin="12px 0 0") if verdicts else "",
        card.side_by_side(card.part(f"{metric_words(metric)} by arm", _arms(results))),
    )


def _arms(results: StudyResults) -> str:
    metric = results.study.metric
    within = statistics.range_of(metric)
    found = {
        arm.name: statistics.summarize(list(values.values()), within=within)
        for arm in results.arms[:ARMS_SHOWN]
        if (values := results.values(arm.name, metric))
    }
    known = found.values()
    spans = [(o.low, o.high) for o in known if o.low is not None and o.high is not None]
    axis = (min(low for low, _ in spans), max(high for _, high in spans)) if spans else (0.0, 1.0)
    rows = []
    for name, one in found.items():
        drawn, words = "", "–"
        if one.low is not None and one.high is not None:
            drawn = card.interval(one.mean, one.low, one.high, axis)
            words = f"{one.low:.2f} to {one.high:.2f}"
        spread = "" if one.sd is None else f" ± {one.sd:.2f}"
        mean = f"<b>{one.mean:.2f}</b>{spread}"
        rows.append([card.text(wording.shortened(name, 40)), str(one.n), mean, drawn, words])
    columns = [
        ("arm", "left"), ("n", "right"), ("mean ± sd", "right"), ("95% interval", "left"),
        ("", "left"),
    ]  # fmt: skip
    return card.table(columns, rows) if rows else ""
