"""What AlexNet, ZFNet and VGG have in common: a classifier of fully-connected layers."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

import torch
from torch import nn

from reslab.errors import UsageError
from reslab.networks.network import GlobalAveragePool, Head
from reslab.networks.spec import NetworkSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class FullyConnectedSpec(NetworkSpec):
    """A network whose last map is flattened into hidden fully-connected layers.

    `dropout` is that of the classifier and of the layers between hidden ones.

    Args:
        fc_grid: side of the map that is flattened; other maps are averaged to it.
        fc_widths: outputs of the hidden fully-connected layers.
        fully_convolutional: the same layers as convolutions over a map of any size, whose
            logits are averaged, instead of averaging the map (VGG paper, section 3.2).
    """

    fc_grid: int
    fc_widths: tuple[int, ...] = (4096, 4096)
    fully_convolutional: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fc_grid < 1:
            raise UsageError(f"fc_grid must be 1 or more, received {self.fc_grid}")
        if not self.fc_widths or min(self.fc_widths) < 1:
            raise UsageError(f"fc_widths must be 1 or more each, received {self.fc_widths}")

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: there are none."""
        return False


CLASSIFIER_STD = 0.01
FIRST = 6  # five convolutional layers or stages come before it in all of these networks


class FullyConnectedHead(Head):
    """logits = W dropout(features(x)) + b, where W begins as N(0, 0.01^2).

    Without batch norm before it, a classifier of W ~ N(0, 2 / fan_in) begins with logits and
    gradients so large that the first updates overshoot. The dropout between hidden layers is
    always that of the classifier.

    Source: Krizhevsky et al. 2012, section 5.
    """

    def initialize_classifier(self) -> None:
        """Draw new values for the classifier."""
        if isinstance(self.classifier, nn.Linear) and not self.classifier.weight.is_meta:
            nn.init.normal_(self.classifier.weight, std=CLASSIFIER_STD)
            nn.init.zeros_(self.classifier.bias)

    def reset(self, num_classes: int, dropout: float | None, like: torch.Tensor) -> None:
        """Put a new classifier in place of the old one, of the device and type of `like`."""
        super().reset(num_classes, dropout, like)
        self.initialize_classifier()
        for module in self.features.modules():
            if dropout is not None and isinstance(module, nn.Dropout):
                module.p = dropout


def make_fully_connected_head(
    spec: FullyConnectedSpec, in_width: int, pool: nn.Module
) -> FullyConnectedHead:
    """logits = W8 drop(relu(W7 drop(relu(W6 flatten(pool(x)))))), for two hidden layers.

    Args:
        spec: hidden widths, the side of the map that W6 sees, dropout.
        in_width: channels of the last map.
        pool: what comes before the flattening.

    Source: Krizhevsky et al. 2012, section 3.5.
    """
    layers = _convolutions if spec.fully_convolutional else _linear_layers
    return FullyConnectedHead(
        nn.Sequential(OrderedDict({"pool": pool, **layers(spec, in_width)})),
        num_features=spec.fc_widths[-1],
        num_classes=spec.num_classes,
        dropout=spec.dropout,
    )


def _linear_layers(spec: FullyConnectedSpec, in_width: int) -> dict[str, nn.Module]:
    """Average the map to the grid that W6 is meant for (as it is, at that size), and flatten."""
    children: dict[str, nn.Module] = {
        "grid": nn.AdaptiveAvgPool2d(spec.fc_grid),
        "flatten": nn.Flatten(),
    }
    in_width *= spec.fc_grid**2
    for number, width in enumerate(spec.fc_widths, start=FIRST):
        if number > FIRST:
            children[f"drop{number - 1}"] = nn.Dropout(spec.dropout)
        children[f"fc{number}"] = nn.Linear(in_width, width)
        children[f"act{number}"] = nn.ReLU()
        in_width = width
    return children


def _convolutions(spec: FullyConnectedSpec, in_width: int) -> dict[str, nn.Module]:
    """Slide the same layers over the map and average what they put out.

    The classifier is linear: of the mean it computes the mean of its own map of logits.

    Source: Simonyan and Zisserman 2014 (arXiv 1409.1556), section 3.2.
    """
    children: dict[str, nn.Module] = {}
    for number, width in enumerate(spec.fc_widths, start=FIRST):
        if number > FIRST:
            children[f"drop{number - 1}"] = nn.Dropout(spec.dropout)
        kernel = spec.fc_grid if number == FIRST else 1
        children[f"fc{number}"] = nn.Conv2d(in_width, width, kernel)
        children[f"act{number}"] = nn.ReLU()
        in_width = width
    return {**children, "average": GlobalAveragePool()}
