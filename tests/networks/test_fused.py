import pytest
import torch
from torch import nn

from reslab import create_model, kernels
from reslab.kernels import library
from reslab.networks.fused import (
    FusedNorm,
    FusedNormRelu,
    FusedResidualBlock,
    FusedZeroPad,
    NarrowConv,
    fuse,
)

pytestmark = pytest.mark.skipif(
    not kernels.available(), reason=f"needs the compiled kernels; here: {kernels.reason()}"
)


def pair(name):
    """The same network twice, the second one fused."""
    torch.manual_seed(0)
    plain = create_model(name, num_classes=10).to(memory_format=torch.channels_last)
    torch.manual_seed(0)
    fused = create_model(name, num_classes=10).to(memory_format=torch.channels_last)
    taken = fuse(fused)
    assert taken == sum(isinstance(m, nn.BatchNorm2d) for m in plain.modules())
    return plain, fused


@pytest.mark.parametrize("name", ["plain20", "resnet20", "resnet20_b", "resnet18_half"])
def test_a_fused_network_is_the_same_function(name):
    plain, fused = pair(name)
    images = torch.randn(8, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    labels = torch.arange(8)
    for network in (plain, fused):
        logits = network(images)
        nn.functional.cross_entropy(logits, labels).backward()
    torch.testing.assert_close(fused(images), plain(images), rtol=1e-3, atol=1e-4)
    assert list(plain.state_dict()) == list(fused.state_dict())
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(fused.state_dict()[key], value, rtol=1e-4, atol=1e-5)
    for (key, a), b in zip(plain.named_parameters(), fused.parameters(), strict=True):
        # A value that rounds to the other side of zero turns a ReLU's gradient on or off.
        assert (a.grad - b.grad).norm() < 2e-2 * a.grad.norm() + 1e-6, key
    torch.testing.assert_close(fused.eval()(images), plain.eval()(images), rtol=1e-3, atol=1e-4)


def test_every_pass_is_taken():
    """In a basic block: one norm with its ReLU, one with the sum and the last ReLU."""
    _, fused = pair("resnet20")
    kinds = [type(m) for m in fused.modules()]
    assert kinds.count(FusedResidualBlock) == 9
    assert kinds.count(FusedNormRelu) == 1 + 9
    assert kinds.count(FusedNorm) == 9
    assert kinds.count(nn.ReLU) == 9  # the blocks' own, which the fused form does not call


@pytest.mark.skipif(
    not library.has("conv3x3"),
    reason="needs bf16 convolutions: a processor with AVX512-BF16 and a C compiler",
)
def test_in_bf16_narrow_convolutions_are_taken():
    """All but the stem; as near to float32 as torch's bf16 is."""
    plain, fused = pair("resnet20")
    assert sum(type(m) is NarrowConv for m in fused.modules()) == 19 - 1
    assert sum(type(m) is FusedZeroPad for m in fused.modules()) == 2
    images = torch.randn(16, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    exact = plain(images)
    exact.square().mean().backward()
    wanted = {key: p.grad.clone() for key, p in plain.named_parameters()}
    apart = {}
    for network in (plain, fused):
        network.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = network(images)
        logits.float().square().mean().backward()
        apart[network] = sum(
            float((p.grad - wanted[key]).norm() / wanted[key].norm())
            for key, p in network.named_parameters()
        )
        assert (logits - exact).norm() < 0.03 * exact.norm()
    assert apart[fused] < 1.1 * apart[plain]


def test_recomputation_counts_statistics_once():
    torch.manual_seed(0)
    _, fused = pair("resnet20")
    fused.set_grad_checkpointing(True)
    images = torch.randn(4, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    fused(images).sum().backward()
    counts = [m.num_batches_tracked for m in fused.modules() if isinstance(m, nn.BatchNorm2d)]
    assert all(count == 1 for count in counts)
