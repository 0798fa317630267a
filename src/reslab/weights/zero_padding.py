"""Option A with its new channels half before and half after the old ones, and ours after them.

Both are the same network with its channels in another order: from the first zero-padding
shortcut on, every tensor that reads or writes the sum of branch and shortcut is permuted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from reslab.networks.blocks import ResidualBlock, ZeroPadShortcut
from reslab.networks.network import Network


def padded_at_the_end(
    network: Network, tensors: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Turn weights for padding on both sides into the equal ones for padding at the end.

    Args:
        network: the network that pads at the end, on any device.
        tensors: by our names; may lack some.
    """
    found = dict(tensors)
    for key, dim, order in _orders(network):
        # What has another size is of another network, which is for others to say.
        if key in found and found[key].shape[dim : dim + 1] == order.shape:
            found[key] = found[key].index_select(dim, order)
    return found


def padded_on_both_sides(
    network: Network, tensors: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Turn weights for padding at the end into the equal ones for padding on both sides."""
    found = dict(tensors)
    for key, dim, order in _orders(network):
        found[key] = found[key].index_select(dim, torch.argsort(order).to(found[key].device))
    return found


def _orders(network: Network) -> Iterator[tuple[str, int, torch.Tensor]]:
    """Yield (key, dimension, order): channel order[c] of padding on both sides is our c."""
    order: torch.Tensor | None = None  # of the channels between two blocks
    for prefix, block in network.named_modules():
        if not isinstance(block, ResidualBlock):
            continue
        convs = [
            (f"{prefix}.branch.{name}", module)
            for name, module in block.branch.named_children()
            if isinstance(module, torch.nn.Conv2d)
        ]
        last = convs[-1][0]
        if order is not None:
            yield f"{convs[0][0]}.weight", 1, order
        if isinstance(block.shortcut, ZeroPadShortcut):
            order = _after_padding(order, convs[0][1].in_channels, block.shortcut.new_channels)
        if order is not None:
            yield f"{last}.weight", 0, order
            for tensor in ("weight", "bias", "running_mean", "running_var"):
                yield f"{last.replace('.conv', '.norm')}.{tensor}", 0, order
    if order is not None:
        yield "head.classifier.weight", 1, order


def _after_padding(order: torch.Tensor | None, width: int, new: int) -> torch.Tensor:
    """Return the order behind a shortcut: the old channels first, then the new ones."""
    before = new // 2
    old = torch.arange(width) if order is None else order
    rest = [*range(before), *range(before + width, width + new)]
    return torch.cat([old + before, torch.tensor(rest)])
