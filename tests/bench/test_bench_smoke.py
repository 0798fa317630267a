"""Every kind of case, tiny, with the peers that are installed: it runs and says something."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CASES = ["train-resnet20", "train-resnet18", "load-cold", "load", "infer-resnet50-1", "start-list"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("torchvision") is None, reason="needs torchvision: make test-all installs it"
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_a_tiny_measurement(case: str, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "bench", case, "--quick", "--threads", "1"]
    argv += ["--without", "compiled", "--out", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    value = json.loads((tmp_path / "results.json").read_text())
    assert value["quick"] is True
    assert all(number > 0 for number in value["ceilings"].values())
    found = value["cases"][case]
    for peer in found["groups"].values():
        assert peer["ratio"]["median"] > 0, peer
    assert case in done.stderr
    assert found["title"] in (tmp_path / "table.md").read_text()
    assert "<svg" in (tmp_path / "chart.svg").read_text()
