"""The same network for images of other channels."""

from __future__ import annotations

import torch

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.network import Network, build


def adapt_channels(network: Network, in_chans: int) -> Network:
    """W'_j = sum_i W_i / in_chans for each new channel j: the same function of grey images.

    An image whose channels are all equal gives the same logits before and after, where the
    first layer is a convolution. Where batch norm comes first, each new channel gets the mean
    of the old ones' parameters and statistics: the same function if those were equal.

    Args:
        network: a network with trained weights; it stays as it is.
        in_chans: channels of the images that the new network takes.

    Returns:
        A new network in training mode, where everything learns, on the same device.

    Raises:
        UsageError: less than one channel, or a layer that cannot be spread over channels.
    """
    rebuilt = build(networks.replace(network.spec, in_chans=in_chans))
    shapes = {name: value.shape for name, value in rebuilt.state_dict().items()}
    tensors = network.state_dict()
    for name, value in tensors.items():
        if value.shape != shapes[name]:
            tensors[name] = _spread(name, value, shapes[name])
    rebuilt.load_state_dict(tensors)
    return rebuilt.to(next(iter(tensors.values())).device)


def _spread(name: str, value: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Give a tensor that depends on the input channels the shape for other ones."""
    if value.dim() == 1:  # of a batch norm on the image itself
        return value.mean().expand(shape)
    if value.dim() != 4 or value.shape[0] != shape[0]:
        raise UsageError(
            f"{name} of shape {tuple(value.shape)} cannot be spread to {tuple(shape)}",
            remedy="build the network with other in_chans and train it",
        )
    return (value.sum(dim=1, keepdim=True) / shape[1]).expand(shape)
