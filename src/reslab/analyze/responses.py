"""How strongly each layer responds: figure 7 of He et al. 2015."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from reslab.analyze.view import Moments, Statistics, batches, view_of, watched
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.network import Network


@dataclasses.dataclass(frozen=True)
class LayerResponse:
    """The response of one convolution.

    Args:
        name: the convolution's module.
        measured_at: the module whose output is the response: the batch norm right behind the
            convolution, or the convolution itself.
        std: standard deviation of the response over images, channels and positions.
        mean: its mean.
    """

    name: str
    measured_at: str
    std: float
    mean: float


@dataclasses.dataclass(frozen=True)
class Responses:
    """The responses of a network's layers.

    Args:
        network: its name.
        num_images: how many images they were measured on.
        kernel: side of the convolutions that were looked at; 0 for all.
        layers: in the order they run (the figure's top).
    """

    network: str
    num_images: int
    kernel: int
    layers: tuple[LayerResponse, ...]

    __repr__ = short_repr

    @property
    def stds(self) -> tuple[float, ...]:
        """Standard deviations in the order the layers run."""
        return tuple(layer.std for layer in self.layers)

    @property
    def sorted_stds(self) -> tuple[float, ...]:
        """Standard deviations from the largest to the smallest (the figure's bottom)."""
        return tuple(sorted(self.stds, reverse=True))

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            **dataclasses.asdict(self),
            "stds": list(self.stds),
            "sorted_stds": list(self.sorted_stds),
        }


def layer_responses(
    network: Network,
    images: Tensor,
    *,
    kernel: int = 3,
    statistics: Statistics = "running",
    batch_size: int = 128,
) -> Responses:
    """Measure std(response) of each 3x3 layer: after its batch norm, before ReLU or addition.

    For a residual network the response of a branch's last layer is F, which is added. Where no
    batch norm reads what a convolution puts out (the last one of a pre-activation branch, or
    a network without norms), its own output is the response.

    The paper does not say in which mode and over which images; here batch norms use their
    running statistics unless asked otherwise, and the deviation is over images, channels and
    positions together.

    Args:
        network: any network; it stays as it is.
        images: network input, (N, in_chans, H, W); the paper's figure is of CIFAR-10.
        kernel: side of the convolutions to look at; 0 for all.
        statistics: what batch norms normalise by.
        batch_size: images at once.

    Raises:
        UsageError: the network has no such convolution.

    Source: He et al. 2015 (arXiv 1512.03385), section 4.2, "Analysis of Layer Responses".
    """
    view = view_of(network, statistics=statistics)
    places = _places(view, next(batches(view, images[:2], min(batch_size, 2))), kernel)
    if not places:
        raise UsageError(
            f"{network.spec.name} has no convolution with a kernel of {kernel}x{kernel}",
            remedy="take kernel=0 for all of its convolutions",
        )
    found = {at: Moments() for at in places.values()}

    def hook(name: str, _module: nn.Module, _x: Tensor, output: Tensor) -> None:
        found[name].add(output)

    modules = {at: view.get_submodule(at) for at in found}
    with torch.inference_mode(), watched(modules, hook):
        for part in batches(view, images, batch_size):
            view(part)
    layers = (LayerResponse(name, at, found[at].std, found[at].mean) for name, at in places.items())
    return Responses(network.spec.name, len(images), kernel, tuple(layers))


def _places(view: Network, image: Tensor, kernel: int) -> dict[str, str]:
    """Find where each convolution's response is: at the norm that reads its output, or itself."""
    outputs: dict[str, Tensor] = {}
    places: dict[str, str] = {}

    def hook(name: str, module: nn.Module, x: Tensor, output: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            outputs[name], places[name] = output, name
            return
        for conv, seen in outputs.items():
            if seen is x:
                places[conv] = name

    modules = {
        name: module
        for name, module in view.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        or (isinstance(module, nn.Conv2d) and kernel in (0, module.kernel_size[0]))
    }
    with torch.inference_mode(), watched(modules, hook):
        view(image)
    return places
