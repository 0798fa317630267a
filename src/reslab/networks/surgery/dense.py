"""Fully-connected layers as convolutions: a classifier that slides over images of any size."""

from __future__ import annotations

import copy
import itertools

import torch
from torch import nn

from reslab import networks
from reslab.errors import UsageError
from reslab.networks.fully_connected import FullyConnectedSpec
from reslab.networks.network import GlobalAveragePool, Network, build


def fully_convolutional(network: Network) -> Network:
    """logits = mean over the map of W8 * relu(W7 * relu(W6 * map)), with the same weights.

    The first fully-connected layer becomes a convolution of the side of the map that it was
    flattened from, the others become 1x1. On that map the logits stay what they were; on a
    larger one they are the mean of the logits of every place where the classifier fits.

    Args:
        network: a network with fully-connected layers; one without, which averages its last
            map, is returned as it is.

    Returns:
        A network in the same mode that shares its tensors with the given one.

    Raises:
        UsageError: the head is of another kind, or at the network's own image size there is
            no place where its classifier fits.

    Source: Simonyan and Zisserman 2014 (arXiv 1409.1556), section 3.2.
    """
    if not any(isinstance(m, nn.Linear | nn.Flatten) for m in network.head.features.modules()):
        return network
    if not isinstance(network.spec, FullyConnectedSpec):
        raise UsageError(f"the head of {network.spec.name} has no fully convolutional form")
    with torch.device("meta"):
        form = build(networks.replace(network.spec, fully_convolutional=True))
    shapes = {name: value.shape for name, value in form.head.state_dict().items()}
    state = network.head.state_dict()
    form.head.load_state_dict(
        {name: value.reshape(shapes[name]) for name, value in state.items()}, assign=True
    )
    for new, old in zip(form.head.parameters(), network.head.parameters(), strict=True):
        new.requires_grad_(old.requires_grad)
    dense = copy.deepcopy(network, memo=_tensors(network))
    dense.head, dense.spec, dense.min_size = form.head, form.spec, form.min_size
    return dense.train(network.training)


def dense_at(network: Network, img_size: int) -> Network:
    """Return the fully convolutional form where it is the same function at a side of `img_size`.

    Other networks are returned as they are: those that average their last map anyway, and those
    that average it to the side that their fully-connected layers are meant for.
    """
    spec = network.spec
    if not isinstance(spec, FullyConnectedSpec) or spec.fully_convolutional:
        return network
    with torch.device("meta"), torch.no_grad():
        form = build(networks.replace(spec, img_size=img_size))
        last = form.forward_features(torch.empty(1, spec.in_chans, img_size, img_size))
        side = form.head.features.get_submodule("pool")(last).shape[-1]
    return fully_convolutional(network) if side == spec.fc_grid else network


def _before_average(features: nn.Module) -> nn.Sequential | None:
    """Return what comes before the global average in a head; None where it ends otherwise."""
    if isinstance(features, GlobalAveragePool):
        return nn.Sequential()
    if isinstance(features, nn.Sequential) and isinstance(features[-1], GlobalAveragePool):
        return nn.Sequential(*list(features)[:-1])
    return None


def _tensors(network: Network) -> dict[int, object]:
    """Map each parameter and buffer to itself, so that a deep copy of the modules shares it."""
    return {id(t): t for t in itertools.chain(network.parameters(), network.buffers())}
