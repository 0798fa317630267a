"""A network: stem, stages and head, the surface that every one has, and the way from a spec."""

from __future__ import annotations

import contextlib
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypedDict, TypeVar

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from reslab.errors import UsageError
from reslab.networks import spec as specs
from reslab.networks.spec import NetworkSpec

SpecT = TypeVar("SpecT", bound=NetworkSpec)


class Stage(nn.Sequential):
    """x -> block_n(... block_1(x)).

    With `recompute` set, only the maps between segments of blocks are kept for the backward
    pass, which computes the rest again: gradients and batch-norm statistics stay the same.

    Source: Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost (arXiv 1604.06174).
    """

    recompute = False

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the blocks one after the other."""
        if not (self.recompute and torch.is_grad_enabled()):
            return super().forward(x)  # type: ignore[no-any-return]
        for segment in self.segments():
            x = _recomputed(segment, x)
        return x

    def segments(self) -> list[nn.Sequential]:
        """Cut the stage so that kept maps and one segment's inner maps are fewest together.

        A block makes about four maps of the size of its input. With k blocks a segment, n / k
        maps are kept and 4 k are recomputed at a time; the sum is least at k = sqrt(n) / 2.
        """
        blocks = list(self)
        length = max(1, round(math.sqrt(len(blocks)) / 2))  # the root of d(n / k + 4 k) / dk
        starts = range(0, len(blocks), length)
        return [nn.Sequential(*blocks[start : start + length]) for start in starts]


def _recomputed(blocks: nn.Module, x: torch.Tensor) -> torch.Tensor:
    if torch.compiler.is_compiling():  # a compiled backward pass recomputes values, not updates
        return checkpoint(blocks, x, use_reentrant=False)  # type: ignore[no-any-return]
    return checkpoint(  # type: ignore[no-any-return]
        blocks,
        x,
        use_reentrant=False,
        context_fn=lambda: (contextlib.nullcontext(), _keep_statistics(blocks)),
    )


@contextlib.contextmanager
def _keep_statistics(blocks: nn.Module) -> Iterator[None]:
    """Let batch norms update copies: the first pass has already counted this batch."""
    norms = [m for m in blocks.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = [dict(norm.named_buffers(recurse=False)) for norm in norms]
    try:
        for norm, buffers in zip(norms, kept, strict=True):
            for name, value in buffers.items():
                setattr(norm, name, value.clone())  # a buffer by that name stays registered
        yield
    finally:
        for norm, buffers in zip(norms, kept, strict=True):
            for name, value in buffers.items():
                setattr(norm, name, value)


class GlobalAveragePool(nn.Module):
    """Average every channel over all its positions, whatever the size of the map."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to (B, C)."""
        return x.mean(dim=(2, 3))


