"""Runs side by side: who is tested against whom, what differs, and the page."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from make_run import digits, make_run, two_classes
from scipy.stats import binomtest

from reslab.data.record import FILE, ImageRecord
from reslab.errors import UsageError
from reslab.report.comparison import compare_runs, finding
from reslab.report.comparison_page import colors, costs, curves, write_comparison


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("compared")

    def slow(config: dict[str, Any]) -> None:
        config["recipe"]["lr"] = 0.05
        config["cost"] = {"params": 853_018, "macs": 7_842_816}

    return {
        "few": make_run(folder / "few", digits(), epochs=4, network="plain20", change=slow),
        "many": make_run(folder / "many", digits(), epochs=20),
        "pair": make_run(folder / "pair", two_classes(), epochs=5),
    }


def test_paired_test_is_mcnemars_of_what_the_runs_kept(runs: dict[str, Path]) -> None:
    compared = compare_runs([runs["few"], runs["many"]])
    (pair,) = compared.pairs
    first, second = (entry.evaluation for entry in compared.entries)
    assert first is not None
    assert second is not None
    only_first = int((first.correct & ~second.correct).sum())
    only_second = int((second.correct & ~first.correct).sum())
    assert (pair.found.only_first, pair.found.only_second) == (only_first, only_second)
    exact = binomtest(only_first, only_first + only_second).pvalue
    assert pair.found.p_exact == pytest.approx(exact)
    assert pair.p_holm == pair.found.p_mid  # one pair needs no correction
    assert not compared.refused


def test_images_are_matched_by_number_whatever_their_order(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    copy = Path(shutil.copytree(runs["many"], tmp_path / "shuffled"))
    path = copy / "evaluation" / "test.safetensors"
    tensors = load_file(path)
    order = np.random.default_rng(0).permutation(len(tensors["labels"]))[:200]
    save_file({k: np.ascontiguousarray(v[order]) for k, v in tensors.items()}, path)
    (pair,) = compare_runs([runs["many"], copy]).pairs
    assert pair.found.num_images == 200
    assert pair.found.only_first == pair.found.only_second == 0


def recorded(run: Path, folder: Path, order: np.ndarray | None = None) -> Path:
    """Copy a run as one that records its images by content, under other numbers perhaps."""
    from safetensors.numpy import load_file, save_file

    copy = Path(shutil.copytree(run, folder))
    whole = ImageRecord.of(digits())
    order = np.arange(len(whole.labels)) if order is None else order
    record = ImageRecord(
        whole.digests[order], whole.labels[order], whole.splits[order], whole.earlier
    )
    (copy / FILE).write_bytes(record.to_bytes())
    path, number = copy / "evaluation" / "test.safetensors", np.argsort(order)
    tensors = load_file(path)
    save_file({**tensors, "samples": number[tensors["samples"]].astype(np.int64)}, path)
    return copy


def test_images_are_matched_by_content_where_it_is_recorded(
    runs: dict[str, Path], tmp_path: Path
) -> None:
    """The same images in another order: their numbers and the fingerprint are others."""
    order = np.random.default_rng(1).permutation(len(digits().labels))
    one = recorded(runs["many"], tmp_path / "one")
    other = recorded(runs["many"], tmp_path / "other", order)
    config = json.loads((other / "config.json").read_text())
    config["dataset"]["fingerprint"] = config["dataset"]["fingerprint"][::-1]
    (other / "config.json").write_text(json.dumps(config))
    compared = compare_runs([one, other])
    assert not compared.refused
    (pair,) = compared.pairs
    first = compared.entries[0].evaluation
    assert first is not None
    assert pair.found.num_images == len(first)
    assert pair.found.only_first == pair.found.only_second == 0
    few = recorded(runs["few"], tmp_path / "few", order)
    (pair,) = compare_runs([one, few]).pairs
    (same,) = compare_runs([runs["many"], runs["few"]]).pairs
    assert pair.found == same.found
    (other / FILE).write_bytes(b"damaged")  # numbers of other data say nothing
    assert len(compare_runs([one, other]).refused) == 1


def test_other_images_are_refused_and_curves_still_drawn(runs: dict[str, Path]) -> None:
    compared = compare_runs([runs["many"], runs["pair"]])
    assert compared.pairs == ()
    assert compared.refused == (
        "No paired test of many and pair: they were trained on different images "
        "(digits and one or eight).",
    )
    assert "share no test" in finding(compared)
    assert len(curves(compared.entries)[0].series) == 4


def test_unevaluated_run_is_compared_by_its_curves(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs["many"], tmp_path / "stopped"))
    shutil.rmtree(copy / "evaluation")
    status = json.loads((copy / "status.json").read_text())
    (copy / "status.json").write_text(json.dumps({**status, "state": "interrupted"}))
    compared = compare_runs([runs["few"], copy])
    assert compared.refused == ("No paired test with stopped: it has not been evaluated yet.",)
    assert compared.to_json()["runs"][1]["measured"] is None
    write_comparison(compared, tmp_path / "page.html")
    assert "(interrupted)" in (tmp_path / "page.html").read_text()


def test_only_what_differs_is_listed(runs: dict[str, Path]) -> None:
    found = {d.what: d.values for d in compare_runs([runs["few"], runs["many"]]).differences}
    assert found == {
        "network": ("plain20", "resnet20"),
        "recipe: epochs": ("4", "20"),
        "recipe: lr": ("0.05", "0.1"),
    }


def test_a_run_and_its_copy_differ_in_nothing(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs["few"], tmp_path / "again"))
    compared = compare_runs([runs["few"], copy])
    assert compared.differences == ()
    assert "No difference can be told" in finding(compared)


def test_too_few_or_twice_the_same(runs: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="needs two runs"):
        compare_runs([runs["few"]])
    with pytest.raises(UsageError, match="named twice"):
        compare_runs([runs["few"], runs["few"] / "." / ""])


def test_page_stands_alone(runs: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "comparison.html"
    write_comparison(compare_runs(list(runs.values())), page)
    text = page.read_text()
    assert "default-src &#39;none&#39;" in text
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
    assert text.count('<svg class="plot"') == 6
    for word in ("few", "many", "pair", "recipe: lr", "different images"):
        assert word in text


def test_cost_is_drawn_with_its_intervals(runs: dict[str, Path]) -> None:
    params = costs(compare_runs([runs["few"], runs["many"]]).entries)[0]
    assert [one.x for one in params.series] == [[853_018], [269_434]]
    for one in params.series:
        assert one.low is not None
        assert one.high is not None
        assert one.low[0] < one.y[0] < one.high[0]


def test_more_runs_than_colors_share_them_by_network(runs: dict[str, Path]) -> None:
    entries = compare_runs([runs["few"], runs["many"]]).entries
    named = [dataclasses.replace(entries[i % 2], name=str(i)) for i in range(8)]
    assert colors(named) == [0, 1] * 4
    assert colors(named[:6]) == list(range(6))
