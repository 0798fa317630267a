import json
import os
import signal

import numpy as np
import pytest
import torch

from reslab.analyze.probed import read_probe
from reslab.artifact import load
from reslab.data.loader import eval_batches
from reslab.data.open import open_dataset
from reslab.data.split import complete_splits
from reslab.data.stream import Stream
from reslab.errors import CheckpointError, StoppedError
from reslab.evaluate.protocol import with_recorded_splits
from reslab.training import job
from reslab.training.config import Request
from reslab.training.observe import Silent

STEPS = {"steps": 6, "img_size": 8, "batch_size": 32, "precision": "fp32", "monitor": "none"}


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
    return read_probe(run.run_dir)


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
    rows = (runs["probed"].run_dir / "results.csv").read_text().splitlines()[1:]
    ends = {int(row.split(",")[1]) for row in rows}
    assert [line.step for line in found] == sorted({0, 2, 4, 6} | ends)
    first, last = found[0], found[-1]
    assert first.epoch == 0
    assert (first.signal.num_images, first.signal.statistics) == (128, "batch")
    assert (len(first.signal.layers), len(first.residuals)) == (20, 9)
    assert 0 <= first.dead <= first.channels == 16 + 6 * (16 + 32 + 64)
    assert last.signal.loss != first.signal.loss


def test_what_is_measured_is_the_trained_network(runs):
    """Batch statistics, float32 and no random views: the model gives the same figures."""
    probed = runs["probed"]
    last, model = lines(probed)[-1], load(probed.model)
    dataset = complete_splits(open_dataset("digits"), val_fraction=0, test_fraction=0.2, seed=0)
    dataset = with_recorded_splits(dataset, probed.run_dir, model)
    train = dataset.split("train")
    chosen = train[np.linspace(0, len(train) - 1, 128).round().astype(np.int64)]
    bank = Stream(dataset.images, model.preprocess)
    ((images, _),) = eval_batches(bank, chosen, model.preprocess, 128)
    labels = torch.from_numpy(dataset.labels[chosen])
    network = model.network.train()
    loss = torch.nn.functional.cross_entropy(network(images), labels)
    loss.backward()
    assert last.signal.loss == pytest.approx(loss.item(), rel=1e-4)
    norms = [row.weight_gradient_norm for row in last.signal.layers]
    weights = [network.get_submodule(row.name).weight for row in last.signal.layers]
    assert norms == pytest.approx([w.grad.norm().item() for w in weights], rel=1e-3)


def test_a_plain_network_has_no_residuals(tmp_path):
    found = lines(job.start(request(tmp_path / "run", "plain20", probe=0)))
    assert all(line.residuals == () for line in found)
    assert found[0].step == 0


def test_a_run_without_a_probe_says_so(runs, tmp_path):
    with pytest.raises(CheckpointError, match=r"no probe\.jsonl"):
        read_probe(runs["unprobed"].run_dir)
    (tmp_path / "probe.jsonl").write_text('{"step": 0}\n')
    with pytest.raises(CheckpointError, match="damaged"):
        read_probe(tmp_path)
