"""Whether a runtime gives torch's answers, and labels that stay torch's in a shorter type."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor

from reslab.predict.runtimes.runtime import Runtime

# The largest difference of a probability that is still the same answer.
ALLOWED = {"fp32": 1e-3, "bf16": 0.03, "fp16": 0.03}
# How much closer two logits must be than any seen error before float32 decides between them.
SAFETY = 2.0
LEAST_MARGIN = 0.01


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How far a runtime's answers are from torch's in float32.

    Args:
        difference: the largest difference of a probability.
        changed: images with another label.
        images: those that were compared.
    """

    difference: float
    changed: int
    images: int

    def problem(self, precision: str) -> str:
        """Say why the runtime must not be used, or nothing."""
        if self.changed:
            return f"{self.changed} of {self.images} images get another label than from torch"
        if not self.difference <= ALLOWED[precision]:  # NaN is no agreement
            return (
                f"a probability differs from torch's by {self.difference:.2g} "
                f"(allowed: {ALLOWED[precision]:g})"
            )
        return ""


def agreement(found: Tensor, wanted: Tensor, temperature: float) -> Agreement:
    """Compare logits with those of torch in float32, both (B, num_classes).

    Equal best logits are a tie: either label is right.
    """
    p, q = ((logits.double() / temperature).softmax(1) for logits in (found, wanted))
    chosen = wanted.gather(1, found.argmax(1, keepdim=True)).squeeze(1)
    return Agreement(
        difference=float((p - q).abs().max()),
        changed=int((chosen < wanted.amax(1)).sum()),
        images=len(wanted),
    )


def close_margin(found: Tensor, wanted: Tensor) -> float:
    """Return how near the two best logits must be for the shorter type to be in doubt.

    It is a multiple of the largest error of a difference of two logits among some images.
    """
    error = (found - wanted).double()
    # A shift of all logits of an image changes no label: only errors that differ among them do.
    apart = (error.amax(1) - error.amin(1)).max()
    spread = (wanted.amax(1) - wanted.amin(1)).max()
    return max(SAFETY * float(apart), LEAST_MARGIN * float(spread))


def same_labels(fast: Runtime, exact: Runtime, margin: float) -> Runtime:
    """Compute with `fast`, and again with `exact` where the two best logits are that near.

    Args:
        fast: the runtime of a shorter type.
        exact: float32.
        margin: from `close_margin`.
    """

    def compute(images: Tensor) -> Tensor:
        logits = fast(images)
        close = close_calls(logits, margin)
        if close.any():
            logits = logits.clone()
            logits[close] = exact(images[close.to(images.device)])
        return logits

    return Runtime(fast.name, fast.precision, compute)


def close_calls(logits: Tensor, margin: float) -> Tensor:
    """Tell for each image whether its two best logits are within the margin."""
    if logits.shape[1] < 2:
        return torch.zeros(len(logits), dtype=torch.bool)
    best = logits.topk(2, dim=1).values
    return ~(best[:, 0] - best[:, 1] > margin)  # not <=: NaN is a close call, too
