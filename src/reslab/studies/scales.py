"""What the shipped studies have in common: their three scales, and expectations of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from reslab.networks import entry, list_models
from reslab.networks.resnet import ResNetSpec, cifar_stages
from reslab.study import Arm, Scale, StudyResults, Verdict
from reslab.study.expectation import describe
from reslab.study.statistics import paired, range_of_difference
from reslab.study.study import Expectation

PAPER_SEEDS = 5
TINY_IMAGES = "The embedded digits (8 x 8 pixels, ten classes) in place of CIFAR-10."
SMALL_IMAGES = "Fashion-MNIST shrunk to {side} x {side} grey pixels in place of CIFAR-10."
SHORT = "{steps:,} updates in place of 64,000: the networks are far from the end of their training."
# In so few updates a rate of 0.1 has not stopped shaking deep networks when it is first divided.
TINY_RATE, SMALL_RATE = 0.02, 0.05
CURVE_POINTS, EPOCH_STEPS = 8, 60_000 / 128
# The recipes of the papers need batch norm; without it they diverge or stay where they began.
WITHOUT_NORM: Mapping[str, Any] = {
    "optimizer": "adamw",
    "lr": 5e-4,
    "weight_decay": 0.05,
    "clip_grad_norm": 5.0,
}


def tiny(
    arms: tuple[Arm, ...],
    *,
    steps: int = 200,
    overrides: Mapping[str, Any] | None = None,
    recipe: str = "he2015-cifar",
    seeds: int = 3,
    differs: tuple[str, ...] = (),
) -> Scale:
    """Return a scale that answers on the embedded digits within minutes."""
    return Scale(
        data="digits",
        arms=arms,
        recipe=recipe,
        overrides={
            "steps": steps,
            "flip": False,
            "pad_crop": 1,
            **_rate(recipe, TINY_RATE),
            **(overrides or {}),
        },
        seeds=seeds,
        differs=(TINY_IMAGES, SHORT.format(steps=steps), *differs),
    )


def small(
    arms: tuple[Arm, ...],
    *,
    steps: int,
    side: int = 14,
    overrides: Mapping[str, Any] | None = None,
    recipe: str = "he2015-cifar",
    seeds: int = 3,
    differs: tuple[str, ...] = (),
) -> Scale:
    """Return a scale of some ten minutes on two cores: little images, short schedules."""
    views = {"img_size": side, "pad_crop": max(1, side // 8), "precision": "auto"}
    # An epoch is most of so short a run: its curves need more points than one.
    rows = max(1, round(CURVE_POINTS * EPOCH_STEPS / steps))
    return Scale(
        data="fashion-mnist",
        arms=arms,
        recipe=recipe,
        overrides={
            "steps": steps,
            "rows_per_epoch": rows,
            **views,
            **_rate(recipe, SMALL_RATE),
            **(overrides or {}),
        },
        seeds=seeds,
        differs=(SMALL_IMAGES.format(side=side), SHORT.format(steps=steps), *differs),
    )


def _rate(recipe: str, rate: float) -> dict[str, float]:
    """Return the learning rate for a short form of the paper's recipe; others have their own."""
    return {"lr": rate} if recipe == "he2015-cifar" else {}


def paper(
    arms: tuple[Arm, ...],
    *,
    overrides: Mapping[str, Any] | None = None,
    seeds: int = PAPER_SEEDS,
    differs: tuple[str, ...] = (),
) -> Scale:
    """Return the scale of the papers' own experiments on CIFAR-10."""
    return Scale(data="cifar10", arms=arms, overrides=overrides or {}, seeds=seeds, differs=differs)


def of_depth(name: str, depth: int) -> str | ResNetSpec:
    """Return a CIFAR network of the catalogue, made with other 6n + 2 layers.

    Args:
        name: of a network with basic blocks, e.g. "resnet20_bn_after_add".
        depth: the layers wanted.
    """
    spec = entry(name).spec
    assert isinstance(spec, ResNetSpec)
    own = sum(2 * stage.depth for stage in spec.stages) + 2
    if own == depth:
        return name
    deeper = name.replace(str(own), str(depth))
    if deeper in list_models():
        return deeper
    return dataclasses.replace(spec, name=deeper, stages=cifar_stages(depth))


@dataclasses.dataclass(frozen=True, kw_only=True)
class WhereRun:
    """An expectation about arms that not every scale has.

    Args:
        expectation: what is expected.
        arms: those it is about.
    """

    expectation: Expectation
    arms: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The expectation in words."""
        return self.expectation.sentence

    def test(self, results: StudyResults) -> Verdict:
        """Ask it where the arms were run."""
        known = {arm.name for arm in results.arms}
        lacking = [name for name in self.arms if name not in known]
        if not lacking:
            return self.expectation.test(results)
        return Verdict(
            expectation=self.sentence,
            outcome="not decidable",
            because=f"the scale '{results.scale_name}' has no {' and no '.join(lacking)}",
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Alike:
    """Two arms differ by less than a smallest difference that counts.

    Reproduced where the whole interval of the difference lies within it, not reproduced where
    the whole interval lies beyond it.

    Args:
        sentence: the expectation in words.
        first: name of an arm.
        second: name of the other.
        metric: what is compared; None for the study's.
        smallest: the smallest difference that would count, in units of the metric.
    """

    sentence: str
    first: str
    second: str
    metric: str | None = None
    smallest: float = 1.0

    def test(self, results: StudyResults) -> Verdict:
        """Compare the two arms seed by seed."""
        metric = self.metric or results.study.metric
        found = paired(
            results.values(self.first, metric),
            results.values(self.second, metric),
            within=range_of_difference(metric),
        )
        if found is None:
            return Verdict(
                expectation=self.sentence,
                outcome="not decidable",
                because="no runs to decide it by",
            )
        apart = min(abs(found.low), abs(found.high)) if found.low * found.high > 0 else 0.0
        within = max(abs(found.low), abs(found.high)) < self.smallest
        return Verdict(
            expectation=self.sentence,
            outcome="reproduced"
            if within
            else "not reproduced"
            if apart > self.smallest
            else "not decidable",
            because=(
                f"{metric} of {self.second} minus {self.first}: {describe(found)}; less than "
                f"{self.smallest:g} counts as alike"
            ),
            statistics={**found.to_json(), "smallest": self.smallest},
        )
