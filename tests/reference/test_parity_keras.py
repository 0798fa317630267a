"""The tutorial's network in Keras and here: the same logits, from each kind of Keras file."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import keras_tutorial_model
import numpy as np
import pytest
import torch
from peers import compared, peer

from reslab.networks.keras_tutorial import KerasTutorialSpec
from reslab.networks.network import build
from reslab.weights import LAYOUTS, Request, convert, import_file, read

pytestmark = [
    pytest.mark.slow,
    # Of Keras' own conversion of its variables.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]
PRINTED = {
    "keras_preact_9_9_9": (64, (9, 9, 9), (64, 64, 128, 256), "tiny_imagenet"),
    "keras_preact_3_4_6": (64, (3, 4, 6), (64, 128, 256, 512), "tiny_imagenet"),
    "keras_preact_9_9_9_cifar": (32, (9, 9, 9), (64, 64, 128, 256), "cifar"),
    "keras_preact_3_4_6_cifar": (32, (3, 4, 6), (64, 128, 256, 512), "cifar"),
}


@pytest.fixture(scope="module")
def keras() -> ModuleType:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    peer("h5py")
    return peer("keras")


def shaken(model: Any) -> Any:
    """Draw every variable anew, so that none can be mistaken for another."""
    draw = np.random.default_rng(0)
    for variable in model.weights:
        shape = tuple(variable.shape)
        if "variance" in variable.name or "gamma" in variable.name:
            value = draw.uniform(0.5, 1.5, shape)
        elif "kernel" in variable.name:
            value = draw.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape)
        else:
            value = draw.normal(0, 0.2, shape)
        variable.assign(value.astype(np.float32))
    return model


def logits_of(keras: ModuleType, model: Any, images: np.ndarray) -> np.ndarray:
    before_softmax = keras.Model(model.inputs, model.layers[-2].output)
    return np.asarray(before_softmax.predict(images, verbose=0))


def assert_same(keras: ModuleType, model: Any, network: torch.nn.Module, side: int) -> None:
    images = np.random.default_rng(1).random((2, side, side, 3), np.float32)
    expected = logits_of(keras, model, images)
    with torch.no_grad():
        found = network(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
    largest = np.abs(expected).max()
    assert np.abs(expected[0] - expected[1]).max() > 1e-3 * largest
    assert np.abs(expected - found).max() <= 1e-5 * largest


@pytest.mark.parametrize("name", PRINTED)
def test_the_printed_networks(keras, tmp_path, name):
    side, stages, filters, dataset = PRINTED[name]
    model = shaken(keras_tutorial_model.build(keras, side, 10, stages, filters, dataset=dataset))
    model.save_weights(tmp_path / "m.weights.h5")
    found = convert(read(tmp_path / "m.weights.h5"))
    assert (found.network.spec.name, found.layout.name) == (name, "keras")
    assert found.unplaced == found.missing == ()
    assert_same(keras, model, found.network, side)
    compared("keras", name)


@pytest.mark.parametrize("file", ["m.weights.h5", "m.keras", "m.h5"])
def test_every_kind_of_file(keras, tmp_path, file):
    side, stages, filters, dataset = PRINTED["keras_preact_3_4_6_cifar"]
    for _ in range(2):  # the second model of a session has other names
        model = shaken(keras_tutorial_model.build(keras, side, 7, stages, filters, dataset=dataset))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras' about its own older format
        save = model.save_weights if "weights" in file else model.save
        save(tmp_path / file)
    imported = import_file(Request(file=tmp_path / file))
    network = imported.artifact.network
    assert network.spec.name == "keras_preact_3_4_6_cifar"
    assert imported.artifact.classes == tuple("0123456")
    assert_same(keras, model, network, side)


def test_odd_sides_and_several_windows(keras, tmp_path):
    """'same' padding at stride 2 is another one for odd sides; 23 positions have 2x2 windows."""
    shape = {"stages": (1, 2), "filters": (8, 16, 32)}
    model = shaken(keras_tutorial_model.build(keras, 45, 3, **shape, dataset="cifar"))
    model.save_weights(tmp_path / "m.weights.h5")
    spec = KerasTutorialSpec(
        name="odd", num_classes=3, img_size=45, stem="small", windows=2, **shape
    )
    network = build(spec).eval()
    tensors = LAYOUTS["keras"].to_ours(network, read(tmp_path / "m.weights.h5").tensors)
    missing, unexpected = network.load_state_dict(tensors, strict=False)
    assert not unexpected
    assert all(key.endswith("num_batches_tracked") for key in missing)
    assert_same(keras, model, network, 45)


def test_a_damaged_file(tmp_path):
    peer("h5py")
    from reslab.errors import CheckpointError

    file: Path = tmp_path / "m.weights.h5"
    file.write_bytes(b"\x89HDF\r\n\x1a\n" + b"x" * 100)
    with pytest.raises(CheckpointError, match="not a readable Keras file"):
        read(file)
