"""Shortcut option A in one pass: the same bytes as torch's slices and padding."""

import pytest
import torch
import torch.nn.functional as F

from reslab import kernels
from reslab.kernels import library, zero_pad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(8, 8), (7, 5), (1, 4)])
@pytest.mark.parametrize("new_channels", [0, 16, 5])
def test_values_and_gradients(dtype, stride, size, new_channels):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 16, *size, generator=generator).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    assert library.fits(x) == kernels.available()
    y = zero_pad(x, stride, new_channels)
    wanted = F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, new_channels))
    assert torch.equal(y, wanted)
    assert y.dtype == dtype
    g = torch.randn(y.shape, generator=generator).to(dtype)
    (ours,) = torch.autograd.grad(y, x, g)
    (theirs,) = torch.autograd.grad(wanted, x, g)
    assert torch.equal(ours, theirs)


def test_sizes_mean_what_they_mean_to_torch():
    x = torch.randn(2, 16, 4, 4).contiguous(memory_format=torch.channels_last)
    assert torch.equal(zero_pad(x, 2, -3), x[:, :13, ::2, ::2])
    for stride in (0, -1):
        with pytest.raises(ValueError, match=r"slice step|step must be"):
            zero_pad(x, stride, 16)


def test_the_default_device_changes_nothing():
    x = torch.randn(2, 16, 4, 4).contiguous(memory_format=torch.channels_last).requires_grad_()
    wanted = zero_pad(x, 2, 16)
    (slope,) = torch.autograd.grad(wanted.sum(), x)
    with torch.device("meta"):
        found = zero_pad(x, 2, 16)
        assert torch.equal(found, wanted)
        assert torch.equal(torch.autograd.grad(found.sum(), x)[0], slope)


def test_what_does_not_fit_runs_as_plain_torch():
    x = torch.arange(2.0 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    assert not library.fits(x)
    assert torch.equal(zero_pad(x, 2, 1)[:, :3], x[:, :, ::2, ::2])
