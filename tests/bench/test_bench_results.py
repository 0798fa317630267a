"""What is made of measurements: spread, verdicts, the table and the picture."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import torch
from bench.cases import CASES
from bench.chart import chart
from bench.harness import relative_difference
from bench.spread import spread
from bench.table import table

from bench import ceilings, results

MACHINE = {
    "processor": "A <processor> & more",
    "cores": 2,
    "memory_gib": 24,
    "system": "Linux x86_64",
    "python": "3.11.7",
}
CEILINGS = {
    "bf16_gflops": 774.0,
    "float32_gflops": 182.0,
    "copy_gb_s": 40.0,
    "photographs_decoded_by_s": 1700.0,
}
COLD = {"ready_s": 12.0, "first_step_s": 3.0}


def arm(name: str) -> dict:
    return {"name": name, "cold": COLD, "peak_mib": 900.0, "with_children_mib": 1200.0}


def peer(name: str, ratios: list[float], target: float | None) -> dict:
    return {
        **arm(name),
        "target": target,
        "rate": spread([400.0, 420.0]),
        "ratios": ratios,
        "ratio": spread(ratios),
        "trials": {name: {"rate": 410.0}, "another": {"failed": "needs a compiler"}},
    }


def measured(title: str, groups: dict, limit_s: float | None = None) -> dict:
    return {
        "title": title,
        "unit": "images/s",
        "limit_s": limit_s,
        "ours": {**arm("ours"), "rate": spread([4.0, 5.0]), "seconds_each": spread([0.2, 0.25])},
        "groups": groups,
        "measured": "2026-01-01",
        "commit": "abcdef0",
        "versions": {"torch": "2.13.0"},
    }


def test_the_table_names_the_kind_of_processor_and_how_large_the_products_were(value):
    assert "bf16 product of 4096 x 4096" in table(value), "as measured before sides were kept"
    value["machine"] |= {"instructions": "avx2", "bf16": False}
    value["ceilings"] |= {"bf16_side": 1024, "float32_side": 2048}
    text = table(value)
    assert "more with AVX2, 2 cores" in text
    assert "bf16 product of 1024 x 1024" in text
    assert "float32 product of 2048 x 2048" in text


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ({"instructions": "avx512", "bf16": True}, r"an-epyc-\d+-cores"),
        ({"instructions": "avx2", "bf16": False}, r"an-epyc-avx2-\d+-cores"),
    ],
)
def test_each_kind_of_processor_has_a_folder_of_its_own(kind, expected, monkeypatch):
    monkeypatch.setattr(results, "processor", lambda: "An EPYC (R)".replace(" (R)", ""))
    monkeypatch.setattr(results, "instructions", lambda: kind)
    assert re.fullmatch(expected, results.machine_name())


def test_a_ceiling_takes_a_bounded_time_however_slow_the_product_is(monkeypatch):
    monkeypatch.setattr(ceilings, "BUDGET_S", 0.0)
    rate, side = ceilings.product_gflops(torch.float32, (16, 32, 64))
    assert side == 16
    assert rate > 0
    monkeypatch.setattr(ceilings, "BUDGET_S", 1e6)
    assert ceilings.product_gflops(torch.float32, (16, 32, 64))[1] == 64


@pytest.fixture
def value() -> dict:
    groups = {
        "as found": peer("plain", [4.5, 5.0, 4.0], 4.0),
        "tuned": peer("bf16", [1.1, 1.2, 1.0], 1.3),
    }
    cases = {
        "a": measured("train A, 32 px", groups),
        "b": measured("start", {}, limit_s=0.3),
        "c": {"title": "infer", "unit": "images/s", "skipped": "needs openvino"},
        "d": measured("load", {"as found": {"skipped": "none runs", "trials": {}}}),
    }
    return {"machine": MACHINE, "ceilings": CEILINGS, "cases": cases}


def test_spread_of_known_values():
    found = spread([3.0, 1.0, 2.0, 5.0, 4.0])
    assert found == {"median": 3, "low": 2, "high": 4, "least": 1, "most": 5, "count": 5}
    assert spread([2.0])["low"] == 2.0


def test_the_table_says_which_targets_are_met(value):
    text = table(value)
    assert "**4.50** (4.00 to 5.00) | 4, met |" in text
    assert "**1.10** (1.00 to 1.20) | 1.3, missed |" in text
    assert "at most 0.3 s: met" in text
    assert "not measured: needs openvino" in text
    assert "another: needs a compiler" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(row.endswith("|") for row in rows)


def test_the_picture_is_well_formed_and_bars_are_as_long_as_their_ratios(value):
    root = ElementTree.fromstring(chart(value))
    inside = {"{http://www.w3.org/2000/svg}" + name for name in ("path", "text", "rect")}
    words = [e.text for e in root.iter() if e.tag in inside and e.text]
    assert {"4.5×", "1.10×", "train A", "32 px", "as fast"} <= set(words)
    assert any("A <processor> & more" in word for word in words)
    bars = [e for e in root.iter() if e.get("class") in ("b0", "b1") and e.get("d")]
    ends = [float(e.get("d").split("H")[1].split("q")[0]) for e in bars]
    assert len(ends) == 2
    assert ends[0] > ends[1] > 268


def test_results_are_kept_by_case(tmp_path: Path, value):
    record = results.Record(tmp_path, {**value, "cases": {}})
    record.put("a", value["cases"]["a"])
    record.put("b", value["cases"]["b"])
    record.put("a", {**value["cases"]["a"], "title": "again"})
    kept = json.loads((tmp_path / "results.json").read_text())["cases"]
    assert [found["title"] for found in kept.values()] == ["again", "start"]
    results.draw(tmp_path)
    assert (tmp_path / "table.md").exists()
    assert (tmp_path / "chart.svg").exists()


def test_answers_of_another_shape_are_no_answers():
    import numpy as np

    ours = np.array([[1.0, -4.0]])
    assert relative_difference(ours, np.array([[1.0, -3.0]])) == 0.25
    assert relative_difference(ours, np.array([1.0, -4.0])) == float("inf")


def test_every_target_belongs_to_peers_that_are_measured():
    for case in CASES.values():
        assert set(case.targets) <= set(case.groups()), case.name
        assert len({arm.name for arm in case.arms()}) == len(case.arms()), case.name
