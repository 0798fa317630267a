"""Every shipped study expands, its networks build and its recipes hold, at every scale."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from reslab.models import named_spec
from reslab.networks import entry
from reslab.networks.network import build
from reslab.networks.resnet import ResNetSpec
from reslab.studies import SHIPPED, shipped
from reslab.studies.scales import Alike, WhereRun
from reslab.study import After, Arm, RunOutcome, Scale, Study, StudyResults
from reslab.study.expansion import Setting, expand
from reslab.study.study import ScaleName
from reslab.training.recipe import override
from reslab.training.recipes import RECIPES, Situation

SIDES = {"digits": 8, "fashion-mnist": 28, "cifar10": 32, "imagenet": 224}
# Errors in He et al. 2015 (tables 3 and 6) and 2016 (tables 1 to 4): what may stand in `paper`.
PUBLISHED = {
    8.75, 7.51, 7.17, 6.97, 6.61, 6.43, 7.93, 7.72, 28.54, 25.03, 24.52, 24.19,
    12.35, 8.70, 9.81, 12.86, 6.91, 12.22,
    5.93, 8.17, 6.50, 7.84, 6.14, 6.71, 5.91, 6.37, 5.46, 7.61, 4.92,
}  # fmt: skip


def scales() -> Iterator[tuple[Study, ScaleName, Scale]]:
    for name in SHIPPED:
        study = shipped(name)
        for scale_name, scale in study.scales.items():
            yield study, scale_name, scale


CASES = [pytest.param(*case, id=f"{case[0].name}-{case[1]}") for case in scales()]


def side_of(scale: Scale, arm: Arm) -> int:
    return int({**scale.overrides, **arm.overrides}.get("img_size", SIDES[scale.data]))


@pytest.mark.parametrize(("study", "name", "scale"), CASES)
def test_expands_into_distinct_runs(study: Study, name: ScaleName, scale: Scale) -> None:
    runs = expand(study, Setting(scale=name))
    assert len({run.id for run in runs}) == len(runs) == len(scale.arms) * scale.seeds
    assert study.question.endswith("?")
    assert study.expectations
    assert scale.seeds >= 3 or scale.data == "imagenet"
    assert "tiny" in study.scales
    assert "small" in study.scales or study.name == "degradation"


@pytest.mark.parametrize(("study", "name", "scale"), CASES)
def test_networks_build_and_recipes_hold(study: Study, name: ScaleName, scale: Scale) -> None:
    for arm in scale.arms:
        if arm.combines is not None:
            continue
        spec = named_spec(arm.model) if isinstance(arm.model, str) else arm.model
        side = side_of(scale, arm)
        recipe = RECIPES[arm.recipe or scale.recipe](Situation(1222, side, 10, depth=110))
        override(recipe, {**scale.overrides, **arm.overrides})
        if isinstance(arm.model, str) and isinstance(spec, ResNetSpec):
            continue  # the contracts of all networks build these, and they take any size
        if spec.name not in BUILT:
            with torch.device("meta"):
                BUILT[spec.name] = build(spec).min_size
        assert BUILT[spec.name] <= side, (arm.name, BUILT[spec.name], side)


BUILT: dict[str, int] = {}


@pytest.mark.parametrize(("study", "name", "scale"), CASES)
def test_papers_numbers_are_published(study: Study, name: ScaleName, scale: Scale) -> None:
    found = {error for arm in scale.arms for error in arm.paper.values()}
    assert found <= PUBLISHED
    if name != "paper":
        return
    for arm in scale.arms:
        if isinstance(arm.model, str) and "test_error_pct" in arm.paper:
            known = entry(arm.model).paper
            theirs = {known[key] for key in ("error_pct", "error_mean_pct") if key in known}
            if "CIFAR-10" in str(known.get("protocol")):
                assert arm.paper["test_error_pct"] in theirs, arm.name


@pytest.mark.parametrize(("study", "name", "scale"), CASES)
def test_expectations_can_be_tested(study: Study, name: ScaleName, scale: Scale) -> None:
    metrics = {"deletion_increase_pct", "swap_increase_pct", "mean_response", study.metric}
    metrics |= {"test_error_pct", "train_error_pct"}
    outcomes = tuple(
        RunOutcome(
            arm=arm.name,
            seed=seed,
            status="finished",
            metrics=dict.fromkeys(metrics, 10.0 + number + 0.1 * seed),
        )
        for number, arm in enumerate(scale.arms)
        for seed in range(3)
    )
    results = StudyResults(
        study=study,
        scale_name=name,
        data={"name": scale.data, "classes": list("0123456789")},
        outcomes=outcomes,
        environment={},
    )
    for verdict in results.verdicts():
        assert verdict.because
        assert "no runs to decide" not in verdict.because


def results_of(first: list[float], second: list[float]) -> StudyResults:
    arms = (Arm(name="a", group="a", model="resnet20"), Arm(name="b", group="b", model="plain20"))
    study = Study(
        name="two", title="Two", question="Are they alike?", source="-",
        scales={"tiny": Scale(data="digits", arms=arms)},
    )  # fmt: skip
    return StudyResults(
        study=study,
        scale_name="tiny",
        data={},
        outcomes=tuple(
            RunOutcome(arm=arm, seed=seed, status="finished", metrics={"test_error_pct": value})
            for arm, values in (("a", first), ("b", second))
            for seed, value in enumerate(values)
        ),
        environment={},
    )


@pytest.mark.parametrize(
    ("second", "outcome"),
    [
        ([5.1, 5.0, 4.9], "reproduced"),
        ([9.1, 9.0, 8.9], "not reproduced"),
        ([5.1, 9.0, 1.0], "not decidable"),
    ],
)
def test_alike_is_decided_by_the_whole_interval(second: list[float], outcome: str) -> None:
    alike = Alike(sentence="They are alike.", first="a", second="b", smallest=1.0)
    assert alike.test(results_of([5.0, 5.0, 5.0], second)).outcome == outcome


def test_expectation_about_an_arm_that_the_scale_lacks() -> None:
    alike = Alike(sentence="They are alike.", first="a", second="c")
    verdict = WhereRun(expectation=alike, arms=("a", "c")).test(results_of([1.0], [1.0]))
    assert (verdict.outcome, verdict.because) == ("not decidable", "the scale 'tiny' has no c")


def test_construction_spends_the_same_either_way() -> None:
    arms = {arm.name: arm for arm in shipped("construction").scale("tiny").arms}
    macs = {20: 40_551_040, 56: 125_485_696}
    spent = (
        arms["plain-20"].overrides["steps"] * macs[20]
        + arms["plain-56 deepened"].overrides["steps"] * macs[56]
    )
    scratch = arms["plain-56 from scratch"].overrides["steps"] * macs[56]
    assert abs(scratch / spent - 1) < 0.01
    assert arms["plain-56 deepened"].after == After("plain-20", "deepen")
