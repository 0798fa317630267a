"""reslab compare on the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from reslab.cli.main import main

sys.path.insert(0, str(Path(__file__).parent.parent / "report"))
from make_run import digits, make_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("runs")
    return [
        str(make_run(folder / name, digits(), epochs=epochs))
        for name, epochs in (("first", 2), ("second", 10))
    ]


def test_prints_tables_and_a_finding(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", *runs]) == 0
    shown = capsys.readouterr()
    assert "paired tests on 359 images" in shown.out
    assert "recipe: epochs" in shown.out
    assert "with -o FILE.html" in shown.err


def test_json_and_page(runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main(["compare", *runs, "-o", str(page), "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in value["runs"]] == ["first", "second"]
    assert value["pairs"][0]["num_images"] == 359
    assert "<!DOCTYPE html>" in page.read_text()


def test_one_run_is_too_few(runs: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", runs[0]]) == 2
    assert "needs two runs" in capsys.readouterr().err


def test_no_run_directory(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", runs[0], str(tmp_path)]) == 3
    assert "is not a run directory" in capsys.readouterr().err
