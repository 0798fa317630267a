"""Other input channels: the same function of grey images."""

import pytest
import torch

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.network import build
from reslab.networks.surgery import adapt_channels
from tolerance import assert_same


def used(name: str, in_chans: int = 3):
    """Return a network whose weights and statistics are not those of a new one."""
    torch.manual_seed(3)
    spec = networks.replace(
        networks.entry(name).spec, num_classes=4, in_chans=in_chans, img_size=32
    )
    network = build(spec)
    network(torch.rand(4, in_chans, 32, 32))
    return network.eval()


@pytest.mark.parametrize(("before", "after"), [(3, 1), (3, 4), (1, 3), (3, 3)])
def test_the_same_function_of_grey_images(before, after):
    network = used("resnet20", before)
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    adapted = adapt_channels(network, after)
    assert adapted.spec == networks.replace(network.spec, in_chans=after)
    assert adapted.training
    grey = torch.rand(2, 1, 32, 32)
    found = adapted.eval()(grey.expand(-1, after, -1, -1))
    assert_same(network, found, network(grey.expand(-1, before, -1, -1)))
    adapted.train()(torch.rand(2, after, 32, 32)).sum().backward()
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())


def test_the_first_convolution_is_spread_and_nothing_else_changes():
    network = used("plain20")
    adapted = adapt_channels(network, 5)
    before, after = network.state_dict(), adapted.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"stem.conv.weight"}
    expected = before["stem.conv.weight"].sum(1) / 5
    for channel in range(5):
        assert torch.equal(after["stem.conv.weight"][:, channel], expected)


@pytest.mark.parametrize(
    "name",
    [
        *("alexnet", "zfnet", "vgg11", "googlenet", "inception_v4", "highway10", "squeezenet1_1"),
        *("mobilenet_v1", "shufflenet_v1_g3", "preact_resnet20", "resnet18", "keras_preact_9_9_9"),
    ],
)
@pytest.mark.parametrize("in_chans", [1, 4])
def test_networks_of_every_family(name, in_chans):
    with torch.device("meta"):
        network = build(networks.entry(name).spec)
        adapted = adapt_channels(network, in_chans)
        assert adapted.spec == networks.replace(network.spec, in_chans=in_chans)
        side = max(adapted.min_size, 32)
        assert adapted(torch.empty(2, in_chans, side, side)).shape == (2, adapted.num_classes)


def test_a_batch_norm_on_the_image_is_averaged():
    name = next(n for n in networks.list_models() if n.startswith("keras"))
    spec = networks.replace(networks.entry(name).spec, num_classes=4)
    torch.manual_seed(3)
    network = build(spec)
    grey = torch.rand(4, 1, spec.img_size, spec.img_size)
    network(grey.expand(-1, 3, -1, -1))
    adapted = adapt_channels(network.eval(), 1).eval()
    # All three channels have seen the same: their means are exact.
    assert_same(network, adapted(grey), network(grey.expand(-1, 3, -1, -1)))


def test_less_than_one_channel():
    with pytest.raises(UsageError, match="in_chans must be 1 or more"):
        adapt_channels(used("resnet20"), 0)
