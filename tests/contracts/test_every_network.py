"""The same promises, tried on every network of the catalogue."""

import functools
import json

import pytest
import torch

from reslab import catalog
from reslab import spec as specs
from reslab.nn import FeatureMaps, build

EXTREMELY_DEEP = {"plain1202", "resnet1202_b"}
NAMES = catalog.list_models()
SMALL = [name for name in NAMES if catalog.costs()[name].macs < 2e8]


@functools.cache
def on_meta(name):
    """Build a network without memory; tests that change it take another."""
    with torch.device("meta"):
        return build(catalog.entry(name).spec).eval()


def batch(spec, size, device=None, images=2):
    return torch.randn(images, spec.in_chans, size, size, device=device)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in EXTREMELY_DEEP else [])
        for name in NAMES
    ],
)
def test_shapes_at_an_odd_size(name):
    """Its own size is measured by the tests of costs."""
    network = on_meta(name)
    size = network.min_size + 5
    with torch.no_grad():
        maps = FeatureMaps(network)(batch(network.spec, size, "meta"))
        logits = network.forward_head(maps[-1])
    assert logits.shape == (2, network.num_classes)
    for features, info in zip(maps, network.feature_info, strict=True):
        side = -(-size // info["reduction"])
        assert features.shape == (2, info["num_chs"], side, side)
        assert network.get_submodule(info["module"])
    assert maps[-1].shape[1] == network.num_features


@pytest.mark.parametrize("name", NAMES)
def test_spec_goes_through_json(name):
    spec = catalog.entry(name).spec
    assert specs.from_json(json.loads(json.dumps(specs.to_json(spec)))) == spec


@pytest.mark.parametrize("name", NAMES)
def test_parts_hold_every_parameter(name):
    network = on_meta(name)
    inside = [p for part in (*network.parts().values(), network.head) for p in part.parameters()]
    assert len(inside) == len(list(network.parameters()))


@pytest.mark.parametrize("name", [n for n in NAMES if "1202" not in n])
def test_other_channels_and_classes(name):
    spec = catalog.entry(name).spec
    for in_chans in (1, 4):
        changed = specs.replace(spec, in_chans=in_chans, num_classes=7)
        with torch.device("meta"), torch.no_grad():
            network = build(changed).eval()
            x = network.stem(batch(changed, network.min_size))
            features = torch.empty(2, network.num_features, 3, 5)
            logits = network.forward_head(features)
            network.reset_classifier(0)
            vector = network.forward_head(features)
            network.reset_classifier(3)
        assert x.shape[1] == network.feature_info[0]["num_chs"]
        assert logits.shape == (2, 7)
        assert vector.shape == (2, network.num_features)
        assert network.get_classifier().weight.shape == (3, network.num_features)


@pytest.mark.parametrize("name", SMALL)
def test_every_parameter_gets_a_gradient(name):
    torch.manual_seed(0)
    network = build(catalog.entry(name).spec)
    logits = network(batch(network.spec, max(13, 3 * network.min_size)))
    torch.nn.functional.cross_entropy(logits, torch.tensor([1, 2])).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.any(), parameter_name


@pytest.mark.parametrize("name", SMALL)
def test_memory_layout_and_precision_do_not_matter(name):
    """In float64 for the layout: deep plain networks magnify every rounding at their start."""
    torch.manual_seed(0)
    network = build(catalog.entry(name).spec)
    images = batch(network.spec, max(32, 3 * network.min_size))
    with torch.no_grad():
        logits = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(images).float()
        exact = network.double()(images.double())
        nhwc = network.to(memory_format=torch.channels_last)
        again = nhwc(images.double().to(memory_format=torch.channels_last))
    torch.testing.assert_close(again, exact)
    assert (rough - logits).norm() < (0.5 if "plain" in name else 0.2) * logits.norm()


@pytest.mark.parametrize("name", SMALL)
def test_saved_weights_give_the_same_network(name):
    torch.manual_seed(0)
    first, second = (build(catalog.entry(name).spec).eval() for _ in range(2))
    second.load_state_dict(first.state_dict())
    images = batch(first.spec, max(9, first.min_size), images=1)
    assert torch.equal(first(images), second(images))
