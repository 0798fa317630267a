import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from reslab.errors import UsageError
from reslab.networks.blocks import ProjectionShortcut, ZeroPadShortcut, make_shortcut


def reference_option_a(x: torch.Tensor, out_width: int, stride: int) -> torch.Tensor:
    """Write option A down value by value, as section 3.3 words it."""
    batch, width, height, breadth = x.shape
    rows, columns = range(0, height, stride), range(0, breadth, stride)
    y = torch.zeros(batch, out_width, len(rows), len(columns))
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            y[:, :width, i, j] = x[:, :, row, column]
    return y


@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    widths=st.tuples(st.integers(1, 4), st.integers(0, 5)),
    stride=st.sampled_from([1, 2, 3]),
)
@settings(max_examples=40, deadline=None)
def test_option_a_equals_its_definition(size, widths, stride):
    x = torch.randn(2, widths[0], *size)
    shortcut = ZeroPadShortcut(widths[0], sum(widths), stride)
    assert torch.equal(shortcut(x), reference_option_a(x, sum(widths), stride))


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9])
@pytest.mark.parametrize("kernel", [1, 3])
def test_option_a_has_the_shape_of_a_strided_convolution(size, kernel):
    x = torch.randn(1, 4, size, size)
    convolution = nn.Conv2d(4, 8, kernel, stride=2, padding=kernel // 2)
    assert ZeroPadShortcut(4, 8, 2)(x).shape == convolution(x).shape


def test_option_a_has_nothing_to_learn_and_keeps_channels_last():
    shortcut = ZeroPadShortcut(4, 8, 2)
    x = torch.randn(2, 4, 8, 8).to(memory_format=torch.channels_last)
    assert not shortcut.state_dict()
    assert shortcut(x).is_contiguous(memory_format=torch.channels_last)


def test_option_a_cannot_narrow():
    with pytest.raises(UsageError, match="cannot narrow 8 channels to 4"):
        ZeroPadShortcut(8, 4, 1)


def test_projection_is_a_biasless_convolution_and_a_norm_without_activation():
    shortcut = ProjectionShortcut(4, 8, 2)
    assert [tuple(p.shape) for p in shortcut.parameters()] == [(8, 4, 1, 1), (8,), (8,)]
    assert (shortcut(torch.randn(8, 4, 6, 6)) < 0).any()


@pytest.mark.parametrize(
    ("option", "same", "wider"),
    [
        ("A", nn.Identity, ZeroPadShortcut),
        ("B", nn.Identity, ProjectionShortcut),
        ("C", ProjectionShortcut, ProjectionShortcut),
    ],
)
def test_options(option, same, wider):
    assert type(make_shortcut(16, 16, 1, option)) is same
    assert type(make_shortcut(16, 32, 2, option)) is wider
    assert type(make_shortcut(16, 32, 1, option)) is wider
    assert type(make_shortcut(16, 16, 2, option)) is wider
