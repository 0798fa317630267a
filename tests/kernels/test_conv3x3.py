"""Narrow convolutions against torch's in float64, for every kind of tile."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reslab import kernels
from reslab.kernels import conv3x3, library

if not library.has("conv3x3"):
    pytest.skip(
        "bf16 convolutions need a C compiler and a processor with AVX512-BF16 (Cooper Lake, "
        f"Sapphire Rapids, Zen 4 or newer); the kernels here: {kernels.reason()}",
        allow_module_level=True,
    )


def nhwc(*shape, seed):
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return values.bfloat16().contiguous(memory_format=torch.channels_last)


def distance(got, wanted):
    return ((got.double() - wanted.double()).norm() / wanted.double().norm()).item()


@pytest.mark.parametrize("inner", conv3x3.WIDTHS)
@pytest.mark.parametrize("out", conv3x3.WIDTHS)
@pytest.mark.parametrize(
    ("batch", "height", "width", "stride"),
    [
        (1, 1, 8, 1),
        (3, 5, 24, 1),
        (17, 8, 16, 1),
        (33, 3, 8, 1),
        (2, 32, 32, 1),
        (1, 2, 16, 2),
        (3, 6, 48, 2),
        (18, 16, 16, 2),
        (2, 32, 32, 2),
    ],
)
@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("around", [False, True], ids=["alone", "around"])
def test_values_and_gradients(inner, out, batch, height, width, stride, order, around):
    conv = nn.Conv2d(inner, out, 3, stride=stride, padding=1, bias=False)
    x = nhwc(batch, inner, height, width, seed=0).requires_grad_()
    g = nhwc(batch, out, height // stride, width // stride, seed=1)
    g_around = nhwc(batch, inner, height, width, seed=3) if around else None
    weight = torch.randn(out, inner, 3, 3, generator=torch.Generator().manual_seed(2))
    weight = weight.contiguous(memory_format=order).requires_grad_()
    assert conv3x3.takes(conv)
    assert conv3x3.fits(x, conv)
    if around:
        y, same = conv3x3.conv3x3_and_input(x, weight, stride)
        assert torch.equal(same, x)
        torch.autograd.backward([y, same], [g, g_around])
    else:
        y = conv3x3.conv3x3(x, weight, stride)
        y.backward(g)

    x64 = x.detach().double().requires_grad_()
    weight64 = weight.detach().bfloat16().double().requires_grad_()
    wanted = F.conv2d(x64, weight64, padding=1, stride=stride)
    wanted.backward(g.double())
    if around:
        x64.grad += g_around.double()
    assert y.dtype == x.grad.dtype == torch.bfloat16
    assert weight.grad.dtype == torch.float32
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert weight.grad.stride() == weight.stride()
    assert distance(y, wanted) < 3e-3  # half a unit of bf16
    assert distance(x.grad, x64.grad) < 3e-3
    assert distance(weight.grad, weight64.grad) < 1e-5  # products of bf16 are exact in float32


def test_the_same_bits_for_any_number_of_threads():
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            x = nhwc(21, 32, 16, 16, seed=0).requires_grad_()
            weight = torch.linspace(-1, 1, 16 * 32 * 9).reshape(16, 32, 3, 3).requires_grad_()
            y = conv3x3.conv3x3(x, weight)
            y.float().square().sum().backward()
            found.append((y, x.grad, weight.grad))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_gradient_that_nobody_wants_is_not_computed():
    x = nhwc(2, 16, 8, 8, seed=0)
    weight = torch.ones(16, 16, 3, 3, requires_grad=True)
    conv3x3.conv3x3(x, weight).sum().backward()
    assert x.grad is None
    assert weight.grad is not None
    frozen = weight.detach()
    conv3x3.conv3x3(x.requires_grad_(), frozen).sum().backward()
    assert x.grad is not None
    assert frozen.grad is None


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(16, 16, 3, padding=1, bias=False, stride=3),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.Conv2d(16, 16, 1, bias=False),
        nn.Conv2d(16, 16, 3, bias=False),
        nn.Conv2d(16, 16, 3, padding=2, dilation=2, bias=False),
        nn.Conv2d(16, 16, 3, padding=1, groups=2, bias=False),
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.Conv2d(16, 128, 3, padding=1, bias=False),
        nn.Conv2d(16, 16, 3, padding=1, bias=False, padding_mode="reflect"),
    ],
    ids=lambda conv: str(conv)[7:-1].replace(" ", ""),
)
def test_other_convolutions_are_left_to_torch(conv):
    assert conv3x3.takes(nn.Conv2d(64, 16, 3, padding=1, bias=False))
    assert not conv3x3.takes(conv)


@pytest.mark.parametrize("around_only", [False, True])
def test_one_way_alone_may_have_a_gradient(around_only):
    x = nhwc(2, 16, 8, 8, seed=0).requires_grad_()
    weight = torch.ones(16, 16, 3, 3, requires_grad=True)
    y, same = conv3x3.conv3x3_and_input(x, weight)
    (same if around_only else y).sum().backward()
    assert (weight.grad is None) == around_only
    if around_only:
        assert torch.equal(x.grad, torch.ones_like(x))


def channels_last(*shape):
    return torch.ones(shape, dtype=torch.bfloat16).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("x", "stride"),
    [
        (channels_last(2, 16, 8, 8).float(), 1),
        (channels_last(2, 16, 8, 7), 1),
        (channels_last(2, 16, 8, 24), 2),
        (channels_last(2, 16, 7, 16), 2),
        (channels_last(2, 16, 8, 8).contiguous(), 1),
        (channels_last(0, 16, 8, 8), 1),
    ],
    ids=["float32", "width", "halved-width", "odd-height", "nchw", "empty"],
)
def test_other_maps_are_left_to_torch(x, stride):
    conv = nn.Conv2d(16, 16, 3, stride=stride, padding=1, bias=False)
    assert conv3x3.fits(channels_last(2, 16, 8, 16), conv)
    assert not conv3x3.fits(x, conv)


def test_weights_that_do_not_match_are_left_to_torch():
    x, conv = channels_last(2, 32, 8, 8), nn.Conv2d(32, 16, 3, padding=1, bias=False)
    assert conv3x3.fits(x, conv)
    assert not conv3x3.fits(x, nn.Conv2d(16, 16, 3, padding=1, bias=False))
    assert not conv3x3.fits(x, nn.Conv2d(64, 16, 3, padding=1, bias=False))
    assert not conv3x3.fits(x, nn.Conv2d(32, 16, 3, padding=1, bias=False, device="meta"))
    assert not conv3x3.fits(x, conv.to(torch.bfloat16))


def test_the_default_device_changes_nothing():
    x, weight = nhwc(2, 16, 8, 8, seed=0).requires_grad_(), torch.ones(16, 16, 3, 3)
    wanted = conv3x3.conv3x3(x, weight)
    with torch.device("meta"):
        assert torch.equal(conv3x3.conv3x3(x, weight), wanted)
