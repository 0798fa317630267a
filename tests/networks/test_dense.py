"""Fully convolutional forms: the same function at home, the mean over all places elsewhere."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from reslab import artifact, networks
from reslab.artifact import Artifact
from reslab.data.dataset import Dataset, FileImages
from reslab.data.preprocess import Preprocess
from reslab.errors import UsageError
from reslab.evaluate.views import Setup, evaluate_model
from reslab.networks.network import build
from reslab.networks.surgery.dense import dense_at, fully_convolutional
from tolerance import assert_same, rounding_of

NAMES = ("alexnet", "alexnet_owt", "zfnet", "vgg11", "vgg16_bn", "vgg16_residual_b")
SMALL = "vgg11_bn"


def narrow(name, **changes):
    """The network with few channels; weights and statistics as if it had been trained."""
    spec = networks.replace(networks.entry(name).spec, fc_widths=(24, 20), num_classes=7)
    if name.startswith("vgg"):
        stages = (dataclasses.replace(s, width=s.width // 16) for s in spec.stages)
        return networks.replace(spec, stages=tuple(stages), **changes)
    convolutions = (dataclasses.replace(c, width=2 * (c.width // 32)) for c in spec.convolutions)
    return networks.replace(spec, convolutions=tuple(convolutions), **changes)


def trained(spec):
    torch.manual_seed(3)
    network = build(spec)
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.is_floating_point():
                weight = value.dim() > 1
                drawn = torch.randn_like(value) if weight else torch.rand_like(value)
                value.copy_((2 / value[0].numel()) ** 0.5 * drawn if weight else 0.5 * drawn)
    return network.eval()


def mean_over_places(network, x):
    """Cut every window that the fully-connected layers fit out of the map, one by one."""
    features, grid = network.head.features, network.spec.fc_grid
    maps = features.pool(network.forward_features(x))
    height, width = maps.shape[2] - grid + 1, maps.shape[3] - grid + 1
    logits = []
    for i in range(height):
        for j in range(width):
            vector = maps[:, :, i : i + grid, j : j + grid].flatten(1)
            vector = features.fc7(features.fc6(vector).relu()).relu()
            logits.append(network.head.classifier(vector))
    return torch.stack(logits).mean(0), torch.stack(logits, -1).unflatten(-1, (height, width))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_logits_at_the_own_size(name):
    network = trained(narrow(name))
    dense = fully_convolutional(network)
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected, found = network(x), dense(x)
    assert float(expected.std()) > 1e-3
    assert_same(network, found, expected)


@pytest.mark.parametrize("name", NAMES)
def test_elsewhere_the_mean_over_all_places(name):
    network = trained(narrow(name))
    dense = fully_convolutional(network)
    x = torch.randn(1, 3, 260, 300)
    mean, places = mean_over_places(network, x)
    assert places.shape[2] < places.shape[3]
    assert_same(dense, dense(x), mean)


@pytest.mark.parametrize("name", NAMES)
def test_the_least_size_is_honest(name):
    with torch.device("meta"):
        dense = fully_convolutional(build(narrow(name)))
        assert dense.min_size == {"alexnet": 223, "zfnet": 207}.get(name.split("_")[0], 224)
        least = dense.min_size
        assert dense(torch.empty(1, 3, least, least + 1)).shape == (1, 7)
        with pytest.raises(RuntimeError):
            dense.head(dense.stages(dense.stem(torch.empty(1, 3, least - 1, least))))


def test_tensors_are_shared_and_the_network_stays_as_it_was():
    network = trained(narrow(SMALL))
    network.freeze(1)
    before = dict(network.named_modules())
    dense = fully_convolutional(network)
    for one, other in zip(network.parameters(), dense.parameters(), strict=True):
        assert one.data_ptr() == other.data_ptr()
        assert one.requires_grad == other.requires_grad
    for one, other in zip(network.buffers(), dense.buffers(), strict=True):
        assert one.data_ptr() == other.data_ptr()
    assert dict(network.named_modules()) == before
    assert not network.spec.fully_convolutional
    dense.train()
    assert dense.training
    assert not network.training
    assert fully_convolutional(dense) is dense


def test_a_dense_network_is_one_like_others(tmp_path):
    dense = fully_convolutional(trained(narrow(SMALL)))
    assert networks.from_json(json.loads(json.dumps(networks.to_json(dense.spec)))) == dense.spec
    saved = Artifact(dense, tuple("abcdefg"), Preprocess(img_size=224, resize_size=224))
    artifact.save(saved, tmp_path / "model")
    again = artifact.load(tmp_path / "model").network
    x = torch.randn(1, 3, 240, 250)
    assert torch.equal(again(x), dense(x))
    again.reset_classifier(3)
    assert again(x).shape == (1, 3)
    again.reset_classifier(0)
    assert again(x).shape == (1, 20)


def test_networks_that_average_their_map_are_so_already():
    network = build(networks.replace(networks.entry("resnet20").spec, num_classes=4)).eval()
    assert fully_convolutional(network) is network
    assert dense_at(network, 32) is network


def test_other_heads_are_refused():
    network = build(networks.entry("resnet20").spec)
    network.head.features = nn.Sequential(nn.AvgPool2d(8), nn.Flatten())
    with pytest.raises(UsageError, match="resnet20 has no fully convolutional form"):
        fully_convolutional(network)


def test_an_image_size_where_no_place_fits_is_refused():
    with pytest.raises(UsageError, match="at least 224x224 pixels, received 64x64"):
        fully_convolutional(build(narrow(SMALL, img_size=64)))


@pytest.mark.parametrize(
    ("img_size", "is_dense"), [(64, False), (224, True), (230, True), (256, False), (300, False)]
)
def test_dense_only_where_it_is_the_same_function(img_size, is_dense):
    with torch.device("meta"):
        network = build(narrow(SMALL, img_size=img_size))
        found = dense_at(network, img_size)
    assert (found is not network) == is_dense
    assert found.spec == networks.replace(network.spec, fully_convolutional=is_dense)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    draw = np.random.default_rng(6)
    for i in range(3):
        pixels = draw.integers(0, 256, (40, 50, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    images = FileImages(tmp_path, tuple(f"{i}.png" for i in range(3)))
    return Dataset("drawn", tuple("abcdefg"), images, np.arange(3), {})


def test_several_scales_let_the_classifier_slide(dataset):
    network = trained(narrow(SMALL, img_size=32).with_stem("small"))
    model = Artifact(network, tuple("abcdefg"), Preprocess(img_size=32, resize_size=32))
    samples = np.arange(3)

    def measured(*scales):
        setup = Setup(views="multi-scale", scales=scales)
        return evaluate_model(model, dataset, dataset.labels, samples, setup).probabilities()

    at_home = evaluate_model(model, dataset, dataset.labels, samples, Setup())
    bound = rounding_of(network, float(np.abs(at_home.logits).max()))
    np.testing.assert_allclose(measured(32), at_home.probabilities(), rtol=0, atol=bound)
    dense = dataclasses.replace(model, network=fully_convolutional(network))
    expected = []
    for size in (32, 71):
        at = dataclasses.replace(dense, preprocess=Preprocess(img_size=size, resize_size=size))
        expected.append(evaluate_model(at, dataset, dataset.labels, samples, Setup()))
    mean = np.mean([e.probabilities() for e in expected], axis=0)
    np.testing.assert_allclose(measured(32, 71), mean, rtol=0, atol=bound)
    averaging = dataclasses.replace(model, preprocess=Preprocess(img_size=71, resize_size=71))
    other = evaluate_model(averaging, dataset, dataset.labels, samples, Setup()).probabilities()
    assert np.abs(other - expected[1].probabilities()).max() > 1e-3
    with pytest.raises(UsageError, match="needs a side of 32 pixels or more, received 31"):
        measured(31)
