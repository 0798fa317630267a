"""The list of runs is known before anything runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from reslab import catalog
from reslab import spec as specs
from reslab.errors import UsageError
from reslab.study import After, Arm, Scale, Study
from reslab.study.expansion import Setting, asked, expand, merged

OWN = specs.replace(catalog.entry("resnet20").spec, name="own")
ARMS = (
    Arm(name="first", group="g", model="resnet20", overrides={"lr": 0.2}),
    Arm(name="deeper", group="g", model="resnet32", after=After("first", "deepen")),
    Arm(name="on", group="g", model="resnet20", after=After("first", "start")),
    Arm(name="own", group="g", model=OWN, recipe="small-images", overrides={"epochs": 2.0}),
    Arm(name="all", group="g", combines="first", measure=lambda runs: {"n": len(runs)}),
)
STUDY = Study(
    name="s",
    title="",
    question="?",
    source="",
    scales={"tiny": Scale(data="digits", arms=ARMS, seeds=3, overrides={"steps": 9, "lr": 0.1})},
)


def test_runs_are_listed_seed_by_seed_and_combinations_last():
    ids = [run.id for run in expand(STUDY, Setting(seeds=2))]
    assert ids == [
        *(f"{name}/seed-0" for name in ("first", "deeper", "on", "own")),
        *(f"{name}/seed-1" for name in ("first", "deeper", "on", "own")),
        "all/seed-0",
        "all/seed-1",
    ]


def test_expansion_is_pure():
    assert expand(STUDY, Setting()) == expand(STUDY, Setting())
    fewer = [run.id for run in expand(STUDY, Setting(seeds=1))]
    more = {run.id: run for run in expand(STUDY, Setting(seeds=3))}
    assert set(fewer) <= set(more)


def test_an_arms_own_values_come_over_those_of_its_scale():
    runs = {run.arm.name: run for run in expand(STUDY, Setting(seeds=1))}
    first, own = runs["first"].request, runs["own"].request
    assert first is not None
    assert own is not None
    assert (first.data, first.model, first.recipe, first.seed) == (
        "digits",
        "resnet20",
        "he2015-cifar",
        0,
    )
    assert first.overrides == {"steps": 9, "lr": 0.2}
    assert (own.spec, own.model, own.recipe) == (OWN, "auto", "small-images")
    assert own.overrides == {"epochs": 2.0, "lr": 0.1}  # epochs take the place of steps


@pytest.mark.parametrize(
    ("general", "own", "expected"),
    [
        ({"steps": 5}, {"epochs": 1.0}, {"epochs": 1.0}),
        ({"epochs": 5.0}, {"steps": 1}, {"steps": 1}),
        ({"epochs": 5.0, "lr": 1.0}, {"lr": 2.0}, {"epochs": 5.0, "lr": 2.0}),
    ],
)
def test_a_length_in_one_unit_replaces_one_in_the_other(general, own, expected):
    assert merged(general, own) == expected


def test_a_run_starts_from_the_run_of_the_same_seed():
    runs = {run.id: run for run in expand(STUDY, Setting(seeds=2))}
    folder = Path("/studies/s")
    deeper = runs["deeper/seed-1"].located(folder)
    assert runs["deeper/seed-1"].needs == ("first/seed-1",)
    assert (deeper.out, deeper.deepen_from) == (
        folder / "deeper/seed-1",
        folder / "first/seed-1",
    )
    assert runs["on/seed-0"].located(folder).start == folder / "first/seed-0"


def test_combined_runs_begin_with_their_own_seed_and_go_round():
    runs = {run.id: run for run in expand(STUDY, Setting(seeds=3))}
    assert runs["all/seed-1"].needs == ("first/seed-1", "first/seed-2", "first/seed-0")
    assert runs["all/seed-1"].request is None


def test_other_data_are_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    run = expand(STUDY, Setting(data="photos"))[0]
    assert run.request is not None
    assert run.request.data == str(tmp_path / "photos")


def test_what_is_asked_survives_the_run_directory():
    from reslab.training.config import Request

    request = Request(data="digits", spec=OWN, overrides={"milestones": (0.5, 0.75)}, seed=3)
    other = dataclasses.replace(request, overrides={"milestones": [0.5, 0.75]})
    assert asked(request) == asked(other)
    assert asked(request) != asked(dataclasses.replace(request, seed=4))


def test_a_study_needs_a_seed():
    with pytest.raises(UsageError, match="one seed or more, received 0"):
        expand(STUDY, Setting(seeds=0))
