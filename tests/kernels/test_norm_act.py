"""The fused passes against the equations in float64, and what happens where there are none."""

import re

import pytest
import torch
from torch import nn

from reslab import kernels
from reslab.kernels import library, norm_act, reference
from tolerance import rounding

NATIVE = pytest.mark.skipif(
    not kernels.available(), reason=f"needs the compiled kernels; here: {kernels.reason()}"
)
# Of the norm. In float32 some 16 roundings one after the other: sums are over blocks, whose sums
# are added up. In bf16 that of the result, at most half a unit, and a little for what led to it.
TOLERANCE = {
    torch.float32: rounding(torch.float32, 16),
    torch.bfloat16: 0.6 * torch.finfo(torch.bfloat16).eps,
}


def nhwc(*shape, dtype, seed):
    values = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


def make_norm(channels):
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 1.5, channels))
        norm.bias.copy_(torch.linspace(-0.5, 0.5, channels))
        norm.running_mean.copy_(torch.linspace(-1, 1, channels))
        norm.running_var.copy_(torch.linspace(0.5, 2, channels))
    return norm


def by_the_equations(norm, x, residual, act):
    """y = relu(scale (x - mean) / sqrt(var + eps) + shift + residual), everything in float64."""
    mean = x.mean((0, 2, 3)) if norm.training else norm.running_mean.double()
    var = x.var((0, 2, 3), correction=0) if norm.training else norm.running_var.double()
    scale = norm.weight.double() / torch.sqrt(var + norm.eps)
    y = (x - mean[:, None, None]) * scale[:, None, None] + norm.bias.double()[:, None, None]
    y = y if residual is None else y + residual
    return y.clamp(min=0) if act else y


def distance(got, wanted):
    return ((got.double() - wanted.double()).norm() / wanted.double().norm()).item()


@NATIVE
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["f32", "bf16"])
@pytest.mark.parametrize("channels", [16, 48, 64, 80, 256])
@pytest.mark.parametrize("act", [True, False])
@pytest.mark.parametrize("added", [True, False])
def test_values_gradients_and_statistics(dtype, channels, act, added):
    norm, exact = make_norm(channels), make_norm(channels)
    x = (2 * nhwc(7, channels, 13, 9, dtype=torch.float64, seed=0) + 3).to(dtype)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    residual = nhwc(7, channels, 13, 9, dtype=dtype, seed=1).requires_grad_() if added else None
    g = nhwc(7, channels, 13, 9, dtype=dtype, seed=2)
    assert library.fits(x)
    y = norm_act(norm, x, residual, act=act)
    y.backward(g)

    x64 = x.detach().double().requires_grad_()
    r64 = residual.detach().double().requires_grad_() if added else None
    wanted = by_the_equations(exact, x64, r64, act)
    # A value that rounds to another side of zero would change its whole gradient: mask by ours.
    pre = by_the_equations(exact, x64, r64, False)
    (pre * (y.detach().double() > 0) if act else pre).backward(g.double())
    limit = TOLERANCE[dtype]
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert distance(y, wanted) < limit
    assert distance(x.grad, x64.grad) < 2 * limit
    assert distance(norm.weight.grad, exact.weight.grad) < limit
    assert distance(norm.bias.grad, exact.bias.grad) < limit
    if added:
        assert distance(residual.grad, r64.grad) < limit
    nn.BatchNorm2d.forward(exact, x.detach().float())
    torch.testing.assert_close(norm.running_mean, exact.running_mean)
    torch.testing.assert_close(norm.running_var, exact.running_var)
    assert norm.num_batches_tracked == 1


@NATIVE
@pytest.mark.parametrize("added", [True, False])
def test_evaluation_uses_the_running_statistics(added):
    norm = make_norm(32).eval()
    x = nhwc(3, 32, 5, 6, dtype=torch.float32, seed=0)
    residual = nhwc(3, 32, 5, 6, dtype=torch.float32, seed=1) if added else None
    r64 = residual.double() if added else None
    with torch.no_grad():
        y = norm_act(norm, x, residual)
        assert distance(y, by_the_equations(norm, x.double(), r64, True)) < TOLERANCE[torch.float32]
    torch.testing.assert_close(norm_act(norm, x, residual), y)  # the form that has a gradient
    assert norm.num_batches_tracked == 0


@NATIVE
def test_a_mean_far_from_zero_keeps_its_variance():
    """E[x^2] - E[x]^2 without a shift would lose it."""
    norm = make_norm(16)
    x = 1000 + nhwc(8, 16, 32, 32, dtype=torch.float32, seed=0)
    norm_act(norm, x)
    wanted = 0.9 * torch.linspace(0.5, 2, 16).double() + 0.1 * x.double().var((0, 2, 3))
    assert distance(norm.running_var, wanted) < 1e-5


@NATIVE
def test_eps_counts_where_there_is_hardly_any_variance():
    norm = make_norm(16)
    x = 0.003 * nhwc(8, 16, 9, 9, dtype=torch.float32, seed=0)  # a variance of 0.9 eps
    wanted = by_the_equations(norm, x.double(), None, True)
    assert distance(norm_act(norm, x), wanted) < TOLERANCE[torch.float32]


@NATIVE
def test_the_same_bits_for_any_number_of_threads():
    x = nhwc(16, 48, 17, 19, dtype=torch.bfloat16, seed=0).requires_grad_()
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            norm, x.grad = make_norm(48), None
            norm_act(norm, x).square().sum().backward()
            found.append((x.grad, norm.weight.grad, norm.running_var))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@NATIVE
