"""The last layers: from feature maps to logits."""

from __future__ import annotations

import torch
from torch import nn

from reslab.nn.init import initialise


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
        initialise(classifier)
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
