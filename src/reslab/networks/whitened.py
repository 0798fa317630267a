"""Fast networks for small images behind a whitening convolution (Jordan 2024)."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reslab.errors import UsageError
from reslab.networks.blocks import ResidualBlock, conv
from reslab.networks.network import Head, Network, Stage, builds
from reslab.networks.spec import Entry, NetworkSpec, Published, Section, spec_kind

Activation = Literal["gelu", "relu"]


@spec_kind("whitened")
@dataclasses.dataclass(frozen=True, kw_only=True)
class WhitenedSpec(NetworkSpec):
    """A whitening convolution, groups of convolutions that halve the map, a max over positions.

    The whitening convolution makes independent values of equal power out of the colours of
    neighbouring pixels. Its weights follow from the training images and stay; its bias learns.
    Batch norms learn their shift and keep the scale 1.

    Args:
        widths: channels of each group.
        convolutions: in each group: 2, or 3 with a shortcut around the last two. A 2x2 max pool
            follows the first one.
        act: the activation behind each batch norm and the whitening convolution.
        whitening: side of the whitening convolution, pixels.
        norm_momentum: share of the new batch in the running statistics of batch norms.
        logit_scale: what the classifier's output is multiplied with.
    """

    widths: tuple[int, ...] = (64, 256, 256)
    convolutions: int = 2
    act: Activation = "gelu"
    whitening: int = 2
    norm_momentum: float = 0.4
    logit_scale: float = 1 / 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.widths or min(self.widths) < 1:
            raise UsageError(f"each group needs channels, received widths {self.widths}")
        if self.convolutions not in (2, 3):
            raise UsageError(f"convolutions must be 2 or 3, received {self.convolutions}")
        if self.whitening < 1:
            raise UsageError(f"whitening must be 1 or more, received {self.whitening}")
        if not 0.0 < self.norm_momentum <= 1.0:
            raise UsageError(f"norm_momentum must be in (0, 1], received {self.norm_momentum}")
        if self.logit_scale <= 0.0:
            raise UsageError(f"logit_scale must be more than 0, received {self.logit_scale}")


# Keeps directions that patches hardly vary in, noise mostly, from being blown up.
SMALLEST_POWER = 5e-4
NORM_EPS = 1e-12  # as in the author's release


class WhiteningConv2d(nn.Conv2d):
    """y = [V x, -V x] + b over patches x: V whitens them, b learns.

    Row i of V is e_i / sqrt(v_i + 5e-4) for the eigenvectors e_i and eigenvalues v_i of the
    second moments of the patches, the largest first. V is no parameter: it is computed once
    from images (`fit`) and kept with the weights. Until then it is an orthogonal matrix.

    Args:
        in_chans: channels of the image.
        kernel: side of a patch, pixels.

    Source: Jordan 2024 (arXiv 2404.00498), section 3.2; after Page 2019 ("How to Train Your
        ResNet 8: Bag of Tricks") and tysam-code's hlb-CIFAR10.
    """

    weight: Tensor

    def __init__(self, in_chans: int, kernel: int) -> None:
        super().__init__(in_chans, 2 * in_chans * kernel**2, kernel)
        # A buffer is saved with the weights, but no optimizer touches it.
        value = self.weight.detach()
        del self.weight
        self.register_buffer("weight", value)

    @torch.no_grad()
    def initialize(self) -> None:
        """Fill V with a random orthogonal matrix, b with zeros."""
        if not self.weight.is_meta:
            half = self.weight[: len(self.weight) // 2]
            nn.init.orthogonal_(half.flatten(1))
            self.weight[len(half) :] = -half
            assert self.bias is not None
            nn.init.zeros_(self.bias)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Compute V from the patches of normalised images (B, in_chans, H, W)."""
        kernel = self.kernel_size[0]
        patches = F.unfold(images.float().contiguous(), kernel)
        width = patches.shape[1]
        rows = patches.transpose(1, 2).reshape(-1, width).double()
        # In float64: in float32 the small eigenvalues, which are divided by, lose their digits.
        power, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
        # An eigenvector's sign is arbitrary: the largest entry shall be positive anywhere.
        largest = vectors.abs().argmax(0, keepdim=True)
        vectors = vectors * vectors.gather(0, largest).sign()
        # eigh returns the smallest eigenvalue first, and eigenvectors as columns.
        whitening = (vectors / (power + SMALLEST_POWER).sqrt()).flip(1).T
        shaped = whitening.reshape(width, -1, kernel, kernel)
        # Both signs, as what follows is close to zero below zero.
        self.weight.copy_(torch.cat([shaped, -shaped]))


def fit_to_images(network: nn.Module, images: Callable[[], Tensor]) -> bool:
    """Give the layers whose weights follow from images their weights.

    Args:
        network: as built; changed in place.
        images: returns normalised training images; asked only where a layer needs them.

    Returns:
        Whether there is such a layer.
    """
    layers = [m for m in network.modules() if isinstance(m, WhiteningConv2d)]
    if layers:
        seen = images()
        for layer in layers:
            layer.fit(seen.to(layer.weight.device))
    return bool(layers)


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
        min_size=2 ** len(spec.widths) + spec.whitening - 1,  # whitening pads nothing
    )
    initialize_dirac(network)
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


def initialize_dirac(network: Network) -> None:
    """Start convolutions as the identity as far as their inputs go, the rest uniform.

    W ~ U(-a, a), a^2 = 1 / fan_in, which torch's layers begin with; of a convolution with n input
    channels the first n filters copy the channel of their number.

    Source: Jordan 2024, section 3.3.
    """
    for module in network.modules():
        if isinstance(module, WhiteningConv2d):
            module.initialize()
        elif isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.dirac_(module.weight.data[: module.in_channels])


SOURCE = "Jordan 2024, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU (arXiv 2404.00498)"
PROTOCOL = "CIFAR-10 test, mean over runs, six views an image"
ANY_SIZE = (
    "the max over all positions closes the network at any image size; the paper's 3x3 pool does at "
    "32 px"
)
ALIKE = (
    "the sign of each row of the whitening is fixed (its largest entry is positive), and it is "
    "computed in float64"
)


def _entry(
    spec: WhitenedSpec,
    summary: str,
    *,
    family: str,
    source: str,
    paper: Published | None = None,
    deviations: tuple[str, ...] = (),
) -> Entry:
    return Entry(
        family=family,
        spec=spec,
        source=f"{SOURCE}, {source}",
        summary=summary,
        paper=paper or {},
        deviations=(*deviations, ANY_SIZE, ALIKE),
    )


def _spec(name: str, **changes: object) -> WhitenedSpec:
    return WhitenedSpec(name=name, num_classes=10, img_size=32, **changes)  # type: ignore[arg-type]


ENTRIES: tuple[Entry, ...] = (
    _entry(
        _spec("airbench94"),
        "whitened, GELU",
        family="plain",
        source="section 3.1",
        paper={"error_pct": 5.99, "params": 1.97e6, "protocol": PROTOCOL},
    ),
    _entry(
        _spec("airbench94_relu", act="relu"),
        "whitened, ReLU",
        family="plain",
        source="section 3.1",
        deviations=(
            "ReLU in place of GELU: with batch norm it is one pass over the map on a processor",
        ),
    ),
    _entry(
        _spec("airbench96", widths=(128, 384, 512), convolutions=3, norm_momentum=0.1),
        "whitened residual",
        family="resnet",
        source="the author's release of airbench96",
        paper={"error_pct": 3.97, "protocol": PROTOCOL},
    ),
)

SECTIONS = (
    Section("Fast networks for small images behind a whitening convolution (Jordan 2024)", ENTRIES),
)
