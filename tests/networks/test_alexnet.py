"""AlexNet: the integers, the paper's equations in functions alone, the form for small images."""

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

NAMES = ("alexnet", "alexnet_owt")


def spec_of(name="alexnet", **changes):
    return networks.replace(networks.entry(name).spec, **changes)


def with_convolutions(spec, change):
    """Change each convolution by (number, convolution) -> convolution."""
    return networks.replace(
        spec, convolutions=tuple(change(n, c) for n, c in enumerate(spec.convolutions, 1))
    )


def narrow(name="alexnet", **changes):
    """A sixteenth of the width, so that a test takes no time."""
    spec = spec_of(name, **{"fc_widths": (24, 20), "num_classes": 10, **changes})
    return with_convolutions(
        spec, lambda _n, c: dataclasses.replace(c, width=2 * (c.width // 32) + 2)
    )


def unpadded(number, convolution):
    return dataclasses.replace(convolution, padding=0) if number == 1 else convolution


def ungrouped(_number, convolution):
    return dataclasses.replace(convolution, groups=1)


@pytest.mark.parametrize(
    ("spec", "params", "macs"),
    [
        (spec_of(), 60_965_224, 724_406_816),
        (with_convolutions(spec_of(img_size=227), unpadded), 60_965_224, 724_406_816),
        (with_convolutions(spec_of(), ungrouped), 62_378_344, 1_135_256_096),
        (spec_of("alexnet_owt"), 61_100_840, 714_188_480),
    ],
)
def test_integers(spec, params, macs):
    cost = measure(spec)
    assert (cost.params, cost.macs) == (params, macs)


def test_layers_of_the_paper():
    layers = measure(spec_of()).layers
    assert [layer.params for layer in layers if layer.params] == [
        34_944, 307_456, 885_120, 663_936, 442_624, 37_752_832, 16_781_312, 4_097_000,
    ]  # fmt: skip
    sides = [layer.output_shape[-1] for layer in layers if len(layer.output_shape) == 3]
    assert sides == [55, 27, 27, 13, 13, 13, 13, 6]


def lrn(x):
    """The paper's formula, section 3.3."""
    total = torch.zeros_like(x)
    for i in range(x.shape[1]):
        total[:, i] = (x[:, max(0, i - 2) : i + 3] ** 2).sum(1)
    return x / (2 + 1e-4 * total) ** 0.75


def convolved(x, state, name, *, halves=1, stride=1, padding=1):
    """relu(W x + b), where each half of the filters sees its half of the channels."""
    weights, biases = state[f"{name}.weight"].chunk(halves), state[f"{name}.bias"].chunk(halves)
    parts = [
        F.conv2d(part, weight, bias, stride, padding)
        for part, weight, bias in zip(x.chunk(halves, 1), weights, biases, strict=True)
    ]
    return F.relu(torch.cat(parts, 1))


def reference(x, state):
    """The network of 2012 in evaluation, of functions alone."""
    x = lrn(convolved(x, state, "stem.conv1", stride=4, padding=2))
    x = F.max_pool2d(x, 3, 2)
    x = lrn(convolved(x, state, "stages.stage1.conv2", halves=2, padding=2))
    x = F.max_pool2d(x, 3, 2)
    x = convolved(x, state, "stages.stage2.conv3")
    x = convolved(x, state, "stages.stage2.conv4", halves=2)
    x = convolved(x, state, "stages.stage2.conv5", halves=2)
    x = F.max_pool2d(x, 3, 2).flatten(1)
    for name in ("fc6", "fc7"):
        x = F.linear(x, state[f"head.features.{name}.weight"], state[f"head.features.{name}.bias"])
        x = F.relu(x)
    return F.linear(x, state["head.classifier.weight"], state["head.classifier.bias"])


@pytest.mark.parametrize("initialisation", ["gaussian", "he"])
def test_it_computes_the_papers_network(initialisation):
    torch.manual_seed(0)
    network = build(narrow(initialisation=initialisation)).eval()
    x = 20 * torch.randn(2, 3, 224, 224)
    torch.testing.assert_close(network(x), reference(x, network.state_dict()))


def test_weights_begin_as_in_the_paper():
    torch.manual_seed(0)
    network = build(spec_of(fc_widths=(64, 64)))
    ones = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            assert float(module.weight.detach().std()) == pytest.approx(0.01, rel=0.05), name
            assert abs(float(module.weight.detach().mean())) < 0.001, name
            assert module.bias.unique().tolist() in ([0.0], [1.0])
            if module.bias[0] == 1:
                ones.append(name.rpartition(".")[2])
    assert ones == ["conv2", "conv4", "conv5", "fc6", "fc7"]


def test_the_owt_weights_begin_as_he():
    network = build(narrow("alexnet_owt"))
    weight = network.stages.stage1.conv2.weight
    fan_in = weight[0].numel()
    assert float(weight.detach().std()) == pytest.approx((2 / fan_in) ** 0.5, rel=0.1)
    assert not network.stages.stage1.conv2.bias.any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(63, 63), (64, 99), (250, 227)])