class Head(nn.Module):
    """logits = W dropout(features(x)) + b.

    Args:
        features: from feature maps to one vector an image, (B, C, H, W) to (B, num_features).
        num_features: length of that vector.
        num_classes: number of logits; 0 leaves the features as they are.
        dropout: probability of dropping a feature.
    """

    classifier: nn.Module

    def __init__(
        self, features: nn.Module, *, num_features: int, num_classes: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.features = features
        self.num_features = num_features
        self.dropout = nn.Dropout(dropout)
        self.classifier = self._make_classifier(num_classes)

    def forward(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Compute the logits (B, num_classes), or the features before the classifier."""
        x = self.dropout(self.features(x))
        return x if pre_logits else self.classifier(x)

    def reset(self, num_classes: int, dropout: float | None, like: torch.Tensor) -> None:
        """Put a new classifier in place of the old one, of the device and type of `like`.

        The head stays in the mode that it is in.
        """
        classifier = self._make_classifier(num_classes)
        initialize(classifier)
        self.classifier = classifier.to(like).train(self.training)
        if dropout is not None:
            self.dropout.p = dropout

    def _make_classifier(self, num_classes: int) -> nn.Module:
        return nn.Linear(self.num_features, num_classes) if num_classes else nn.Identity()


class AuxiliaryHead(nn.Module):
    """A second classifier on an inner map, which only the training loss sees.

    Args:
        head: feature maps to logits.
        stage: name of the stage it looks into.
        block: name of the block whose output it takes.
        weight: of its loss beside the network's own, which has weight 1.

    Source: Szegedy et al. 2014 (arXiv 1409.4842), section 5.
    """

    def __init__(self, head: Head, *, stage: str, block: str, weight: float) -> None:
        super().__init__()
        self.head = head
        self.stage = stage
        self.block = block
        self.weight = weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits (B, num_classes) from the inner map."""
        return self.head(x)  # type: ignore[no-any-return]


class Feature(TypedDict):
    """One feature map: its channels, how often it halves the image, where it comes from."""

    num_chs: int
    reduction: int
    module: str


class FeatureInfo(list[Feature]):
    """The feature maps of a network, from the stem to the last stage."""

    def channels(self) -> list[int]:
        """Return the channels of each map."""
        return [feature["num_chs"] for feature in self]

    def reduction(self) -> list[int]:
        """Return the side of the image over the side of each map."""
        return [feature["reduction"] for feature in self]

    def module_name(self) -> list[str]:
        """Return the name of the module that puts out each map."""
        return [feature["module"] for feature in self]


class Network(nn.Module):
    """logits = head(stages(stem(x))).

    Args:
        spec: what the network is; kept, and updated when the classifier is replaced.
        stem: the first layers.
        stages: the runs of blocks by name, in order.
        head: feature maps to logits.
        features: channels and reduction of the stem's map and of each stage's.
        min_size: least side of an input image; the reduction of the last map if not given.
        auxiliary: classifiers on inner maps for the training loss; `forward` never runs them.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        *,
        stem: nn.Module,
        stages: Mapping[str, Stage],
        head: Head,
        features: Sequence[tuple[int, int]],
        min_size: int | None = None,
        auxiliary: Sequence[AuxiliaryHead] = (),
    ) -> None:
        super().__init__()
        assert len(features) == 1 + len(stages), "one feature map for the stem and each stage"
        self.spec = spec
        self.stem = stem
        self.stages = nn.Sequential(OrderedDict(stages))
        self.head = head
        self.auxiliary = nn.ModuleList(auxiliary)
        modules = ["stem", *(f"stages.{name}" for name in stages)]
        self.feature_info = FeatureInfo(
            Feature(num_chs=width, reduction=reduction, module=module)
            for (width, reduction), module in zip(features, modules, strict=True)
        )
        # A smaller image would be subsampled to nothing.
        self.min_size = min_size or self.feature_info[-1]["reduction"]
        self._frozen: list[nn.Module] = []

    def __repr__(self) -> str:
        from reslab.networks.summary import network_text

        return network_text(self)

    def _repr_html_(self) -> str:
        from reslab.networks.summary import network_card

        return network_card(self)

    @property
    def num_classes(self) -> int:
        """The number of logits; 0 without a classifier."""
        return self.spec.num_classes

    @property
    def num_features(self) -> int:
        """The length of the vector before the classifier."""
        return self.head.num_features

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute logits.

        Args:
            x: normalised images, (B, in_chans, H, W).

        Returns:
            (B, num_classes); (B, num_features) for a network without a classifier.

        Raises:
            UsageError: another number of channels, or images smaller than `min_size`.
        """
        return self.forward_head(self.forward_features(x))

    def forward_features(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the last feature map, (B, channels, H / reduction, W / reduction)."""
        check_input(self.spec, self.min_size, x.shape)
        return self.stages(self.stem(x))  # type: ignore[no-any-return]

    def forward_head(self, x: torch.Tensor, pre_logits: bool = False) -> torch.Tensor:
        """Compute logits from the last feature map, or the vector before the classifier."""
        return self.head(x, pre_logits)  # type: ignore[no-any-return]

    def training_logits(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Compute what the training loss sees: the logits, then those of each auxiliary head."""
        check_input(self.spec, self.min_size, x.shape)
        x, auxiliary = self.stem(x), []
        # Block by block only where a head looks in: Stage.forward knows how to recompute.
        for name, stage in self.stages.named_children():
            heads = [head for head in self.auxiliary_heads() if head.stage == name]
            for block_name, block in stage.named_children() if heads else [("", stage)]:
                x = block(x)
                auxiliary += [head(x) for head in heads if head.block == block_name]
        return [self.forward_head(x), *auxiliary]

    def loss_weights(self) -> list[float]:
        """Return the weight of each of the `training_logits` in the loss; the first is 1."""
        return [1.0, *(head.weight for head in self.auxiliary_heads())]

    def auxiliary_heads(self) -> list[AuxiliaryHead]:
        """Return the auxiliary heads in the order of their stages."""
        return list(self.auxiliary)  # type: ignore[arg-type]

    def get_classifier(self) -> nn.Module:
        """Return the layer that puts out the logits."""
        return self.head.classifier

    def reset_classifier(self, num_classes: int, dropout: float | None = None) -> None:
        """Replace the classifier by a new one; the rest keeps its weights.

        Args:
            num_classes: width of the new logits; 0 takes the classifier away.
            dropout: probability of dropping a feature before it; None leaves it.
        """
        self.spec = specs.replace(
            self.spec,
            num_classes=num_classes,
            dropout=self.spec.dropout if dropout is None else dropout,
        )
        like = next(self.stem.parameters())
        self.head.reset(num_classes, dropout, like=like)
        for auxiliary in self.auxiliary_heads():
            auxiliary.head.reset(num_classes, None, like=like)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keep few maps of each stage for the backward pass, which recomputes the others."""
        for stage in self.stages:
            assert isinstance(stage, Stage)
            stage.recompute = enable

    def parts(self) -> dict[str, nn.Module]:
        """Return the parts before the head in order: the stem, then the stages."""
        return {"stem": self.stem, **dict(self.stages.named_children())}

    def freeze(self, count: int) -> None:
        """Fix leading parts: no gradients, and batch norms keep their running statistics.

        An auxiliary head that looks into a fixed part is fixed too: it has nothing to teach.

        Args:
            count: 1 for the stem, 2 for the first stage too, and so on; -1 for all but the
                classifier; 0 lets everything learn again.
        """
        parts = list(self.parts().values())
        if not -1 <= count <= len(parts):
            raise UsageError(
                f"freeze must be -1 to {len(parts)} for {self.spec.name} "
                f"({', '.join(self.parts())}), received {count}"
            )
        self._frozen = [*parts, self.head.features] if count == -1 else parts[:count]
        self._frozen += [
            head
            for head in self.auxiliary_heads()
            if self.stages.get_submodule(head.stage) in self._frozen
        ]
        self.requires_grad_(True)
        for part in self._frozen:
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; frozen parts stay in evaluation."""
        super().train(mode)  # switches every module, the frozen ones too
        for part in self._frozen:
            part.eval()
        return self


def check_input(spec: NetworkSpec, min_size: int, shape: Sequence[int]) -> None:
    """Raise UsageError where an input of this shape cannot be computed."""
    if len(shape) != 4 or shape[1] != spec.in_chans:
        raise UsageError(
            f"{spec.name} takes images of shape (batch, {spec.in_chans}, height, width), "
            f"received {tuple(shape)}"
        )
    if min(shape[2], shape[3]) < min_size:
        raise too_small(spec, f"{shape[2]}x{shape[3]}", min_size)


def too_small(
    spec: NetworkSpec, received: str, least: int, *, small_stem: bool = False
) -> UsageError:
    """Build the error for images that a network would subsample to nothing.

    Args:
        spec: of the network.
        received: the images' size, as "3x3".
        least: the least side that the network takes, pixels.
        small_stem: whether the network's stem for small images takes them.
    """
    enlarge = f"--img-size {least} enlarges them"
    return UsageError(
        f"{spec.name} needs images of at least {least}x{least} pixels, received {received}",
        remedy=f"{enlarge}, --stem small takes them as they are" if small_stem else enlarge,
    )


class FeatureMaps(nn.Module):
    """x -> [map of the stem, map of each stage]: a network without its head.

    Args:
        network: the network; its modules are used, not copied.
        out_indices: which maps to put out; all of them if not given. Stages after the last
            one are left out.

    Raises:
        UsageError: an index of no map, or no index at all.
    """

    def __init__(self, network: Network, out_indices: Sequence[int] | None = None) -> None:
        super().__init__()
        count = len(network.feature_info)
        wanted = range(count) if out_indices is None else out_indices
        allowed = f"out_indices of {network.spec.name} must be {-count} to {count - 1}"
        for index in wanted:
            if not -count <= index < count:
                raise UsageError(f"{allowed}, received {index}")
        self.out_indices = sorted({index % count for index in wanted})
        if not self.out_indices:
            raise UsageError(f"{allowed}, received none", remedy="leave them out for every map")
        self.feature_info = FeatureInfo(network.feature_info[i] for i in self.out_indices)
        self.parts = nn.ModuleDict(dict(list(network.parts().items())[: self.out_indices[-1] + 1]))
        self.spec = network.spec
        self.min_size = network.min_size

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return one map an index, (B, num_chs, H / reduction, W / reduction)."""
        check_input(self.spec, self.min_size, x.shape)
        maps = []
        for index, part in enumerate(self.parts.values()):
            x = part(x)
            if index in self.out_indices:
                maps.append(x)
        return maps


_BUILDERS: dict[type[NetworkSpec], Callable[[Any], Network]] = {}


def builds(
    spec_type: type[SpecT],
) -> Callable[[Callable[[SpecT], Network]], Callable[[SpecT], Network]]:
    """Register the function that turns one type of specification into a network."""

    def register(builder: Callable[[SpecT], Network]) -> Callable[[SpecT], Network]:
        assert spec_type not in _BUILDERS, f"{spec_type.__name__} has two builders"
        _BUILDERS[spec_type] = builder
        return builder

    return register


def build(spec: NetworkSpec) -> Network:
    """Turn a specification into a newly initialized network, in training mode.

    Under ``with torch.device("meta")`` it takes no memory and no time.

    Raises:
        UsageError: the specification's image size is less than the network can take.
    """
    # The type's own file has registered its builder: whoever holds a spec has imported it.
    assert type(spec) in _BUILDERS, f"no builder for {type(spec).__name__}"
    network = _BUILDERS[type(spec)](spec)
    if spec.img_size < network.min_size:
        received = f"{spec.img_size}x{spec.img_size}"
        raise too_small(spec, received, network.min_size, small_stem=_fits_small_stem(spec))
    return network


def _fits_small_stem(spec: NetworkSpec) -> bool:
    """Tell whether the network takes its image size with the stem for small images."""
    try:
        small = spec.with_stem("small")
    except UsageError:  # it has only one stem
        return False
    with torch.device("meta"):
        return _BUILDERS[type(small)](small).min_size <= spec.img_size


def initialize(network: nn.Module) -> None:
    """W ~ N(0, 2 / fan_in), b = 0; batch norms start as the identity (scale 1, shift 0).

    fan_in is the number of inputs that one output value sums over: kernel area times input
    channels for a convolution, the input length for a linear layer.

    Source: He et al. 2015, "Delving Deep into Rectifiers" (arXiv 1502.01852), equation 10,
    which the residual network papers use for every weight layer.
    """
    for module in network.modules():
        if any(p.is_meta for p in module.parameters(recurse=False)):
            continue  # nothing to fill, and pretending takes long for deep networks
        if isinstance(module, nn.Conv2d | nn.Linear):
            # In the order of `modules()`: another order would draw other weights from a seed.
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def min_input_size(
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
