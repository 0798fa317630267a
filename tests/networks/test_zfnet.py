"""ZFNet: the integers, figure 3 in functions alone, the form for small images."""

import dataclasses
import json

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.alexnet import ConvolutionSpec
from reslab.networks.cost import measure
from reslab.networks.network import FeatureMaps, build

NAMES = ("zfnet", "zfnet_b")


def spec_of(name="zfnet", **changes):
    return networks.replace(networks.entry(name).spec, **changes)


def narrow(name="zfnet", **changes):
    spec = spec_of(name, fc_widths=(24, 20), num_classes=10, **changes)
    convolutions = (dataclasses.replace(c, width=c.width // 16) for c in spec.convolutions)
    return networks.replace(spec, convolutions=tuple(convolutions))


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [("zfnet", 62_357_608, 1_168_032_896), ("zfnet_b", 107_627_624, 2_476_704_896)],
)
def test_integers(name, params, macs):
    cost = measure(spec_of(name))
    assert (cost.params, cost.macs) == (params, macs)


def test_maps_of_figure_3():
    layers = measure(spec_of()).layers
    sides = [layer.output_shape[-1] for layer in layers if len(layer.output_shape) == 3]
    assert sides == [110, 55, 26, 13, 13, 13, 13, 6]


def normalised(x):
    total = torch.zeros_like(x)
    for i in range(x.shape[1]):
        total[:, i] = (x[:, max(0, i - 2) : i + 3] ** 2).sum(1)
    return x / (2 + 1e-4 * total) ** 0.75


def pooled(x):
    """3x3 maxima every two pixels; a border of nothing completes the last window."""
    missing = (x.shape[-1] - 3) % 2
    return F.max_pool2d(F.pad(x, (0, missing, 0, missing), value=float("-inf")), 3, 2)


def reference(x, state):
    def layer(x, name, stride, padding):
        return F.relu(F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride, padding))

    x = normalised(pooled(layer(x, "stem.conv1", 2, 1)))
    x = normalised(pooled(layer(x, "stages.stage1.conv2", 2, 0)))
    for name in ("conv3", "conv4", "conv5"):
        x = layer(x, f"stages.stage2.{name}", 1, 1)
    x = pooled(x).flatten(1)
    for name in ("fc6", "fc7"):
        x = F.linear(x, state[f"head.features.{name}.weight"], state[f"head.features.{name}.bias"])
        x = F.relu(x)
    return F.linear(x, state["head.classifier.weight"], state["head.classifier.bias"])


def test_it_computes_figure_3():
    torch.manual_seed(0)
    network = build(narrow()).eval()
    state = network.state_dict()
    with torch.no_grad():
        for value in state.values():  # larger than at the start, where logits are next to nothing
            value.copy_(0.1 * torch.randn_like(value))
    x = torch.randn(2, 3, 224, 224)
    expected = reference(x, state)
    assert float(expected.detach().std()) > 0.1
    torch.testing.assert_close(network(x), expected)


def test_weights_begin_as_in_the_paper():
    network = build(spec_of(fc_widths=(64, 64)))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert float(module.weight.detach().std()) == pytest.approx(0.01, rel=0.05)
            assert not module.bias.any()


@pytest.mark.parametrize("size", [(47, 47), (48, 99), (250, 225)])
def test_other_sizes(size):
    with torch.device("meta"):
        assert build(narrow())(torch.empty(2, 3, *size)).shape == (2, 10)


@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_the_least_size_is_honest(stem):
    with torch.device("meta"):
        network = build(narrow().with_stem(stem))
        least = network.min_size
        assert least == {"imagenet": 47, "small": 8}[stem]
        network(torch.empty(1, 3, least, least + 1))
        with pytest.raises(RuntimeError):
            network.head(network.stages(network.stem(torch.empty(1, 3, least - 1, least))))


def test_the_small_form():
    spec = spec_of(img_size=32).with_stem("small")
    sides = [m.shape[-1] for m in FeatureMaps(build(spec))(torch.randn(1, 3, 32, 32))]
    assert sides == [32, 16, 8]
    assert spec.fc_grid == 4
    assert spec.with_stem("imagenet") == spec_of(img_size=32)


@pytest.mark.parametrize("name", NAMES)
def test_the_small_form_learns_digits(name):
    torch.manual_seed(0)
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:16, None]
    images = (images - images.mean()) / images.std()
    images = images.repeat_interleave(4, 2).repeat_interleave(4, 3)
    labels = torch.tensor(data.target[:16])
    spec = narrow(name, in_chans=1, img_size=32, dropout=0.0).with_stem("small")
    network = build(networks.replace(spec, fc_widths=(64, 64)))
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 1 < 2 < losses[0] < 2.7


@pytest.mark.parametrize("name", NAMES)
def test_spec_goes_through_json(name):
    for spec in (spec_of(name), spec_of(name).with_stem("small")):
        assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


def test_what_cannot_be():
    with pytest.raises(UsageError, match="needs five convolutions, received 2"):
        spec_of(convolutions=(ConvolutionSpec(width=4),) * 2)
    with pytest.raises(UsageError, match="unknown stem 'tiny'"):
        spec_of().with_stem("tiny")
