"""The model surface: what every network can do, whatever it is made of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import nn

from reslab import spec as specs
from reslab.errors import UsageError
from reslab.nn.features import Feature, FeatureInfo
from reslab.nn.head import AuxiliaryHead, Head
from reslab.nn.stage import Stage


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
        spec: specs.NetworkSpec,
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
        self.min_size = min_size or self.feature_info[-1]["reduction"]
        self._fixed: list[nn.Module] = []

    def __repr__(self) -> str:
        from reslab.nn.card import network_text

        return network_text(self)

    def _repr_html_(self) -> str:
        from reslab.nn.card import network_card

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
        self._fixed = [*parts, self.head.features] if count == -1 else parts[:count]
        self._fixed += [
            head
            for head in self.auxiliary_heads()
            if self.stages.get_submodule(head.stage) in self._fixed
        ]
        self.requires_grad_(True)
        for part in self._fixed:
            part.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Switch between training and evaluation; frozen parts stay in evaluation."""
        super().train(mode)
        for part in self._fixed:
            part.eval()
        return self


def check_input(spec: specs.NetworkSpec, min_size: int, shape: Sequence[int]) -> None:
    """Raise UsageError where an input of this shape cannot be computed."""
    if len(shape) != 4 or shape[1] != spec.in_chans:
        raise UsageError(
            f"{spec.name} takes images of shape (batch, {spec.in_chans}, height, width), "
            f"received {tuple(shape)}"
        )
    if min(shape[2], shape[3]) < min_size:
        raise too_small(spec, f"{shape[2]}x{shape[3]}", min_size)


def too_small(
    spec: specs.NetworkSpec, received: str, least: int, *, small_stem: bool = False
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
