"""The report of a study: what it says, that it stands alone, and that nothing is left out."""

from __future__ import annotations

import dataclasses
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from synthetic import PAPER, results

from reslab.study import RunOutcome, StudyResults
from reslab.study.figures import figures, mean_curve, panels
from reslab.study.report import collect, write_report
from reslab.study.report_content import answer, data_sentences, recipe_rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "plain-20" / "seed-0").mkdir(parents=True)
    (folder / "plain-20" / "seed-0" / "report.html").write_text("")
    (folder / "plain-20" / "seed-1").mkdir()
    write_report(results(), folder)
    return folder


def test_page_needs_nothing_from_outside(folder: Path) -> None:
    page = (folder / "report.html").read_text()
    assert "default-src &#39;none&#39;" in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert "Plain against residual networks &lt;by depth&gt;" in page


def test_page_and_markdown_say_the_verdicts_and_the_losses(folder: Path) -> None:
    page, text = (folder / "report.html").read_text(), (folder / "report.md").read_text()
    for said in (page, text):
        for verdict in results().verdicts():
            assert verdict.outcome in said.lower()
        assert "the loss is NaN" in said
        assert "1 diverged" in said
        assert "1 failed" in said
        assert "200 updates, not 64,000." in said
        assert "The numbers are made up." in said
        assert "warms up first" in said


def test_links_are_relative_and_lead_somewhere(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert "plain-20/seed-0/report.html" in links
    assert "plain-20/seed-1" in links
    assert all((folder / link).exists() for link in links)
    assert "residual-20/seed-0" not in links  # that run is not here


def test_table_has_the_papers_numbers_beside_ours(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    values = [results().values("residual-56", "test_error_pct")[seed] for seed in range(3)]
    mean, spread = np.mean(values), np.std(values, ddof=1)
    row = next(line for line in text.splitlines() if line.startswith("| residual-56 "))
    assert f"| {PAPER[56]:g} | {mean:.2f} ± {spread:.2f} |" in row
    assert row.split("|")[-3].strip() == "3"


def test_diverged_run_counts_as_guessing() -> None:
    rows = {row.arm.name: row for row in collect(results(), Path("/nowhere")).arms}
    assert rows["plain-110"].lost == "1 diverged"
    assert rows["plain-110"].cells[0].n == 3
    assert rows["residual-110"].cells[0].n == 2


def test_markdown_tables_have_equal_columns_in_all_rows(folder: Path) -> None:
    text = (folder / "report.md").read_text()
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table


def test_figures_stand_alone(folder: Path) -> None:
    files = sorted((folder / "figures").glob("*.svg"))
    assert {f.stem for f in files} == {figure.name for figure in figures(results())}
    text = (folder / "report.md").read_text()
    for path in files:
        source = path.read_text()
        root = ET.fromstring(source)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert root.find("{http://www.w3.org/2000/svg}title") is not None
        assert "var(" not in source
        assert "prefers-color-scheme: dark" in source
        assert f"(figures/{path.name})" in text


def test_curve_is_the_mean_of_the_finished_runs() -> None:
    found = results()
    arm = next(arm for arm in found.arms if arm.name == "plain-110")
    steps, values = mean_curve(found, arm, "train_error_pct")
    finished = [o for o in found.of(arm.name) if o.status == "finished"]
    assert len(finished) == 2
    assert steps == [10.0 * e for e in range(1, 21)]
    assert values[-1] == pytest.approx(np.mean([o.rows[-1]["train_error_pct"] for o in finished]))


def test_arms_of_groups_of_one_share_the_axes() -> None:
    found = results()
    names = [title for title, _ in panels(found)]
    assert names == ["plain", "residual"]
    arms = tuple(dataclasses.replace(arm, group=arm.name, x=None) for arm in found.arms)
    scale = dataclasses.replace(found.scale, arms=arms)
    study = dataclasses.replace(found.study, scales={"tiny": scale}, expectations=())
    alone = dataclasses.replace(found, study=study)
    assert [len(one) for _, one in panels(alone)] == [6]
    assert "train-error-by-arm" in {figure.name for figure in figures(alone)}


def test_recipe_shows_what_differs_from_the_papers() -> None:
    assert recipe_rows(results()) == [("steps", "64000", "200"), ("augment.flip", "yes", "no")]


def test_data_are_called_what_they_are() -> None:
    said = " ".join(data_sentences(results(data="cifar10-jpeg")))
    assert "not CIFAR-10" in said
    assert "not CIFAR-10" not in " ".join(data_sentences(results(data="cifar10")))
    assert "which way things go" not in " ".join(data_sentences(results(data="cifar10")))
    assert "1,222 for training" in said


def test_answer_sorts_expectations_by_their_verdict() -> None:
    found = results()
    verdicts = [
        dataclasses.replace(verdict, outcome=outcome)
        for verdict, outcome in zip(
            found.verdicts(), ("reproduced", "not reproduced", "not decidable"), strict=True
        )
    ]
    assert answer(found, verdicts) == (
        "As expected, the plain network's training error rises; not reproduced: the residual "
        "network's does not rise; it cannot be decided with 3 seeds whether plain-110 fails."
    )


def test_unfinished_study_says_so(tmp_path: Path) -> None:
    write_report(results(missing=True), tmp_path)
    assert "this is what there is so far" in (tmp_path / "report.html").read_text()
    assert "plain-20, seed 0: missing" in (tmp_path / "report.md").read_text()


def test_study_of_which_nothing_ran(tmp_path: Path) -> None:
    found = results()
    nothing = StudyResults(
        study=found.study,
        scale_name="tiny",
        data={},
        outcomes=tuple(RunOutcome(arm=arm.name, seed=0, status="missing") for arm in found.arms),
        environment={},
    )
    write_report(nothing, tmp_path)
    assert "nothing is known of the data" in (tmp_path / "report.md").read_text()
