"""The report of a study: an offline page, Markdown, and its figures as SVG files."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from reslab import durable
from reslab.charts.figure import Figure
from reslab.charts.files import write_figures
from reslab.display import wording
from reslab.display.short import short_repr
from reslab.pages.standalone import standalone
from reslab.study import report_content as content
from reslab.study.figures import figures, metric_words
from reslab.study.report_markdown import markdown
from reslab.study.results import RunOutcome, StudyResults, Verdict

PAGE = "report.html"
TEXT = "report.md"
FIGURES = "figures"


@dataclasses.dataclass(frozen=True)
class RunRow:
    """One run with where it is.

    Args:
        outcome: what became of it.
        link: its page or folder, relative to the report, or empty where it is not there.
        time: how long it took.
    """

    outcome: RunOutcome
    link: str
    time: str


@dataclasses.dataclass(frozen=True)
class Report:
    """Everything that a report says.

    Args:
        results: the study and its runs.
        verdicts: what became of its expectations.
        answer: to its question, one sentence.
        figures: the drawings.
        metrics: the columns of the table.
        arms: its rows.
        data: what the images were.
        recipe: (setting, the paper's, ours) where they differ.
        lost: runs that diverged, failed or are missing.
        runs: all runs.
        environment: what they were made on.
    """

    results: StudyResults
    verdicts: Sequence[Verdict]
    answer: str
    figures: Sequence[Figure]
    metrics: Sequence[str]
    arms: Sequence[content.ArmRow]
    data: Sequence[str]
    recipe: Sequence[tuple[str, str, str]]
    lost: Sequence[RunOutcome]
    runs: Sequence[RunRow]
    environment: str

    __repr__ = short_repr


def write_report(results: StudyResults, folder: Path) -> Path:
    """Write report.html, report.md and figures/ (SVG and CSV) into a folder; returns the page.

    A study that is not complete yet gets a report that says so.

    Args:
        results: what came out so far.
        folder: the study's folder, which the runs' folders are relative to; also any other
            folder, where the runs are then named without links.

    Raises:
        MachineError: something cannot be written.
    """
    report = collect(results, folder)
    write_figures(report.figures, folder / FIGURES)
    durable.write_file(folder / TEXT, markdown(report).encode("utf-8", "surrogateescape"))
    path = folder / PAGE
    durable.write_file(path, page(report).encode("utf-8", "surrogateescape"))
    return path


def collect(results: StudyResults, folder: Path) -> Report:
    """Compute what a report says."""
    verdicts = results.verdicts()
    metrics = content.metrics_of(results)
    return Report(
        results=results,
        verdicts=verdicts,
        answer=content.answer(results, verdicts),
        figures=figures(results),
        metrics=metrics,
        arms=content.arm_rows(results, metrics),
        data=content.data_sentences(results),
        recipe=content.recipe_rows(results),
        lost=content.lost_runs(results),
        runs=[_run_row(outcome, folder) for outcome in results.outcomes],
        environment=content.environment_sentence(results.environment),
    )


def page(report: Report) -> str:
    """Return the offline page as text."""
    return standalone(
        "study.html",
        report=report,
        study=report.results.study,
        marks=content.MARKS,
        readable=content.readable,
        metric_words=metric_words,
        shared=[column for column in report.metrics if _in_paper(report, column)],
    )


def _in_paper(report: Report, metric: str) -> bool:
    return any(metric in row.arm.paper for row in report.arms)


def _run_row(outcome: RunOutcome, folder: Path) -> RunRow:
    link = ""
    if outcome.run_dir and (folder / outcome.run_dir).is_dir():
        link = quote(outcome.run_dir)
        if (folder / outcome.run_dir / "report.html").is_file():
            link += "/report.html"
    return RunRow(outcome, link, wording.duration(outcome.metrics.get("wall_s")))
