"""Recognition, what does not fit, what is missing, and the way back."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from reslab import networks
from reslab.errors import CheckpointError, UsageError
from reslab.networks.network import Network, build
from reslab.weights import LAYOUTS, MisfitError, convert, to_layout
from reslab.weights.layout import Layout
from reslab.weights.read import Weights
from reslab.weights.recognise import _possible

SMALL = ("resnet18", "resnet20", "resnet20_b", "resnet50_v15", "squeezenet1_1")


def network(name: str, **changes: int) -> Network:
    torch.manual_seed(2)
    return build(networks.replace(networks.entry(name).spec, **changes)).eval()


def weights(tensors: dict[str, torch.Tensor], **config: Any) -> Weights:
    return Weights(Path("w.pth"), tensors, config=config)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_names_every_tensor_once(layout):
    """The names of every network that it has are one to one, and leave it possible."""
    candidates = [(LAYOUTS[layout], networks.entry(name).spec) for name in LAYOUTS[layout].networks]
    for name in LAYOUTS[layout].networks:
        with torch.device("meta"):
            made = build(networks.entry(name).spec)
        keys = LAYOUTS[layout].keys(made)
        theirs = {keys[key]: value for key, value in made.state_dict().items()}
        assert name in [spec.name for _, spec in _possible(candidates, theirs)]
        assert list(keys) == list(made.state_dict())
        assert len(set(keys.values())) == len(keys), name


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        pytest.param(layout, name, marks=pytest.mark.slow)
        if name == "resnet50_v15" and layout != "torchvision"
        else (layout, name)
        for layout in LAYOUTS
        for name in LAYOUTS[layout].networks
        if name in SMALL and LAYOUTS[layout].writable
    ],
)
def test_there_and_back_again(layout, name):
    before = network(name, num_classes=3, in_chans=1)
    found = convert(weights(to_layout(before, LAYOUTS[layout])), layout=layout)
    assert found.network.spec == before.spec
    for key, value in before.state_dict().items():
        assert torch.equal(found.network.state_dict()[key], value), key


def test_a_network_without_a_classifier():
    theirs = to_layout(network("resnet18", num_classes=0), LAYOUTS["torchvision"])
    assert convert(weights(theirs)).network.spec.num_classes == 0


def test_half_precision_becomes_single():
    theirs = to_layout(network("resnet20"), LAYOUTS["akamaster"])
    halves = {k: v.half() if v.is_floating_point() else v for k, v in theirs.items()}
    found = convert(weights(halves)).network
    assert {p.dtype for p in found.parameters()} == {torch.float32}


def test_old_files_without_counters():
    theirs = to_layout(network("resnet20"), LAYOUTS["akamaster"])
    old = {k: v for k, v in theirs.items() if not k.endswith("num_batches_tracked")}
    found = convert(weights(old))
    assert found.missing == ()
    assert found.network.stem.norm.num_batches_tracked == 0


def with_biases(
    made: Network, layout: Layout, *which: str
) -> tuple[Network, dict[str, torch.Tensor]]:
    """Give some of its convolutions biases, here and in the layout's tensors."""
    keys = layout.keys(made)
    state = made.state_dict()
    theirs = {keys[key]: value.clone() for key, value in state.items()}
    biased = copy.deepcopy(made)
    for name, module in biased.named_modules():
        if isinstance(module, nn.Conv2d) and name.endswith(which):
            module.bias = nn.Parameter(torch.randn(module.out_channels))
            theirs[keys[f"{name}.weight"].removesuffix("weight") + "bias"] = module.bias.detach()
    return biased, theirs


@pytest.mark.parametrize(
    ("name", "layout", "which"),
    [
        ("resnet20_b", "cifar-models", ("conv1", "conv2", "shortcut.conv")),
        ("keras_preact_3_4_6_cifar", "keras", ("conv1", "conv2")),
    ],
)
def test_biases_become_part_of_the_norm_right_behind(name, layout, which):
    biased, theirs = with_biases(network(name, num_classes=3), LAYOUTS[layout], *which)
    found = convert(weights(theirs), layout=layout)
    assert any("biases of convolutions" in note for note in found.notes)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(found.network(x), biased(x), rtol=1e-4, atol=1e-5)


def test_biases_in_front_of_an_addition_have_no_place():
    made = network("keras_preact_3_4_6_cifar", num_classes=3)
    _, theirs = with_biases(made, LAYOUTS["keras"], "stage1.block1.branch.conv3")
    with pytest.raises(MisfitError) as caught:
        convert(weights(theirs))
    (detail,) = caught.value.details
    assert detail.startswith("no place for conv2d")


def test_quantised_weights_are_refused():
    theirs = to_layout(network("resnet20"), LAYOUTS["akamaster"])
    whole = {key: value.to(torch.int8) for key, value in theirs.items()}
    with pytest.raises(CheckpointError, match=r"conv1\.weight as int8: the weights are quantised"):
        convert(weights(whole))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"architecture": "resnetaa18"}, "it is resnetaa18, which is not resnet18"),
        ({"architecture": "resnet18", "global_pool": "max"}, "pooled by 'max'"),
        ({"architecture": "resnet18", "model_args": {"global_pool": "max"}}, "pooled by 'max'"),
        ({"architecture": "resnet18", "model_args": {"act_layer": "silu"}}, "with act_layer"),
    ],
)
def test_a_description_of_another_function(config, message):
    theirs = to_layout(network("resnet18", num_classes=3), LAYOUTS["timm"])
    with pytest.raises(CheckpointError, match=f"{message}.*; --as resnet18 takes it"):
        convert(weights(theirs, **config))
    found = convert(weights(theirs, **config), name="resnet18")
    assert any(message in note and "as asked for" in note for note in found.notes)


