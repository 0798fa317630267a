"""A network to look into: the tensors of another one, in modules of its own.

Every measurement works on such a view, so that hooks, replaced blocks and modes never reach the
network that was asked about.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from reslab.artifact import load_weights
from reslab.errors import DataError, UsageError
from reslab.networks.network import Network, build

Progress = Callable[[int, int], None]
Hook = Callable[[str, nn.Module, Tensor, Tensor], Tensor | None]
Statistics = Literal["running", "batch"]


def view_of(
    network: Network, *, own_tensors: bool = False, statistics: Statistics = "running"
) -> Network:
    """Build the network anew from its specification, around the very same tensors.

    The view is in evaluation mode, has no hooks and no fused passes: each module computes what
    its class says. What is measured is the network of the specification, so that a network
    which was changed by hand (folded, say) is refused.

    Args:
        network: any network; it stays as it is.
        own_tensors: copy the tensors, for measurements that change them.
        statistics: what batch norms normalise by: their running statistics, or those of the
            batch at hand as in training. Those of an untrained network mean nothing yet.

    Raises:
        CheckpointError: the network has other tensors than its specification says.
    """
    with torch.device("meta"):
        view = build(network.spec)
    tensors = {name: value.detach() for name, value in network.state_dict().items()}
    if own_tensors or statistics == "batch":  # a batch's statistics are also remembered
        tensors = {name: value.clone() for name, value in tensors.items()}
    load_weights(view, tensors, where=f"this {network.spec.name}", assign=True)
    view.eval()
    for module in view.modules():
        if isinstance(module, nn.BatchNorm2d) and statistics == "batch":
            module.train()
    return view


@contextlib.contextmanager
def watched(modules: Mapping[str, nn.Module], hook: Hook) -> Iterator[None]:
    """Call a function after each module with its name, itself, its first input and its output.

    What the function returns, if not None, takes the output's place. The hooks are removed
    whatever happens.
    """

    def after(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
        return lambda module, inputs, output: hook(name, module, inputs[0], output)

    handles = [module.register_forward_hook(after(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def batches(
    network: nn.Module, images: Tensor, batch_size: int, labels: Tensor | None = None
) -> Iterator[Any]:
    """Yield images, or pairs of images and labels, on the network's device.

    Args:
        network: where they are wanted.
        images: network input, float (N, in_chans, H, W).
        batch_size: images at once.
        labels: int64 (N,), or None for images alone.

    Raises:
        DataError: no images, or another number of labels.
        UsageError: a batch size below 1.
    """
    if batch_size < 1:
        raise UsageError(f"the batch size must be 1 or more, received {batch_size}")
    if not len(images):
        raise DataError("there are no images to look at")
    if labels is not None and len(labels) != len(images):
        raise DataError(f"received {len(images)} images and {len(labels)} labels")
    device = next(network.parameters()).device
    for start in range(0, len(images), batch_size):
        part = images[start : start + batch_size].to(device)
        part = part.contiguous(memory_format=torch.channels_last)
        if labels is None:
            yield part
        else:
            yield part, labels[start : start + batch_size].to(device)


class Moments:
    """Count, mean and variance of values that come in parts, merged without loss.

    Source: Chan, Golub and LeVeque 1983, equation 2.1.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0  # summed squares of distances from the mean

    def add(self, values: Tensor) -> None:
        """Take all values of a tensor in."""
        variance, mean = torch.var_mean(values.double(), correction=0)
        count, shift = values.numel(), float(mean) - self.mean
        total = self.count + count
        self._squares += float(variance) * count + shift**2 * self.count * count / total
        self.mean += shift * count / total
        self.count = total

    @property
    def std(self) -> float:
        """The standard deviation over all values (not corrected: there are very many)."""
        return float((self._squares / self.count) ** 0.5)

    @property
    def rms(self) -> float:
        """The root of the mean square over all values."""
        return float((self._squares / self.count + self.mean**2) ** 0.5)
