"""Which network of a list to train in a given time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.plan.batches import Effort, measured_cost, step_costs
from reslab.plan.forecast import Forecast, epochs_in, forecast
from reslab.plan.subject import Subject, cost_of_images
from reslab.training.choose import MOST_EPOCHS_IN_TIME

SMALL = ("resnet20", "resnet32", "resnet44", "resnet56", "resnet110")
MIDDLE = ("resnet18_half", "resnet18", "resnet34")
LARGE = ("resnet18", "resnet34", "resnet50", "resnet101")
# A network that comes to less than this share of the epochs it needs ends the search: larger
# ones come to less still.
HOPELESS = 0.4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network, and how far it comes in the time there is.

    Args:
        subject: the network on the images.
        params: its trainable values.
        macs: its multiply-adds for one image.
        prediction: what a run of the recipe's own length takes; None where it was not measured.
        epochs: passes over the training images in the time there is.
        needed: passes that the recipe asks for.
        fits: whether it fits into memory.
    """

    subject: Subject
    params: int
    macs: int
    prediction: Forecast | None
    epochs: float
    needed: float
    fits: bool

    @property
    def enough(self) -> bool:
        """Tell whether the time is enough for the recipe."""
        return self.fits and self.epochs >= self.needed


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkChoice:
    """The networks of a list, and which of them to train.

    Args:
        candidates: by multiply-adds.
        proposed: the one to train.
        why: the rule that chose it, in a sentence.
    """

    candidates: tuple[Candidate, ...]
    proposed: Candidate
    why: str

    __repr__ = short_repr


def usual_networks(img_size: int) -> tuple[str, ...]:
    """Return the usual networks for images of a size."""
    return SMALL if img_size <= 48 else MIDDLE if img_size < 128 else LARGE


def choose_network(
    subject: Subject, names: Sequence[str], time_s: float, effort: Effort
) -> NetworkChoice:
    """Choose the largest network that the time gives as many epochs as its recipe asks for.

    How good a network becomes is not predicted: nobody knows before training. Where the time is
    too short for all of them, the one that comes nearest to its recipe is proposed.

    Args:
        subject: any network on the images.
        names: the networks to choose from.
        time_s: the time there is, from the command to the report, seconds.
        effort: how to measure, and the memory there is.

    Raises:
        UsageError: an unknown network, or a time that is too short for one epoch of any.
    """
    subjects = [subject.with_model(name) for name in dict.fromkeys(names)]
    sized = [(measured_cost(part.chosen.spec), part) for part in subjects]
    found: list[Candidate] = []
    for cost, part in sorted(sized, key=lambda pair: pair[0].macs):
        hopeless = bool(found) and found[-1].epochs < HOPELESS * found[-1].needed
        found.append(_candidate(part, cost.params, cost.macs, time_s, effort, skip=hopeless))
    fitting = [candidate for candidate in found if candidate.fits]
    if not fitting:
        raise UsageError(
            "none of the networks fits into memory", remedy="use --models with smaller ones"
        )
    enough = [candidate for candidate in fitting if candidate.enough]
    if enough:
        why = (
            f"the largest that sees the images {enough[-1].needed:g} times, as its recipe asks, "
            "in that time"
        )
        return NetworkChoice(candidates=tuple(found), proposed=enough[-1], why=why)
    nearest = max(fitting, key=lambda candidate: candidate.epochs / candidate.needed)
    if nearest.epochs < 1:
        _refuse(nearest, time_s)
    why = (
        f"none sees the images as often as its recipe asks in that time; {_name(nearest)} comes "
        f"nearest with {nearest.epochs:.1f} of {nearest.needed:g} epochs"
    )
    return NetworkChoice(candidates=tuple(found), proposed=nearest, why=why)


def _candidate(
    subject: Subject, params: int, macs: int, time_s: float, effort: Effort, *, skip: bool
) -> Candidate:
    recipe = subject.chosen.recipe
    needed = recipe.steps * recipe.batch_size / subject.count("train") or recipe.epochs
    unknown = Candidate(
        subject=subject,
        params=params,
        macs=macs,
        prediction=None,
        epochs=0.0,
        needed=min(needed, MOST_EPOCHS_IN_TIME),
        fits=False,
    )
    if skip:
        return unknown
    costs = step_costs(subject, [recipe.batch_size], effort)
    if recipe.batch_size not in costs:
        return unknown
    cost, images = costs[recipe.batch_size], cost_of_images(subject)
    prediction = forecast(subject, cost, images)
    return dataclasses.replace(
        unknown,
        prediction=prediction,
        epochs=min(epochs_in(time_s, subject, cost, images), MOST_EPOCHS_IN_TIME),
        fits=prediction.fits(effort.memory_mib),
    )


def _refuse(candidate: Candidate, time_s: float) -> None:
    assert candidate.prediction is not None
    least_s = candidate.prediction.start_s + candidate.prediction.epoch_s
    raise UsageError(
        f"{time_s:g} s are too short: {_name(candidate)} alone takes about {least_s:.0f} s to "
        "start and to see the images once",
        remedy=f"use --time {max(1, round(least_s * 2))}s or more, or --steps",
    )


def _name(candidate: Candidate) -> str:
    return candidate.subject.chosen.spec.name