@pytest.mark.parametrize(
    "config",
    [
        {"architecture": "resnet18", "global_pool": "avg"},
        {"architecture": "resnet18.a1_in1k", "model_args": {"drop_rate": 0.1, "in_chans": 3}},
        {"architecture": "resnet18", "model_args": None, "global_pool": ""},
        {"architectures": ["ResNetForImageClassification"], "global_pool": "max"},
    ],
)
def test_a_description_of_the_same_function(config):
    theirs = to_layout(network("resnet18", num_classes=3), LAYOUTS["timm"])
    assert convert(weights(theirs, **config)).notes == ()


def test_the_network_owns_its_weights():
    theirs = to_layout(network("resnet20"), LAYOUTS["akamaster"])
    found = convert(weights(theirs)).network
    theirs["linear.bias"].fill_(9.0)
    assert found.head.classifier.bias.abs().max() < 9


def test_what_fits_nothing_is_named_key_by_key():
    theirs = to_layout(network("resnet18"), LAYOUTS["torchvision"])
    theirs["attention.weight"] = torch.ones(3)
    theirs["fc2.bias"] = torch.ones(3)
    del theirs["layer2.0.conv1.weight"]
    theirs["layer3.0.conv1.weight"] = torch.ones(4, 4, 3, 3)
    with pytest.raises(MisfitError, match="nearest is resnet18 by torchvision's names") as caught:
        convert(weights(theirs))
    assert list(caught.value.details) == [
        "no place for attention.weight",
        "no place for fc2.bias",
        "missing layer2.0.conv1.weight",
        "layer3.0.conv1.weight is (4, 4, 3, 3), resnet18 has (256, 128, 3, 3)",
    ]
    assert caught.value.exit_code == 4
    found = convert(weights(theirs), allow_partial=True)
    assert found.unplaced == ("attention.weight", "fc2.bias")
    assert found.missing[0] == "layer2.0.conv1.weight"
    kept = found.network.stages.stage1.block1.branch.conv1.weight
    assert torch.equal(kept, theirs["layer1.0.conv1.weight"])
    assert found.network.stages.stage3.block1.branch.conv1.weight.shape == (256, 128, 3, 3)


def test_another_network_than_was_asked_for():
    theirs = to_layout(network("resnet50_v15"), LAYOUTS["torchvision"])
    with pytest.raises(MisfitError, match="it fits resnet50_v15 of torchvision: leave --as out"):
        convert(weights(theirs), name="resnet18")


def test_the_stride_that_no_shape_shows_can_be_asked_for():
    """Caffe's networks under torchvision's names have their stride on the first 1x1."""
    theirs = to_layout(network("resnet50_v15"), LAYOUTS["torchvision"])
    found = convert(weights(theirs), name="resnet50")
    assert found.network.spec.stride_on == "1x1"
    assert any("no network that computes what resnet50 does" in note for note in found.notes)


def test_plain_networks_have_to_be_asked_for():
    theirs = to_layout(network("resnet20"), LAYOUTS["akamaster"])
    assert convert(weights(theirs)).network.spec.name == "resnet20"
    assert convert(weights(theirs), name="plain20").network.spec.name == "plain20"


def test_a_stem_that_was_replaced():
    small = build(networks.replace(networks.entry("resnet18").spec, img_size=32).with_stem("small"))
    theirs = to_layout(small, LAYOUTS["kuangliu"])
    named = {
        key.replace("shortcut", "downsample").replace("linear", "fc"): value
        for key, value in theirs.items()
    }
    with pytest.raises(MisfitError, match=r"conv1\.weight is "):
        convert(weights(named))
    found = convert(weights(named), layout="torchvision", stem="small").network
    assert found.feature_info.reduction() == [1, 1, 2, 4, 8]


@pytest.mark.parametrize(
    ("name", "layout", "message"),
    [
        ("resnet50", "torchvision", "no network that computes what resnet50 does"),
        ("resnet20_b", "akamaster", "no network that computes what resnet20_b does"),
        ("resnet20", "keras", "can only be read"),
    ],
)
def test_networks_without_a_counterpart(name, layout, message):
    with pytest.raises(UsageError, match=message):
        to_layout(network(name), LAYOUTS[layout])


def test_another_stem_has_no_counterpart_in_torchvision():
    small = build(networks.replace(networks.entry("resnet18").spec, img_size=32).with_stem("small"))
    with pytest.raises(UsageError, match="not with another stem"):
        to_layout(small, LAYOUTS["torchvision"])


def test_unknown_names():
    with pytest.raises(UsageError, match="did you mean 'timm'"):
        convert(weights({"a": torch.ones(1)}), layout="tim")
    with pytest.raises(UsageError, match="no names of other programs for highway19"):
        convert(weights({"a": torch.ones(1)}), name="highway19")