def test_nonsense_stays_visible():
    """A NaN must reach the loss, which stops the run; a plain maximum would hide it."""
    x = nhwc(2, 16, 4, 4, dtype=torch.bfloat16, seed=0)
    x[0, 3, 1, 2] = float("nan")
    y = norm_act(make_norm(16).eval(), x.requires_grad_(False))
    assert y[0, 3, 1, 2].isnan()
    assert norm_act(make_norm(16), x)[:, 3].isnan().all()


@NATIVE
def test_double_use_of_a_residual():
    """The block's input goes through the branch and around it: gradients add up."""
    norm, plain = make_norm(16), make_norm(16)
    x = nhwc(4, 16, 5, 5, dtype=torch.float32, seed=0).requires_grad_()
    norm_act(norm, 2 * x, x).sum().backward()
    ours, x.grad = x.grad, None
    reference(plain, 2 * x, x).sum().backward()
    torch.testing.assert_close(ours, x.grad)


@pytest.mark.parametrize(
    "odd",
    [
        torch.randn(2, 16, 4, 4),  # NCHW
        torch.randn(2, 10, 4, 4).contiguous(memory_format=torch.channels_last),
        torch.randn(2, 16, 4, 4).double().contiguous(memory_format=torch.channels_last),
        torch.empty(0, 16, 4, 4),
    ],
    ids=["nchw", "channels", "float64", "empty"],
)
def test_what_does_not_fit_runs_as_plain_torch(odd):
    assert not library.fits(odd)
    norm = make_norm(odd.shape[1]).to(odd.dtype).eval()
    assert torch.equal(norm_act(norm, odd), reference(norm, odd))


@NATIVE
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=["bf16", "f64"])
@pytest.mark.parametrize("what", ["all", "weight", "bias", "running_mean", "running_var"])
def test_other_types_of_parameters_are_left_to_torch(what, dtype, training):
    norms = [make_norm(32).train(training), make_norm(32).train(training)]
    for norm in norms:
        if what == "all":
            norm.to(dtype)
        else:
            vector = getattr(norm, what)
            vector.data = vector.data.to(dtype)
    x = nhwc(2, 32, 4, 4, dtype=torch.bfloat16, seed=0)
    residual = nhwc(2, 32, 4, 4, dtype=torch.bfloat16, seed=1)
    with torch.no_grad():
        try:
            wanted = reference(norms[1], x, residual)
        except RuntimeError as error:
            with pytest.raises(RuntimeError, match=re.escape(str(error))):
                norm_act(norms[0], x, residual)
        else:
            assert torch.equal(norm_act(norms[0], x, residual), wanted)


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_another_number_of_channels_is_refused(training):
    # Were anything written behind the 16 numbers of a norm, it would be seen here.
    memory = {name: torch.ones(48) for name in ("weight", "bias", "running_mean", "running_var")}
    norm = make_norm(16).train(training)
    for name, values in memory.items():
        getattr(norm, name).data = values[:16]
    for channels in (48, 80):
        with torch.no_grad(), pytest.raises(RuntimeError, match=f"{channels} elements not 16"):
            norm_act(norm, nhwc(2, channels, 4, 4, dtype=torch.float32, seed=0))
    assert all((values == 1).all() for values in memory.values())


@NATIVE
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
def test_numbers_that_lie_apart_are_found(training):
    norms = [make_norm(16).train(training), make_norm(16).train(training)]
    for name in ("weight", "bias", "running_mean", "running_var"):
        vector = getattr(norms[0], name)
        vector.data = torch.stack([vector.detach(), torch.full((16,), 9.0)], 1)[:, 0]
    x = nhwc(2, 16, 4, 4, dtype=torch.float32, seed=0)
    with torch.no_grad():
        torch.testing.assert_close(norm_act(norms[0], x), norm_act(norms[1], x))


@NATIVE
def test_tensors_elsewhere_are_left_to_torch():
    x = nhwc(2, 16, 4, 4, dtype=torch.float32, seed=0)
    for norm, residual in ((make_norm(16).to("meta"), None), (make_norm(16), x.to("meta"))):
        reason = "received|device|meta"
        with torch.no_grad(), pytest.raises((RuntimeError, NotImplementedError), match=reason):
            norm_act(norm.eval(), x, residual).sum().item()


def test_one_value_a_channel_has_no_variance():
    norm = make_norm(16)
    x = nhwc(1, 16, 1, 1, dtype=torch.float32, seed=0)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        norm_act(norm, x)
    two = nhwc(2, 16, 1, 1, dtype=torch.float32, seed=0)
    torch.testing.assert_close(norm_act(norm, two), reference(make_norm(16), two))
    norm.eval()
    torch.testing.assert_close(norm_act(norm, x), reference(norm, x))


@NATIVE
@pytest.mark.parametrize("setting", ["type", "device"])
def test_torchs_defaults_change_nothing(setting):
    found = []
    for default in (torch.float32, torch.float64):
        norm, x = make_norm(16), nhwc(2, 16, 4, 4, dtype=torch.float32, seed=0).requires_grad_()
        with torch.device("meta" if setting == "device" and found else "cpu"):
            before = torch.get_default_dtype()
            try:
                torch.set_default_dtype(default if setting == "type" else before)
                norm_act(norm, x).square().sum().backward()
            finally:
                torch.set_default_dtype(before)
        found.append((x.grad, norm.weight.grad, norm.bias.grad))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))
