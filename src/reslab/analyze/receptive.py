"""Receptive fields measured by gradient: which pixels change a value, and by how much."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import torch
from torch import Tensor, nn

from reslab.analyze.view import batches, view_of, watched
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.networks.cost import measure
from reslab.networks.network import Network, build

LARGEST_SIDE = 640


@dataclasses.dataclass(frozen=True)
class ReceptiveField:
    """Which pixels one value in the middle of a map depends on.

    Args:
        layer: the module whose output was looked at.
        computed: side of the square by the recursion over kernels and strides; 0 for the whole
            image.
        measured: side of the square of pixels with a gradient that is not zero.
        side: side of the image it was measured on.
    """

    layer: str
    computed: int
    measured: int
    side: int

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class EffectiveField:
    """How strongly each pixel of the image moves the middle of a map.

    Args:
        layer: the module whose output was looked at.
        num_images: how many images the gradients were averaged over.
        strength: root mean square of the gradient by pixel over images and channels, (H, W),
            divided by its maximum.
        side: side of the square with as many pixels as are needed for 95% of the sum of
            squares.
    """

    layer: str
    num_images: int
    strength: tuple[tuple[float, ...], ...]
    side: float

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self)


def receptive_field(network: Network, layer: str) -> ReceptiveField:
    """Measure the side of the square of pixels that have a gradient, and compute it.

    Only the structure counts. In a copy all weights become positive (1 / (k C) for a kernel of
    k x k over C channels: values grow and gradients fade slowly enough for 64-bit arithmetic),
    batch norms become the identity, and max pools average, because any of their pixels may be
    the largest. So no gradient is zero by chance. The image is large enough for the square to
    lie inside.

    Args:
        network: any network, on any device, the meta device included; it stays as it is.
        layer: a module of stem or stages, as the state dictionary names it.

    Raises:
        UsageError: no such module, one that sees the whole image, or a field too large to
            measure.
    """
    spec = network.spec
    computed = {row.name: row for row in measure(spec).layers}
    with torch.device("meta"):
        view = build(spec).double().eval()
    if layer not in computed or layer.startswith("head"):
        raise UsageError(
            f"{spec.name} has no layer {layer} with weights in front of its head",
            remedy="see the names in: reslab show " + spec.name,
        )
    field, stride = computed[layer].receptive_field, computed[layer].stride
    side = max(view.min_size, field + 4 * max(stride, 1) + 1)
    if field == 0 or side > LARGEST_SIDE:
        raise UsageError(f"{layer} sees {field or 'all'} pixels: too many to measure")
    for part in (view.stem, view.stages):  # heads are large, and nobody asks for theirs
        _only_structure(part.to_empty(device="cpu"))
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, spec.in_chans, side, side, generator=generator, dtype=torch.float64)
    gradient = _gradient_of_the_middle(view, layer, image + 0.5)[0].abs().sum(0)
    rows, columns = (gradient.sum(dim).nonzero().flatten().tolist() for dim in (1, 0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    return ReceptiveField(layer, field, max(height, width), side)


def effective_field(
    network: Network, layer: str, images: Tensor, *, batch_size: int = 64
) -> EffectiveField:
    """Measure how strongly pixels move the middle of a map, with the network's own weights.

    The gradient of the sum over channels at the middle position. It is far from uniform over
    the receptive field: most of it comes from the centre.

    Args:
        network: any network; it stays as it is.
        layer: a module of stem or stages, as the state dictionary names it.
        images: network input, (N, in_chans, H, W).
        batch_size: images at once.

    Raises:
        UsageError: no such module.

    Source: Luo et al. 2016, Understanding the Effective Receptive Field in Deep Convolutional
    Neural Networks (arXiv 1701.04128), section 3.
    """
    view = view_of(network)
    if layer not in dict(view.named_modules()) or not layer.startswith(("stem", "stages.")):
        raise UsageError(f"{network.spec.name} has no module {layer} in front of its head")
    squares = torch.zeros(images.shape[2:], dtype=torch.float64)
    for part in batches(view, images, batch_size):
        gradient = _gradient_of_the_middle(view, layer, part)
        squares += gradient.double().square().sum((0, 1)).cpu()
    ordered = squares.flatten().sort(descending=True).values.cumsum(0)
    needed = int((ordered < 0.95 * ordered[-1]).sum()) + 1 if ordered[-1] > 0 else 0
    strength = (squares / squares.max().clamp(min=1e-300)).sqrt()
    rows = tuple(tuple(row) for row in strength.tolist())
    return EffectiveField(layer, len(images), rows, math.sqrt(needed))


def _gradient_of_the_middle(view: Network, layer: str, images: Tensor) -> Tensor:
    """Return d (sum over channels at the middle position of a module's output) / d image."""
    outputs: list[Tensor] = []

    def keep(_name: str, _module: nn.Module, _x: Tensor, output: Tensor) -> None:
        outputs.append(output)

    images = images.detach().clone().requires_grad_()
    with torch.enable_grad(), watched({layer: view.get_submodule(layer)}, keep):
        view.forward_features(images)
    (output,) = outputs
    middle = output[:, :, output.shape[2] // 2, output.shape[3] // 2].sum()
    (gradient,) = torch.autograd.grad(middle, images)
    return gradient


@torch.no_grad()
def _only_structure(part: nn.Module) -> None:
    """Make every weight positive, norms the identity and max pools averages."""
    for module in list(part.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.MaxPool2d):
                setattr(module, name, _average_of(child))
            elif isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            module.weight.fill_(math.sqrt(math.prod(module.kernel_size)) / fan_in)
            if module.bias is not None:
                module.bias.zero_()


def _average_of(pool: nn.MaxPool2d) -> nn.AvgPool2d:
    return nn.AvgPool2d(pool.kernel_size, pool.stride, pool.padding, ceil_mode=pool.ceil_mode)
