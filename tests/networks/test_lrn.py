"""Local response normalisation against the paper's formula, one value at a time."""

import pytest
import torch

from reslab.networks.lrn import LocalResponseNorm


def by_formula(x, size, alpha, beta, k):
    """b_i = a_i / (k + alpha sum_{j = max(0, i - n/2)}^{min(N-1, i + n/2)} a_j^2)^beta."""
    out = torch.empty_like(x)
    channels = x.shape[1]
    for i in range(channels):
        low, high = max(0, i - size // 2), min(channels - 1, i + size // 2)
        total = sum(x[:, j] ** 2 for j in range(low, high + 1))
        out[:, i] = x[:, i] / (k + alpha * total) ** beta
    return out


@pytest.mark.parametrize("channels", [1, 3, 5, 12])
@pytest.mark.parametrize(
    "constants",
    [
        {"size": 5, "alpha": 1e-4, "beta": 0.75, "k": 2.0},
        {"size": 3, "alpha": 0.3, "beta": 0.6, "k": 1.0},
        {"size": 1, "alpha": 0.3, "beta": 0.5, "k": 1.0},
    ],
)
def test_it_is_the_papers_formula(channels, constants):
    torch.manual_seed(0)
    x = (50 * torch.randn(2, channels, 3, 4, dtype=torch.float64)).requires_grad_()
    found = LocalResponseNorm(**constants)(x)
    expected = by_formula(x, **constants)
    torch.testing.assert_close(found, expected)
    weights = torch.randn_like(found)
    (gradient,) = torch.autograd.grad((found * weights).sum(), x)
    (by_hand,) = torch.autograd.grad((expected * weights).sum(), x)
    torch.testing.assert_close(gradient, by_hand)


def test_the_default_constants_are_alexnets():
    x = 30 * torch.randn(1, 8, 2, 2)
    torch.testing.assert_close(LocalResponseNorm()(x), by_formula(x, 5, 1e-4, 0.75, 2.0))


def test_torch_divides_alpha_by_the_window():
    x = 30 * torch.randn(1, 8, 2, 2)
    torch_has = torch.nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)
    torch.testing.assert_close(LocalResponseNorm()(x), torch_has(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_types_lose_neither_the_sum_nor_its_range(dtype):
    torch.manual_seed(0)
    x = (150 * torch.rand(1, 9, 3, 3)).to(dtype)  # squares overflow float16
    found = LocalResponseNorm()(x)
    assert found.dtype == dtype
    expected = by_formula(x.double(), 5, 1e-4, 0.75, 2.0)
    step = torch.finfo(dtype).eps
    torch.testing.assert_close(found.double(), expected, rtol=step, atol=0.0)


def test_channels_last_stays_so():
    x = torch.randn(2, 6, 4, 5).to(memory_format=torch.channels_last)
    found = LocalResponseNorm()(x)
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, LocalResponseNorm()(x.contiguous()))
