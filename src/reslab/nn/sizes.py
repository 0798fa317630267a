"""Which sizes of a map a layer needs, for networks that say how small an image may be."""

from __future__ import annotations


def least_input(
    output: int, *, kernel: int, stride: int = 1, padding: int = 0, ceil: bool = False
) -> int:
    """Return the least side of a map for which a layer puts out a map of side `output`.

    Args:
        output: wanted side of the map that comes out.
        kernel: side of the convolution or pool.
        stride: its stride.
        padding: on each side.
        ceil: whether a last window may reach over the border (a pool's `ceil_mode`).
    """
    return (output - 1) * stride + kernel - 2 * padding - (stride - 1 if ceil else 0)
