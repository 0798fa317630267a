"""A study's report as Markdown, with its figures beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from reslab.display import wording
from reslab.study.figures import metric_words
from reslab.study.report_content import MARKS, readable

if TYPE_CHECKING:
    from reslab.study.report import Report


def markdown(report: Report) -> str:
    """Return the report as Markdown; figures and runs are linked relative to it."""
    return "\n".join(_lines(report)).rstrip() + "\n"


def _lines(report: Report) -> Iterator[str]:
    results = report.results
    study = results.study
    yield from (f"# {study.title}", "", f"*{study.question}* ({study.source})", "")
    yield from (f"**{report.answer}**", "")
    seeds = wording.plural(len(results.seeds), "seed")
    yield f"Scale “{results.scale_name}”, {wording.plural(len(results.outcomes), 'run')}, {seeds}."
    if not results.complete:
        yield "**Not all runs are done: this is what there is so far.**"
    yield from ("", *report.data, "")
    if report.verdicts:
        yield from ("## What the paper leads one to expect", "")
        rows = [
            (v.expectation, f"{MARKS[v.outcome]} {v.outcome}", readable(v.because))
            for v in report.verdicts
        ]
        yield from _table(("Expectation", "Verdict", "Because"), rows)
        yield from ("", f"n = {len(results.seeds)} seeds, paired by seed.", "")
    for figure in report.figures:
        heading = f"{figure.title}{f' by {figure.by}' if figure.by else ''}"
        yield from (f"![{heading}](figures/{figure.name}.svg)", "", f"*{figure.caption}*", "")
    yield from _numbers(report)
    yield from _recipe(report)
    yield from _runs(report)
    for note in study.notes:
        yield from (note, "")
    if report.environment:
        yield report.environment


def _numbers(report: Report) -> Iterator[str]:
    yield from ("## Numbers", "")
    heads = ["Arm", "Network", "Parameters"]
    for metric in report.metrics:
        if any(metric in row.arm.paper for row in report.arms):
            heads.append(f"{metric_words(metric)}: paper")
        heads += [metric_words(metric), "95% interval"]
    heads += ["n", "Lost"]
    rows = []
    for row in report.arms:
        cells = [row.arm.name, row.network, row.params]
        for metric, cell in zip(report.metrics, row.cells, strict=True):
            if any(metric in other.arm.paper for other in report.arms):
                cells.append(cell.paper or "–")
            cells += [cell.value, cell.interval or "–"]
        rows.append([*cells, str(max((c.n for c in row.cells), default=0)), row.lost or "none"])
    yield from _table(heads, rows)
    yield ""
    yield "Mean ± standard deviation over seeds; intervals of the mean by Student's t."
    yield from ("A diverged run counts as guessing in an error.", "")
    for row in report.arms:
        if row.arm.note:
            yield f"- {row.arm.name}: {row.arm.note}"
    yield ""


def _recipe(report: Report) -> Iterator[str]:
    differs = report.results.scale.differs
    if not differs and not report.recipe:
        return
    yield from ("## How this differs from the paper", "")
    yield from (f"- {sentence}" for sentence in differs)
    yield ""
    if report.recipe:
        yield from _table(("Setting", "Paper", "Here"), report.recipe)
        yield ""


def _runs(report: Report) -> Iterator[str]:
    if report.lost:
        yield from ("## Runs without numbers", "")
        for outcome in report.lost:
            what = f"{outcome.arm}, seed {outcome.seed}: {outcome.status}"
            yield f"- {what}. {outcome.error}" if outcome.error else f"- {what}"
        yield ""
    linked = [row for row in report.runs if row.link]
    if linked:
        links = [f"[{r.outcome.arm}, seed {r.outcome.seed}]({r.link})" for r in linked]
        yield from ("## Runs", "", " · ".join(links), "")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(map(_cell, heads))} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
