import json
import os
import signal

import pytest
import torch

from reslab.artifact import load
from reslab.errors import StoppedError
from reslab.training import job
from reslab.training.config import Request
from reslab.training.observe import Silent

STEPS = {"steps": 6, "img_size": 8, "batch_size": 256, "precision": "fp32", "monitor": "none"}


class StopAt(Silent):
    """Asks the run to stop, as Ctrl-C or a queue would, after so many updates."""

    def __init__(self, step):
        self.at = step

    def step(self, event):
        if event.step == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def request(out, model="resnet20", **changes):
    return Request(
        data="digits",
        model=model,
        recipe="he2015-cifar",
        overrides=STEPS,
        device="cpu",
        out=out,
        **changes,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run the same thing unprobed, probed, and probed with an interruption."""
    folder = tmp_path_factory.mktemp("probe")
    unprobed = job.start(request(folder / "unprobed"))
    probed = job.start(request(folder / "probed", probe=2))
    with pytest.raises(StoppedError):
        job.start(request(folder / "resumed", probe=2), StopAt(3))
    with open(folder / "resumed" / "probe.jsonl", "a") as file:  # as a kill would leave it
        file.write(json.dumps({"step": 6, "of": "a step that is taken again"}) + '\n{"step": 7, ')
    resumed = job.resume(folder / "resumed")
    return {"unprobed": unprobed, "probed": probed, "resumed": resumed}


def lines(run):
    text = (run.run_dir / "probe.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def test_a_probed_run_ends_with_the_same_weights(runs):
    weights = [load(run.model).network.state_dict() for run in runs.values()]
    for other in weights[1:]:
        assert all(torch.equal(value, other[name]) for name, value in weights[0].items())
    rows = [(run.run_dir / "results.csv").read_bytes() for run in runs.values()]
    assert rows[0] == rows[1] == rows[2]
    assert not (runs["unprobed"].run_dir / "probe.jsonl").exists()


def test_a_resumed_probe_has_the_same_lines(runs):
    assert lines(runs["resumed"]) == lines(runs["probed"])


def test_lines_are_of_the_beginning_of_epochs_and_of_every_so_many_steps(runs):
    found = lines(runs["probed"])
    steps = [line["step"] for line in found]
    rows = (runs["probed"].run_dir / "results.csv").read_text().splitlines()[1:]
    ends = {int(row.split(",")[1]) for row in rows}
    assert steps == sorted({0, 2, 4, 6} | ends)
    first, last = found[0], found[-1]
    assert first["epoch"] == 0
    assert first["num_images"] == 128
    assert len(first["signal"]["layers"]) == 20
    assert len(first["residuals"]) == 9
    assert 0 <= first["dead"] <= first["channels"] == 16 + 6 * (16 + 32 + 64)
    assert last["signal"]["loss"] != first["signal"]["loss"]
    assert first["signal"]["statistics"] == "batch"


def test_a_plain_network_has_no_residuals(tmp_path):
    run = job.start(request(tmp_path / "run", "plain20", probe=0))
    found = lines(run)
    assert all(line["residuals"] is None for line in found)
    assert found[0]["step"] == 0
