"""The same promises, tried on every network of the catalogue, in shapes only."""

import json

import pytest
import torch
from built import batch, on_meta

from families import EVERY, NAMES
from reslab import networks
from reslab.networks.network import FeatureMaps, build
from reslab.networks.resnet import ResNetSpec


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("where", ["own", "odd"])
def test_maps_and_logits(name, where):
    network = on_meta(name)
    size = network.spec.img_size if where == "own" else network.min_size + 5
    with torch.no_grad():
        images = batch(network.spec, size, "meta")
        maps = FeatureMaps(network)(images)
        logits = network.forward_head(maps[-1])
    assert logits.shape == (2, network.num_classes)
    exact = isinstance(network.spec, ResNetSpec)
    for features, info in zip(maps, network.feature_info, strict=True):
        assert features.shape[:2] == (2, info["num_chs"])
        assert network.get_submodule(info["module"])
        side = size / info["reduction"]
        if exact:
            assert features.shape[2:] == (-(-size // info["reduction"]),) * 2
        else:  # convolutions without padding lose a few pixels at the border
            assert side - 4 <= features.shape[2] <= side + 2
            assert features.shape[2] == features.shape[3]
    assert len({info["module"] for info in network.feature_info}) == len(network.feature_info)


@pytest.mark.parametrize("name", EVERY)
def test_images_that_are_not_square(name):
    network = on_meta(name)
    low, wide = network.min_size + 2, network.min_size + 13
    with torch.no_grad():
        logits = network(torch.empty(1, network.spec.in_chans, low, wide, device="meta"))
    assert logits.shape == (1, network.num_classes)


@pytest.mark.parametrize("name", EVERY)
def test_every_network_takes_32_pixels_or_has_a_form_that_does(name):
    spec = networks.entry(name).spec
    network = on_meta(name)
    if network.min_size > 32:
        small = networks.replace(spec.with_stem("small"), img_size=32)
        with torch.device("meta"), torch.no_grad():
            network = build(small).eval()
            logits = network(batch(small, 32))
        assert logits.shape == (2, spec.num_classes)
    assert network.min_size <= 32


def test_every_spec_goes_through_json():
    changed = []
    for name in NAMES:
        spec = networks.entry(name).spec
        if networks.from_json(json.loads(json.dumps(networks.to_json(spec)))) != spec:
            changed.append(name)
    assert not changed


@pytest.mark.parametrize("name", EVERY)
def test_parts_hold_every_parameter(name):
    network = on_meta(name)
    parts = (*network.parts().values(), network.head, network.auxiliary)
    inside = [p for part in parts for p in part.parameters()]
    assert len(inside) == len(list(network.parameters()))


@pytest.mark.parametrize("name", EVERY)
def test_other_channels_and_classes(name):
    spec = networks.entry(name).spec
    for in_chans in (1, 4):
        changed = networks.replace(spec, in_chans=in_chans, num_classes=7)
        with torch.device("meta"), torch.no_grad():
            network = build(changed).eval()
            maps = network.forward_features(batch(changed, network.min_size))
            logits = network.forward_head(maps)
            network.reset_classifier(0)
            vector = network.forward_head(maps)
            before = network.forward_head(maps, pre_logits=True)
            network.reset_classifier(3)
            again = network.forward_head(maps)
        assert logits.shape == (2, 7)
        assert vector.shape == before.shape == (2, network.num_features)
        assert again.shape == (2, 3)
        assert network.num_classes == 3
        assert sum(p.numel() for p in network.get_classifier().parameters()) > 0


@pytest.mark.parametrize("name", EVERY)
def test_specs_know_whether_there_is_batch_norm(name):
    found = any(isinstance(m, torch.nn.BatchNorm2d) for m in on_meta(name).modules())
    assert networks.entry(name).spec.has_batch_norm == found


@pytest.mark.parametrize("name", EVERY)
def test_the_loss_sees_the_logits_first(name):
    network = on_meta(name)
    with torch.no_grad():
        seen = network.training_logits(batch(network.spec, network.min_size, "meta", images=1))
    assert len(seen) == len(network.loss_weights())
    assert all(logits.shape == (1, network.num_classes) for logits in seen)
    assert network.loss_weights()[0] == 1
