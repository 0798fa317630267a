"""Folded batch norm: the same logits without the layers."""

import dataclasses
from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn

from reslab import artifact, create_model, networks
from reslab.artifact import Artifact
from reslab.data.preprocess import Preprocess
from reslab.errors import CheckpointError
from reslab.networks.blocks import PlainBlock
from reslab.networks.network import Network, Stage, build
from reslab.networks.surgery import fold_batch_norm
from reslab.predict import Predictor
from tolerance import assert_same, rounding_of

FAMILIES = [
    "plain20",
    "resnet20",
    "resnet20_b",
    "resnet20_conv_shortcut",
    "resnet20_bn_after_add",
    "resnet20_relu_before_add",
    "preact_resnet20",
    "mobilenet_v1",
    "shufflenet_v1_g3",
    "googlenet_bn",
]


def norms(network: nn.Module) -> list[str]:
    return [name for name, m in network.named_modules() if isinstance(m, nn.BatchNorm2d)]


def used(name: str, **changes: object) -> Network:
    """Return a network whose scales, shifts and running statistics are not those of a new one."""
    torch.manual_seed(7)
    spec = networks.entry(name).spec
    network = build(networks.replace(spec, num_classes=10, **changes))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    side = max(32, network.min_size)
    with torch.no_grad():
        for _ in range(3):
            network.train()(torch.rand(4, network.spec.in_chans, side, side))
    return network


def an_image_like_those_seen(network: Network) -> torch.Tensor:
    side = max(32, network.min_size)
    return torch.rand(2, network.spec.in_chans, side, side)


def relative_error(after: torch.Tensor, before: torch.Tensor) -> float:
    return ((after - before).abs().max() / before.abs().max()).item()


@pytest.mark.parametrize("name", FAMILIES)
def test_the_same_logits(name):
    network = used(name)
    x = an_image_like_those_seen(network)
    folded = fold_batch_norm(network)
    with torch.no_grad():
        assert_same(network, folded(x), network.eval()(x))
    assert len(norms(folded)) < len(norms(network))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [n for n in networks.list_models() if networks.entry(n).spec.has_batch_norm]
)
def test_the_same_maps_of_every_network(name):
    """Part by part: deep plain networks with random weights amplify any rounding without limit."""
    network = used(name).eval()
    assert norms(network)
    folded = fold_batch_norm(network)
    paths = [
        "stem",
        *(
            f"stages.{stage}.{block}"
            for stage, blocks in network.stages.named_children()
            for block, _ in blocks.named_children()
        ),
        "head",
    ]
    expected = found = an_image_like_those_seen(network)
    parts: list[nn.Module] = []
    with torch.no_grad():
        for path in paths:
            parts.append(network.get_submodule(path))
            expected, found = parts[-1](expected), folded.get_submodule(path)(found)
            if isinstance(parts[-1], nn.Conv2d):
                continue  # its batch norm is the next part: compared with it
            computed = nn.Sequential(*parts)
            learned = any(True for _ in computed.parameters())  # a pooling rounds nothing
            allowed = rounding_of(computed, 1.0) if learned else 0.0
            assert relative_error(found, expected) <= allowed, path
            found, parts = expected, []


def test_a_plain_network_has_no_batch_norm_left():
    network = used("resnet20_b")
    folded = fold_batch_norm(network)
    assert not norms(folded)
    assert not folded.training
    keys = set(folded.state_dict())
    assert {"stem.conv.weight", "stem.conv.bias"} <= keys
    assert not [key for key in keys if "norm" in key]


def test_a_pre_activation_network_keeps_those_in_front_of_convolutions():
    network = used("preact_resnet20")
    kept = norms(fold_batch_norm(network))
    assert "stages.stage1.block2.branch.norm1" in kept
    assert "stages.stage1.block2.branch.norm2" not in kept
    assert "head.features.norm" in kept


def test_the_network_itself_is_untouched():
    network = used("resnet20")
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    fold_batch_norm(network)
    assert network.training
    assert len(norms(network)) == 19
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


class Reordered(nn.Sequential):
    def forward(self, x):
        return self[0](self[1](x))


def test_only_what_runs_in_order_is_folded():
    """A batch norm whose neighbour in the list is not what it follows must stay."""
    network = used("resnet20")
    block = PlainBlock(Reordered(nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16)))
    network.stages.stage1 = Stage(OrderedDict(block1=block))
    folded = fold_batch_norm(network)
    assert "stages.stage1.block1.branch.1" in norms(folded)
    x = torch.rand(2, 3, 32, 32)
    assert_same(network, folded(x), network.eval()(x))


def test_a_convolution_with_bias_and_a_norm_without_scale():
    network = used("plain20")
    torch.manual_seed(1)
    layers = nn.Sequential(
        nn.Sequential(nn.Conv2d(16, 16, 3, padding=1)), nn.BatchNorm2d(16, affine=False)
    )
    layers[1].running_mean.uniform_()
    layers[1].running_var.uniform_()
    network.stages.stage1 = Stage(OrderedDict(block1=PlainBlock(layers)))
    folded = fold_batch_norm(network)
    assert not norms(folded)
    x = torch.rand(2, 3, 32, 32)
    assert_same(network, folded(x), network.eval()(x))


def test_predict_takes_the_folded_network():
    network = used("resnet20").eval()
    whole = Artifact(
        network=network,
        classes=tuple("abcdefghij"),
        preprocess=Preprocess(img_size=32, resize_size=32),
    )
    folded = dataclasses.replace(whole, network=fold_batch_norm(network))
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
    before, after = (
        Predictor(model, device="cpu").predict(image, top=10)[0] for model in (whole, folded)
    )
    assert [label for label, _ in after.top] == [label for label, _ in before.top]
    np.testing.assert_allclose(
        [prob for _, prob in after.top], [prob for _, prob in before.top], rtol=1e-4
    )


def test_a_folded_network_is_not_saved_as_what_it_was(tmp_path):
    network = create_model("resnet20", num_classes=2).eval()
    preprocess = Preprocess(
        img_size=32, resize_size=32, in_chans=3, resize="squash", mean=(0.5,) * 3, std=(0.5,) * 3
    )
    whole = artifact.Artifact(network=network, classes=("a", "b"), preprocess=preprocess)
    artifact.save(whole, tmp_path / "whole")
    folded = dataclasses.replace(whole, network=fold_batch_norm(network))
    with pytest.raises(CheckpointError, match="before folding"):
        artifact.save(folded, tmp_path / "folded")
    assert not (tmp_path / "folded").exists()
