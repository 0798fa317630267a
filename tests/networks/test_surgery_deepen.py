"""A deeper network computes the trained shallower one's function, and can leave it again."""

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

from families import slow_unless
from reslab import networks
from reslab.errors import UsageError
from reslab.networks.network import Network, build
from reslab.networks.resnet import StageSpec
from reslab.networks.surgery import deepen, deeper_names, deeper_spec
from reslab.networks.surgery.deeper import spread
from tolerance import rounding

PAIRS = [
    ("plain20", "plain56"),
    ("resnet20", "resnet56"),
    ("resnet20_b", "resnet32_b"),
    pytest.param("resnet20_conv_shortcut", "resnet110_conv_shortcut", marks=pytest.mark.slow),
    pytest.param("resnet20_bn_after_add", "resnet110_bn_after_add", marks=pytest.mark.slow),
    pytest.param("resnet20_relu_preact", "resnet110_relu_preact", marks=pytest.mark.slow),
    ("preact_resnet20", "preact_resnet56"),
]
IMAGENET = [
    ("plain18", "plain34"),
    ("resnet18", "resnet34"),
    ("resnet50", "resnet101"),
    ("preact_resnet18", "preact_resnet34"),
    ("preact_resnet50", "preact_resnet101"),
]


def used(spec: networks.NetworkSpec, seed: int = 0) -> Network:
    """Return a network whose scales, shifts and running statistics are not those of a new one."""
    torch.manual_seed(seed)
    network = build(spec)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    with torch.no_grad():
        for _ in range(30):
            network(torch.randn(16, spec.in_chans, spec.img_size, spec.img_size))
    return network


def small(name: str) -> networks.NetworkSpec:
    return networks.replace(networks.entry(name).spec, num_classes=10, img_size=16)


def largest_difference(one: Network, other: Network, x: torch.Tensor) -> float:
    with torch.no_grad():
        before, after = one.eval()(x), other.eval()(x)
    assert before.std() > 0.01, "a constant network proves nothing"
    return ((after - before).abs().max() / before.abs().max()).item()


def rounding_of_new_layers(network: Network, deeper: Network) -> float:
    """A new convolution hands one value on; its norm scales and shifts it: four roundings."""
    before, after = (
        sum(isinstance(m, nn.Conv2d) for m in one.modules()) for one in (network, deeper)
    )
    return rounding(torch.float32, 4 * (after - before))


@pytest.mark.parametrize(("shallow", "deep"), PAIRS)
def test_the_same_logits(shallow, deep):
    network = used(small(shallow))
    deeper = deepen(network, deep)
    assert deeper.spec == networks.replace(small(deep), name=deep)
    assert len(list(deeper.parameters())) > len(list(network.parameters()))
    difference = largest_difference(network, deeper, torch.randn(8, 3, 16, 16))
    assert difference <= rounding_of_new_layers(network, deeper)


@pytest.mark.slow
@pytest.mark.parametrize(("shallow", "deep"), IMAGENET)
def test_the_same_logits_of_imagenet_networks(shallow, deep):
    network = used(networks.replace(small(shallow), img_size=64))
    deeper = deepen(network, deep)
    difference = largest_difference(network, deeper, torch.randn(4, 3, 64, 64))
    assert difference <= rounding_of_new_layers(network, deeper)


def test_a_small_imagenet_network_with_bottlenecks():
    spec = networks.replace(
        small("resnet50"), stages=(StageSpec(width=4, depth=2, stride=1),), img_size=32
    )
    deep = networks.replace(spec, name="mine", stages=(StageSpec(width=4, depth=5, stride=1),))
    network = used(spec)
    deeper = deepen(network, deep)
    assert deeper.spec == deep
    assert largest_difference(network, deeper, torch.randn(4, 3, 32, 32)) == 0


@pytest.mark.parametrize("name", ["resnet20", "preact_resnet20"])
def test_residual_networks_are_the_same_in_training_mode_too(name):
    network = used(small(name))
    deeper = deepen(network, name.replace("20", "32"))
    assert deeper.training
    x = torch.randn(8, 3, 16, 16)
    assert torch.equal(network(x), deeper(x))


def test_plain_networks_are_close_in_training_mode_closer_with_images():
    network = used(small("plain20"))
    x = torch.randn(64, 3, 16, 16)
    expected = network(x)
    free = (deepen(network, "plain56")(x) - expected).abs().mean()
    measured = (deepen(network, "plain56", torch.randn(256, 3, 16, 16))(x) - expected).abs().mean()
    scale = expected.std()
    assert measured < free / 2
    assert measured < 0.05 * scale
    assert free < 0.3 * scale


def test_old_blocks_are_spread_and_unchanged():
    assert spread(3, 9) == [0, 3, 6]
    assert spread(2, 3) == [0, 1]
    assert spread(3, 4) == [0, 1, 2]
    assert spread(6, 6) == [0, 1, 2, 3, 4, 5]
    network = used(small("resnet20"))
    deeper = deepen(network, "resnet56")
    for stage in ("stage1", "stage2", "stage3"):
        for old, new in ((1, 1), (2, 4), (3, 7)):
            before = network.get_submodule(f"stages.{stage}.block{old}").state_dict()
            after = deeper.get_submodule(f"stages.{stage}.block{new}").state_dict()
            assert before.keys() == after.keys()
            assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(deeper.head.classifier.weight, network.head.classifier.weight)


