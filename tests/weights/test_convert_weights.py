"""Recognition, what does not fit, what is missing, and the way back."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from reslab import catalog
from reslab import spec as specs
from reslab.errors import UsageError
from reslab.nn import Network, build
from reslab.weights import LAYOUTS, MisfitError, convert, to_layout
from reslab.weights.read import Weights

SMALL = ("resnet18", "resnet20", "resnet20_b", "resnet50_v15", "squeezenet1_1")


def network(name: str, **changes: int) -> Network:
    torch.manual_seed(2)
    return build(specs.replace(catalog.entry(name).spec, **changes)).eval()


def weights(tensors: dict[str, torch.Tensor]) -> Weights:
    return Weights(Path("w.pth"), tensors)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_names_every_tensor_once(layout):
    """The names of every network that it has are one to one."""
    for name in LAYOUTS[layout].networks:
        with torch.device("meta"):
            made = build(catalog.entry(name).spec)
        keys = LAYOUTS[layout].keys(made)
        assert list(keys) == list(made.state_dict())
        assert len(set(keys.values())) == len(keys), name


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        (layout, name)
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
    small = build(specs.replace(catalog.entry("resnet18").spec, img_size=32).with_stem("small"))
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
    small = build(specs.replace(catalog.entry("resnet18").spec, img_size=32).with_stem("small"))
    with pytest.raises(UsageError, match="not with another stem"):
        to_layout(small, LAYOUTS["torchvision"])


def test_unknown_names():
    with pytest.raises(UsageError, match="did you mean 'timm'"):
        convert(weights({"a": torch.ones(1)}), layout="tim")
    with pytest.raises(UsageError, match="no names of other programs for highway19"):
        convert(weights({"a": torch.ones(1)}), name="highway19")
