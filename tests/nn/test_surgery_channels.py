"""Other input channels: the same function of grey images."""

import pytest
import torch

import reslab.spec as specs
from reslab import catalog
from reslab.errors import UsageError
from reslab.nn import build
from reslab.nn.surgery import adapt_channels


def used(name: str, in_chans: int = 3):
    """Return a network whose weights and statistics are not those of a new one."""
    torch.manual_seed(3)
    spec = specs.replace(catalog.entry(name).spec, num_classes=4, in_chans=in_chans, img_size=32)
    network = build(spec)
    network(torch.rand(4, in_chans, 32, 32))
    return network.eval()


@pytest.mark.parametrize(("before", "after"), [(3, 1), (3, 4), (1, 3), (3, 3)])
def test_the_same_function_of_grey_images(before, after):
    network = used("resnet20", before)
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    adapted = adapt_channels(network, after)
    assert adapted.spec == specs.replace(network.spec, in_chans=after)
    assert adapted.training
    grey = torch.rand(2, 1, 32, 32)
    torch.testing.assert_close(
        adapted.eval()(grey.expand(-1, after, -1, -1)), network(grey.expand(-1, before, -1, -1))
    )
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


def test_less_than_one_channel():
    with pytest.raises(UsageError, match="in_chans must be 1 or more"):
        adapt_channels(used("resnet20"), 0)
