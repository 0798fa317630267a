"""Every runtime tried on the same images: how fast it is, and how well it agrees with torch."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from reslab.networks.network import Network
from reslab.predict.runtimes.choose import Auto, Candidate


@dataclasses.dataclass(frozen=True)
class SurveyRow:
    """What was found of one runtime.

    Args:
        name: of its kind.
        precision: of its convolutions.
        images_per_s: images a second in batches like the one given; None where it failed.
        startup_s: what building it took, seconds; None where it failed.
        difference: largest difference of a probability from torch's in float32.
        changed: images with another label than from torch.
        images: those that were compared.
        remark: why it is not used, or what else there is to know.
    """

    name: str
    precision: str
    images_per_s: float | None
    startup_s: float | None
    difference: float | None
    changed: int | None
    images: int
    remark: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return dataclasses.asdict(self)


def survey(
    network: Network,
    temperature: float,
    images: Tensor,
    *,
    device: torch.device,
    precision: str = "auto",
    only: str | None = None,
) -> list[SurveyRow]:
    """Try every runtime, and remember for this machine what each is worth.

    Args:
        network: what is computed.
        temperature: what logits are divided by for probabilities.
        images: a usual batch, normalised, (B, in_chans, H, W).
        device: where.
        precision: as for `Auto`.
        only: the one kind to try; None for all.

    Returns:
        Torch in float32, then each candidate.
    """
    auto = Auto(network, temperature, device=device, precision=precision, only=only)
    auto.measure(images)
    exact = SurveyRow(
        "torch", "fp32", 1 / auto.exact_image_s, 0.0, 0.0, 0, len(images), "the reference"
    )
    return [exact, *(_row(one, auto.exact_image_s, len(images)) for one in auto.candidates)]


def _row(found: Candidate, exact_image_s: float, images: int) -> SurveyRow:
    remark = found.problem
    if found.redone and not remark:
        remark = f"float32 decides {100 * found.redone:.0f}% of the images"
    same = found.agreement
    return SurveyRow(
        name=found.name,
        precision=found.precision,
        images_per_s=found.speed / exact_image_s if same else None,
        startup_s=found.startup_s if same else None,
        difference=same.difference if same else None,
        changed=same.changed if same else None,
        images=images,
        remark=remark,
    )