def test_other_sizes(name, size):
    with torch.device("meta"):
        network = build(narrow(name))
        assert network(torch.empty(2, 3, *size)).shape == (2, 10)


@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_the_least_size_is_honest(stem):
    with torch.device("meta"):
        network = build(narrow().with_stem(stem))
        least = network.min_size
        assert least == {"imagenet": 63, "small": 15}[stem]
        network(torch.empty(1, 3, least, least + 1))
        with pytest.raises(RuntimeError):
            network.head(network.stages(network.stem(torch.empty(1, 3, least - 1, least))))


def test_feature_maps():
    maps = FeatureMaps(build(narrow()).eval())
    found = maps(torch.randn(1, 3, 224, 224))
    assert [m.shape[-1] for m in found] == [55, 27, 13]
    assert maps.feature_info.reduction() == [4, 8, 16]
    assert [m.shape[1] for m in found] == maps.feature_info.channels()


def test_dropout_is_before_the_second_hidden_layer_and_the_classifier():
    network = build(narrow(dropout=0.3))
    features = [type(module).__name__ for module in network.head.features]
    assert features == [
        "MaxPool2d", "AdaptiveAvgPool2d", "Flatten", "Linear", "ReLU", "Dropout", "Linear", "ReLU",
    ]  # fmt: skip
    drops = [module.p for module in network.modules() if isinstance(module, nn.Dropout)]
    assert drops == [0.3, 0.3]
    network.reset_classifier(3, dropout=0.1)
    again = build(network.spec)
    for one in (network, again):
        assert [m.p for m in one.modules() if isinstance(m, nn.Dropout)] == [0.1, 0.1]
    assert networks.entry("alexnet").spec.dropout == 0.5


def test_a_new_classifier_begins_small():
    network = build(narrow(fc_widths=(24, 2000)))
    network.reset_classifier(100)
    assert float(network.head.classifier.weight.detach().std()) == pytest.approx(0.01, rel=0.05)


def digits():
    """Real images of 32 pixels: each pixel of the 8x8 digits four times over."""
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:16, None]
    images = (images - images.mean()) / images.std()
    return images.repeat_interleave(4, 2).repeat_interleave(4, 3), torch.tensor(data.target[:16])


@pytest.mark.parametrize("name", NAMES)
def test_the_small_form_learns_digits(name):
    torch.manual_seed(0)
    spec = narrow(name, in_chans=1, img_size=32, dropout=0.0).with_stem("small")
    network = build(networks.replace(spec, fc_widths=(64, 64)))
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    images, labels = digits()
    losses = []
    for _ in range(25):
        loss = F.cross_entropy(network(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 1 < 2 < losses[0] < 2.7


def test_the_small_form():
    spec = spec_of(img_size=32).with_stem("small")
    sides = [m.shape[-1] for m in FeatureMaps(build(spec))(torch.randn(1, 3, 32, 32))]
    assert sides == [32, 15, 7]
    assert spec.fc_grid == 3  # the map that the last pool leaves
    assert spec.with_stem("imagenet") == spec_of(img_size=32)


@pytest.mark.parametrize("name", NAMES)
def test_spec_goes_through_json(name):
    for spec in (spec_of(name), spec_of(name).with_stem("small")):
        assert networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) == spec


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"convolutions": (ConvolutionSpec(width=4),)}, "needs five convolutions, received 1"),
        ({"fc_widths": ()}, "fc_widths must be 1 or more each"),
        ({"fc_grid": 0}, "fc_grid must be 1 or more, received 0"),
        ({"initialisation": "hee"}, "unknown initialisation 'hee'.*did you mean 'he'"),
    ],
)
def test_what_cannot_be(changes, message):
    with pytest.raises(UsageError, match=message):
        spec_of(**changes)


def test_an_unknown_stem():
    with pytest.raises(UsageError, match="unknown stem 'tiny'"):
        spec_of().with_stem("tiny")
