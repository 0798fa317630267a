"""A deeper network that computes what a trained shallower one computes."""

from __future__ import annotations

import copy
import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping

import torch
import torch.nn.functional as F
from torch import nn

from reslab.networks import NetworkSpec
from reslab.networks.blocks import AdditiveBlock, PlainBlock, ResidualBlock
from reslab.networks.identity import NormAfterAdditionBlock
from reslab.networks.network import Network, build
from reslab.networks.resnet import ResNetSpec
from reslab.networks.surgery.deeper import deeper_spec, spread

FLOAT32_STEP = 2.0**-23
Moments = tuple[torch.Tensor, torch.Tensor]


def deepen(
    network: Network, target: NetworkSpec | str, images: torch.Tensor | None = None
) -> Network:
    """deep(x) = shallow(x): the trained layers, with identities among them that can learn.

    A new residual block begins as x + 0: the scale of its last batch norm is zero, in training
    mode as well. A new plain block begins as relu(x) = x for its input, which a ReLU has made
    non-negative: its convolutions hand on their input (Dirac), and its batch norms undo
    themselves in evaluation mode, scale sqrt(var + eps) and shift mean. In training mode they
    normalise by the batch, so mean and variance should be those of the block's input. They are
    measured on `images`; without them they follow from the batch norms before the block, for a
    normal distribution cut off at zero.

    Args:
        network: the trained network; it stays as it is.
        target: the deeper network, a specification or a name as for `deeper_spec`.
        images: normalised images, (B, in_chans, H, W), best some hundred of the training ones.

    Returns:
        A new network on the same device and in the same mode, where everything learns. The
        new convolutions of residual blocks are drawn from torch's generator.

    Raises:
        UsageError: the target is not a deeper form of the network, or its blocks cannot be
            the identity.

    Source: He et al. 2015 (arXiv 1512.03385), section 1, the solution "by construction"; Chen
    et al. 2016, Net2Net (arXiv 1511.05641), section 2.3, for plain networks.
    """
    spec = deeper_spec(network.spec, target)
    deep = build(spec)
    assert isinstance(network.spec, ResNetSpec)
    kept = _kept_names(network.spec, spec)
    tensors = deep.state_dict()
    for name, value in network.state_dict().items():
        new_name = _renamed(name, kept)
        assert tensors[new_name].shape == value.shape, f"{name} is of another shape"
        tensors[new_name] = value
    deep.load_state_dict(tensors)
    deep.to(next(network.parameters()))
    measured = functools.cache(lambda: {} if images is None else _measured(network, images))
    trained, origin = dict(_blocks(network)), {new: old for old, new in kept.items()}
    before = ""
    with torch.no_grad():
        for name, block in _blocks(deep):
            if name in origin:
                before = origin[name]
            else:
                _make_identity(block, functools.partial(_moments, before, measured, trained))
    return deep.train(network.training)


def _kept_names(shallow: ResNetSpec, deep: ResNetSpec) -> dict[str, str]:
    """Map each old block to the place it gets, both as names of modules."""
    return {
        f"stages.stage{number}.block{old + 1}": f"stages.stage{number}.block{new + 1}"
        for number, (few, many) in enumerate(zip(shallow.stages, deep.stages, strict=True), 1)
        for old, new in enumerate(spread(few.depth, many.depth))
    }


def _renamed(name: str, kept: dict[str, str]) -> str:
    block, rest = ".".join(name.split(".")[:3]), name.split(".")[3:]
    return ".".join([kept[block], *rest]) if block in kept else name


def _blocks(network: Network) -> Iterator[tuple[str, nn.Module]]:
    for stage_name, stage in network.stages.named_children():
        for name, block in stage.named_children():
            if name.startswith("block"):
                yield f"stages.{stage_name}.{name}", block


def _moments(
    name: str, measured: Callable[[], Mapping[str, Moments]], blocks: Mapping[str, nn.Module]
) -> Moments:
    """Return mean and variance, by channel, of what a trained block puts out."""
    return measured().get(name) or _expected(blocks[name])


