import dataclasses

import numpy as np
import pytest
import torch

from reslab import artifact
from reslab.analyze.responses import layer_responses
from reslab.analyze.sample import open_sample
from reslab.artifact import Artifact
from reslab.data.open import open_dataset
from reslab.data.preprocess import Preprocess
from reslab.data.split import complete_splits, splits_to_json
from reslab.durable import write_file
from reslab.errors import DataError, UsageError
from reslab.models import named_spec
from reslab.networks.network import build
from reslab.predict.predictor import Predictor


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run directory as training leaves it, of an untrained network on digits."""
    import json

    path = tmp_path_factory.mktemp("sample") / "run"
    dataset = complete_splits(open_dataset("digits"), val_fraction=0.1, test_fraction=0.2, seed=3)
    spec = named_spec("resnet20", num_classes=10, in_chans=1, img_size=8)
    preprocess = Preprocess(img_size=8, resize_size=8, in_chans=1, mean=(0.3,), std=(0.4,))
    model = Artifact(
        network=build(spec).eval(),
        classes=dataset.classes[::-1],  # the model's own order counts
        preprocess=preprocess,
        provenance={"data": "digits", "dataset": {"fingerprint": dataset.fingerprint()}},
    )
    artifact.save(model, path / "model")
    write_file(path / "split.json", json.dumps(splits_to_json(dataset)).encode())
    return path, dataset


def test_a_sample_is_of_the_runs_own_test_split_as_the_model_sees_it(run):
    path, dataset = run
    model = artifact.load(path)
    sample = open_sample(model, path)
    assert (sample.data, sample.split) == ("digits", "test")
    assert np.array_equal(sample.numbers, dataset.split("test"))
    assert torch.equal(sample.labels, torch.from_numpy(9 - dataset.labels[sample.numbers]))
    pictures = [dataset.images.read(int(number)) for number in sample.numbers[:3]]
    network = model.network
    with torch.no_grad():
        logits = network(sample.images[:3])
    for picture, row in zip(Predictor(model).predict(pictures), logits.softmax(1), strict=True):
        assert picture.top[0][1] == pytest.approx(row.max().item(), rel=1e-4)


def test_a_smaller_sample_is_drawn_by_its_seed(run):
    path, dataset = run
    model = artifact.load(path)
    first = open_sample(model, path, split="train", count=50, seed=1)
    again = open_sample(model, path, split="train", count=50, seed=1)
    other = open_sample(model, path, split="train", count=50, seed=2)
    assert len(first) == 50
    assert set(first.numbers.tolist()) <= set(dataset.split("train").tolist())
    assert list(first.numbers) == sorted(set(first.numbers.tolist()))
    assert torch.equal(first.images, again.images)
    assert not np.array_equal(first.numbers, other.numbers)
    assert len(layer_responses(model.network, first.images).layers) == 19


def test_what_a_model_cannot_be_shown_is_refused(run):
    path, _ = run
    model = artifact.load(path)
    with pytest.raises(UsageError, match="what it was trained on"):
        open_sample(dataclasses.replace(model, provenance={}), path)
    with pytest.raises(DataError, match="never heard of class"):
        open_sample(dataclasses.replace(model, classes=("a", "b")), path)
