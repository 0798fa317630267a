"""The bench for GPUs, tiny and on a processor: it runs, and all have the same answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from bench.gpu.cases import CASES, WORK
from bench.gpu.table import roofline, table
from bench.peers.plain_resnet import ResNet50
from bench.spread import spread

from reslab.models import create_model
from reslab.weights import LAYOUTS, to_layout

ROOT = Path(__file__).parents[2]
CEILINGS = {
    "device": "NVIDIA Something",
    "torch": "2.11.0",
    "cuda": "13.0",
    "bf16_tflops": 790.0,
    "float32_tflops": 50.0,
    "copy_gb_s": 4300.0,
}


@pytest.mark.slow
@pytest.mark.parametrize("case", ["train-resnet20", "train-resnet50"])
def test_a_tiny_measurement_on_a_processor(case: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "bench.gpu", case, "--device", "cpu", "--quick"]
    argv += ["--threads", "1", "--out", str(tmp_path), "--time", "100000"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    value = json.loads((tmp_path / "results.json").read_text())
    found = value["cases"][case]
    assert set(found["groups"]) == set(CASES[case].targets)
    for peer in found["groups"].values():
        assert peer["ratio"]["median"] > 0, peer
    assert not found["failed"]
    assert found["title"] in (tmp_path / "table.md").read_text()


def test_rooflines_are_those_of_the_cards_data_sheet() -> None:
    # performance figures of an H200: 790 TFLOP/s in bf16 and 4.3 TB/s
    for name, expected in {
        "train-resnet20": (3.26e6, 1.43e6, 6.0e5),
        "train-resnet110": (5.21e5, 2.56e5, 1.08e5),
        "train-resnet50": (3.25e4, 2.46e4, 1.02e4),
    }.items():
        assert tuple(roofline(name, CEILINGS).values()) == pytest.approx(expected, rel=0.01)
    assert set(WORK) == set(CASES)


def test_the_table_says_what_was_met_missed_and_left_out() -> None:
    peer = {"name": "theirs", "ratio": spread([11.0, 12.0, 13.0]), "gpu_peak_mib": 900.0}
    value = {
        "quick": False,
        "ceilings": CEILINGS,
        "cases": {
            "train-resnet20": {
                "title": "small",
                "ours": {"name": "mine", "rate": spread([1e5]), "gpu_peak_mib": 800.0},
                "groups": {"as found": {**peer, "target": 10.0}, "tuned": {**peer, "target": 20.0}},
                "trials": {"mine": 1e5},
                "failed": {"another": "no compiler"},
            },
            "train-resnet50": {"title": "large", "skipped": "the time was up"},
        },
    }
    text = table(value)
    assert "| small | 100,000 (mine) | **12.00** (11.00 to 13.00); 10: met |" in text
    assert "20: missed | 800 / 900 |" in text
    assert "| large | not measured: the time was up |" in text
    assert "| 7.0% |" in text  # of 1.43 million
    assert "another: left out: no compiler" in text


def test_the_plain_resnet50_is_ours() -> None:
    torch.manual_seed(0)
    mine = create_model("resnet50_v15", num_classes=10).eval()
    theirs = ResNet50(10).eval()
    theirs.load_state_dict(to_layout(mine, LAYOUTS["torchvision"]))
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(mine(x), theirs(x), atol=1e-5, rtol=1e-4)