def _measured(network: Network, images: torch.Tensor) -> dict[str, Moments]:
    """Run a copy in training mode: that is where the new batch norms need these numbers."""
    found: dict[str, Moments] = {}

    def look(name: str, output: torch.Tensor) -> None:
        values = output.double().transpose(0, 1).flatten(1)
        found[name] = (values.mean(1), values.var(1, unbiased=False))

    copied = copy.deepcopy(network)
    copied.freeze(0)  # frozen parts would stay in evaluation mode
    for name, block in _blocks(copied):
        block.register_forward_hook(lambda _, __, output, name=name: look(name, output))
    with torch.no_grad():
        copied.train()(images)
    return found


def _expected(block: nn.Module) -> Moments:
    """Return mean and variance of what a block puts out if batch norms put out normal values.

    Where a branch and a projection are added, they count as independent. A ReLU behind them
    cuts the normal distribution off at zero.
    """
    if isinstance(block, NormAfterAdditionBlock):
        last = [block.norm]
    else:
        paths = [path for name, path in block.named_children() if name in ("branch", "shortcut")]
        last = [norm for path in paths for norm in _norms(path)[-1:]]
    mean = torch.stack([norm.bias.double() for norm in last]).sum(0)
    variance = torch.stack([norm.weight.double() ** 2 for norm in last]).sum(0)
    if not isinstance(block, PlainBlock | ResidualBlock | NormAfterAdditionBlock):
        return mean, variance
    ratio = mean / variance.sqrt().clamp(min=1e-12)
    above = torch.special.ndtr(ratio)  # the share of values that the ReLU lets through
    density = variance.sqrt() * torch.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    cut_mean = mean * above + density
    square = (mean**2 + variance) * above + mean * density
    return cut_mean, (square - cut_mean**2).clamp(min=0)


def _make_identity(block: nn.Module, moments: Callable[[], Moments]) -> None:
    """Set a new block to y = x, for the values that reach it."""
    if isinstance(block, PlainBlock):
        _pass_through(block.branch, moments)
        return
    assert isinstance(block, ResidualBlock | AdditiveBlock | NormAfterAdditionBlock)
    last = list(block.branch.modules())[-1]
    assert isinstance(last, nn.BatchNorm2d | nn.Conv2d), "behind a ReLU it would never learn"
    nn.init.zeros_(last.weight)
    if last.bias is not None:
        nn.init.zeros_(last.bias)
    _pass_through(block.shortcut, moments)
    if isinstance(block, NormAfterAdditionBlock):
        _make_norm_identity(block.norm, *moments())


def _pass_through(layers: nn.Module, moments: Callable[[], Moments]) -> None:
    """Let convolutions and the batch norms behind them hand on their input as it is."""
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.in_channels == layer.out_channels
            nn.init.dirac_(layer.weight)
        elif isinstance(layer, nn.BatchNorm2d):
            _make_norm_identity(layer, *moments())


def _make_norm_identity(norm: nn.BatchNorm2d, mean: torch.Tensor, variance: torch.Tensor) -> None:
    """Set (x - mean) / sqrt(var + eps) * scale + shift to x, up to the last bit of float32.

    The scale follows from the variance, rounded; among the nearest variances the one is kept
    for which scale / sqrt(var + eps) comes out nearest to one, nearly always as one.
    """
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(mean)
    norm.bias.copy_(norm.running_mean)
    norm.running_var.copy_(variance)
    nothing, one = torch.zeros_like(norm.bias), torch.ones_like(norm.bias)[None]
    least = torch.full_like(norm.bias, math.inf)
    # The rounded values first: the loop ends once every channel is multiplied by exactly one.
    for scale_step, variance_step in itertools.product((0, -1, 1, -2, 2), range(-4, 5)):
        nearby = (norm.eps + variance.to(norm.bias)) * (1 + variance_step * FLOAT32_STEP) - norm.eps
        scale = (norm.eps + variance).sqrt().to(norm.bias) * (1 + scale_step * FLOAT32_STEP)
        product = F.batch_norm(one, nothing, nearby, scale, nothing, training=False, eps=norm.eps)
        nearer = (product[0] - 1).abs() < least
        least = torch.where(nearer, (product[0] - 1).abs(), least)
        norm.running_var.copy_(torch.where(nearer, nearby, norm.running_var))
        norm.weight.copy_(torch.where(nearer, scale, norm.weight))
        if not least.any():
            break


def _norms(module: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