def test_the_trained_network_stays_as_it_is():
    network = used(small("plain20"))
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    deepen(network, "plain32", torch.randn(8, 3, 16, 16)).head.classifier.weight.data.zero_()
    assert network.training
    assert network.spec.name == "plain20"
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())
    assert not deepen(network.eval(), "plain32").training


@pytest.mark.parametrize("name", ["preact_resnet", *slow_unless((), ["plain", "resnet"])])
def test_new_blocks_learn(name):
    """Train on digits, deepen, train on: the loss falls below where it was, new weights move."""
    digits = load_digits()
    x = torch.tensor(digits.images[:512], dtype=torch.float32)[:, None] / 8 - 1
    y = torch.tensor(digits.target[:512])
    spec = networks.replace(
        networks.entry(f"{name}20").spec, num_classes=10, in_chans=1, img_size=8
    )
    torch.manual_seed(0)
    network = build(spec)
    train(network, x, y, steps=12)
    deeper = deepen(network, f"{name}32", x[:256])
    assert largest_difference(network, deeper, x) <= rounding_of_new_layers(network, deeper)
    before = F.cross_entropy(network.train()(x), y)
    new = deeper.stages.stage3.block2
    kept = {key: value.clone() for key, value in new.named_parameters()}
    train(deeper, x, y, steps=12)
    assert F.cross_entropy(deeper.train()(x), y) < 0.8 * before
    assert not [key for key, value in new.named_parameters() if torch.equal(value, kept[key])]


def train(network: Network, x: torch.Tensor, y: torch.Tensor, steps: int) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.03, momentum=0.9, nesterov=True)
    generator = torch.Generator().manual_seed(0)
    network.train()
    for _ in range(steps):
        batch = torch.randint(0, len(x), (64,), generator=generator)
        optimizer.zero_grad()
        F.cross_entropy(network(x[batch]), y[batch]).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5)
        optimizer.step()


def test_dead_channels_stay_dead():
    network = used(small("plain20"))
    nn.init.zeros_(network.stages.stage1.block3.branch.norm2.weight)
    nn.init.constant_(network.stages.stage1.block3.branch.norm2.bias, -1)
    deeper = deepen(network, "plain32", torch.randn(16, 3, 16, 16))
    difference = largest_difference(network, deeper, torch.randn(4, 3, 16, 16))
    assert difference <= rounding_of_new_layers(network, deeper)
    assert torch.isfinite(deeper.train()(torch.randn(4, 3, 16, 16))).all()


def test_frozen_parts_do_not_stay_frozen():
    network = used(small("plain20"))
    network.freeze(2)
    deeper = deepen(network, "plain32", torch.randn(8, 3, 16, 16))
    assert all(parameter.requires_grad for parameter in deeper.parameters())
    assert not network.stem.training


def test_a_name_takes_over_what_the_trained_network_has():
    spec = networks.replace(
        networks.entry("resnet18").spec.with_stem("small"),
        num_classes=7,
        in_chans=1,
        img_size=48,
        dropout=0.2,
    )
    deeper = deeper_spec(spec, "resnet34")
    assert deeper == networks.replace(
        networks.entry("resnet34").spec.with_stem("small"),
        num_classes=7,
        in_chans=1,
        img_size=48,
        dropout=0.2,
    )


def test_the_deeper_forms_are_named():
    names = deeper_names(networks.entry("resnet56").spec)
    assert names == ["resnet110", "resnet1202"]
    assert deeper_names(networks.entry("preact_resnet18").spec) == ["preact_resnet34"]
    assert not deeper_names(networks.entry("resnet20_halved").spec)


@pytest.mark.parametrize(
    ("shallow", "deep", "words"),
    [
        ("resnet56", "resnet20", r"has \[3, 3, 3\] blocks in its stages.*resnet110"),
        ("resnet56", "resnet56", r"the trained network \[9, 9, 9\]"),
        ("resnet20", "resnet56_b", "has shortcut 'B', the trained network 'A'.*resnet56"),
        ("resnet20", "plain56", "has shortcut 'none'"),
        ("resnet20", "preact_resnet56", "another family"),
        ("resnet20", "resnet34_a", "has stem width 64"),
        ("resnet34", "resnet50", "has branch 'bottleneck'.*train the deeper one from scratch"),
        ("resnet20_halved", "resnet110_halved", "does not hand on the input"),
        ("resnet20_relu_before_add", "resnet110_relu_before_add", "would never learn"),
        ("googlenet", "resnet56", "no stages of equal plain or residual blocks"),
    ],
)
def test_what_cannot_be_deepened(shallow, deep, words):
    with torch.device("meta"), pytest.raises(UsageError, match=words):
        deepen(build(networks.entry(shallow).spec), deep)


def test_specifications_that_do_not_fit():
    spec = small("resnet20")
    wider = networks.replace(
        spec, stages=tuple(StageSpec(width=32, depth=4, stride=1) for _ in "abc")
    )
    with pytest.raises(UsageError, match="stage 1 has width 32, depth 4"):
        deeper_spec(spec, wider)
    with pytest.raises(UsageError, match="has 1 stages, the trained network 3"):
        deeper_spec(spec, networks.replace(spec, stages=spec.stages[:1]))
    with pytest.raises(UsageError, match="has num_classes 9, the trained network 10"):
        deeper_spec(spec, networks.replace(small("resnet56"), num_classes=9))
    bottleneck = networks.replace(small("resnet50"), shortcut="none")
    with pytest.raises(UsageError, match="too few channels"):
        deeper_spec(bottleneck, "resnet101")
    with pytest.raises(UsageError, match="did you mean 'resnet56'"):
        deeper_spec(spec, "resnet57")
