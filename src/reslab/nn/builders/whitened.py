"""Networks behind a whitening convolution (Jordan 2024, arXiv 2404.00498), as modules."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from reslab.nn.blocks import ResidualBlock, conv
from reslab.nn.build import builds
from reslab.nn.head import Head
from reslab.nn.network import Network
from reslab.nn.stage import Stage
from reslab.nn.whitening import WhiteningConv2d
from reslab.spec.whitened import Activation, WhitenedSpec

NORM_EPS = 1e-12


class GlobalMaxPool(nn.Module):
    """Take the largest value of every channel over all its positions."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C)."""
        return x.amax(dim=(2, 3))


class ScaledHead(Head):
    """logits = scale * W dropout(max(x)), without a bias.

    Args:
        num_features: channels of the last map.
        num_classes: number of logits; 0 leaves the features as they are.
        dropout: probability of dropping a feature.
        scale: of the logits.
    """

    def __init__(
        self, *, num_features: int, num_classes: int, dropout: float, scale: float
    ) -> None:
        super().__init__(
            GlobalMaxPool(), num_features=num_features, num_classes=num_classes, dropout=dropout
        )
        self.scale = scale

    def forward(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Compute the logits (B, num_classes), or the features before the classifier."""
        x = super().forward(x, pre_logits)
        bare = pre_logits or isinstance(self.classifier, nn.Identity)
        return x if bare else x * self.scale

    def _make_classifier(self, num_classes: int) -> nn.Module:
        if not num_classes:
            return nn.Identity()
        return nn.Linear(self.num_features, num_classes, bias=False)


class GeluResidualBlock(ResidualBlock):
    """y = gelu(F(x) + shortcut(x))."""

    def __init__(self, branch: nn.Module, shortcut: nn.Module) -> None:
        super().__init__(branch, shortcut)
        self.act = nn.GELU()


@builds(WhitenedSpec)
def build_whitened(spec: WhitenedSpec) -> Network:
    """Assemble whitening, groups and classifier as in Jordan 2024, section 3.1."""
    whitening = WhiteningConv2d(spec.in_chans, spec.whitening)
    width = whitening.out_channels
    features, stages = [(width, 1)], {}
    for number, group_width in enumerate(spec.widths, start=1):
        stages[f"group{number}"] = make_group(spec, width, group_width)
        width = group_width
        features.append((width, 2**number))
    network = Network(
        spec,
        stem=nn.Sequential(OrderedDict(conv=whitening, act=make_act(spec.act))),
        stages=stages,
        head=ScaledHead(
            num_features=width,
            num_classes=spec.num_classes,
            dropout=spec.dropout,
            scale=spec.logit_scale,
        ),
        features=features,
        min_size=2 ** len(spec.widths) + spec.whitening - 1,
    )
    begin(network)
    return network


def make_group(spec: WhitenedSpec, in_width: int, width: int) -> Stage:
    """group(x) = act(BN(W2 act(BN(pool(W1 x))))), or with a residual block of two in W2's place."""
    children: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=conv(in_width, width, 3),
        pool=nn.MaxPool2d(2),
        norm1=make_norm(spec, width),
        act1=make_act(spec.act),
        conv2=conv(width, width, 3),
        norm2=make_norm(spec, width),
        act2=make_act(spec.act),
    )
    if spec.convolutions == 2:
        return Stage(children)
    layers = [(name, children.pop(name)) for name in ("conv2", "norm2", "act2")]
    branch = OrderedDict(layers, conv3=conv(width, width, 3), norm3=make_norm(spec, width))
    block = ResidualBlock if spec.act == "relu" else GeluResidualBlock
    children["block"] = block(nn.Sequential(branch), nn.Identity())
    return Stage(children)


def make_act(act: Activation) -> nn.Module:
    """Make the activation of that name."""
    return nn.ReLU() if act == "relu" else nn.GELU()


def make_norm(spec: WhitenedSpec, width: int) -> nn.BatchNorm2d:
    """Make a batch norm that learns its shift; the scale is 1, kept as a buffer."""
    norm = nn.BatchNorm2d(width, eps=NORM_EPS, momentum=spec.norm_momentum)
    scale = norm.weight.detach()
    del norm.weight
    norm.register_buffer("weight", scale)
    return norm


def begin(network: Network) -> None:
    """Start convolutions as the identity as far as their inputs go, the rest uniform.

    W ~ U(-a, a), a^2 = 1 / fan_in, which torch's layers begin with; of a convolution with n input
    channels the first n filters copy the channel of their number.

    Source: Jordan 2024, section 3.3.
    """
    for module in network.modules():
        if isinstance(module, WhiteningConv2d):
            module.begin()
        elif isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.dirac_(module.weight.data[: module.in_channels])
