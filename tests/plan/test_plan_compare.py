"""Which variant and which network are proposed, on measurements that are known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from kept import COST, keep_all, keep_variant

from reslab import networks
from reslab.durable.cache import cache_folder
from reslab.errors import UsageError
from reslab.plan import remember
from reslab.plan.batches import Effort
from reslab.plan.compare import Comparison, compare
from reslab.plan.networks import NetworkChoice, choose_network, usual_networks
from reslab.plan.search_space import SearchSpace, Variant
from reslab.plan.subject import Subject, imagine
from reslab.plan.task import StepCost, Task
from reslab.training.config import Request


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path))


def subject_of(model: str = "resnet20", **changes: object) -> Subject:
    overrides = {"img_size": 32, "batch_size": 64, "precision": "fp32", **changes}
    request = Request(data="", model=model, overrides=overrides, device="cpu")
    return imagine(request, num_images=10_000, num_classes=10)


def by_batch(task: Task) -> StepCost:
    """Cost 0.02 s and 500 MiB a step, and 1 ms and 10 MiB an image."""
    batch = task.recipe.batch_size
    step_s = 0.02 + 0.001 * batch * (0.7 if task.recipe.compile else 1.0)
    return dataclasses.replace(COST, step_s=step_s, peak_mib=500.0 + 10 * batch)


def compared(subject: Subject, space: SearchSpace, memory_mib: float | None = None) -> Comparison:
    return compare(subject, space, Effort(memory_mib=memory_mib))


def batch_of(comparison: Comparison) -> int:
    assert comparison.proposed is not None
    return comparison.proposed.subject.chosen.recipe.batch_size


def test_the_recipes_batch_is_kept_where_no_other_is_named():
    subject = subject_of()
    keep_all(subject, SearchSpace(), by_batch)
    found = compared(subject, SearchSpace())
    assert [trial.subject.chosen.recipe.batch_size for trial in found.trials] == [64, 32, 128]
    assert batch_of(found) == 64
    assert found.changes(found.trials[2]) == {"batch_size": 128}
    speeds = [trial.prediction.images_per_s for trial in found.trials if trial.prediction]
    assert speeds[1] < speeds[0] < speeds[2]


def test_the_fastest_of_the_batches_that_are_named_is_proposed_if_it_fits():
    subject, space = subject_of(), SearchSpace(batch_sizes=(64, 32, 128))
    keep_all(subject, space, by_batch)
    assert batch_of(compared(subject, space)) == 128
    store_mib = 10_000 * 32 * 32 * 3 / (1 << 20)
    assert batch_of(compared(subject, space, 500 + 1279 + store_mib)) == 64
    assert batch_of(compared(subject, space, 500 + 1281 + store_mib)) == 128


def test_what_does_not_fit_is_tried_with_recomputed_maps_before_the_batch_is_changed():
    subject = subject_of()
    keep_all(subject, SearchSpace(), by_batch)
    changes = {"precision": "fp32", "batch_size": 64, "checkpoint_activations": True}
    small = dataclasses.replace(COST, peak_mib=700.0)
    keep_variant(subject, Variant(changes=changes), lambda task: small)
    found = compared(subject, SearchSpace(), memory_mib=1000)
    assert found.proposed is not None
    assert found.changes(found.proposed) == {"checkpoint_activations": True}

    keep_variant(subject, Variant(changes=changes), by_batch)
    found = compared(subject, SearchSpace(), memory_mib=1000)
    assert batch_of(found) == 32
    assert "trains differently" in found.why
    found = compared(subject, SearchSpace(), memory_mib=600)
    assert found.proposed is None


def test_thorough_finds_a_compiled_network_that_is_faster():
    subject, space = subject_of(), SearchSpace(thorough=True)
    keep_all(subject, space, by_batch)
    found = compared(subject, space)
    assert found.proposed is not None
    assert found.changes(found.proposed) == {"compile": True}
    fixed = subject_of(compile=False)
    assert "compile" not in compared(fixed, space).trials[-1].variant.changes


def test_noise_is_no_reason_to_leave_the_recipe():
    subject, space = subject_of(), SearchSpace(thorough=True)

    def noisy(task: Task) -> StepCost:
        return dataclasses.replace(by_batch(task), spread=0.9)

    keep_all(subject, space, noisy)
    found = compared(subject, space)
    assert found.proposed is found.trials[0]


def test_an_image_size_that_is_named_gets_its_own_recipe():
    subject, space = subject_of(), SearchSpace(img_sizes=(24, 40))
    keep_all(subject, space, by_batch)
    trials = compared(subject, space).trials
    recipes = [trial.subject.chosen.recipe for trial in trials if trial.variant.free]
    assert [(r.img_size, r.progressive_size) for r in recipes] == [(24, 18), (40, 30)]
    assert [trial.subject.chosen.spec.img_size for trial in trials if trial.variant.free] == [
        24,
        40,
    ]


def in_time(time_s: float, memory_mib: float | None = None) -> NetworkChoice:
    subject = subject_of(progressive_share=0.0, progressive_size=0, epochs=20.0)
    names = ("resnet44", "resnet20", "resnet32")
    for name, step_s in (("resnet20", 0.1), ("resnet32", 0.2), ("resnet44", 0.4)):
        cost = dataclasses.replace(COST, step_s=step_s, peak_mib=1000 * step_s)
        keep_variant(subject.with_model(name), Variant(changes={}), lambda task, cost=cost: cost)
    return choose_network(subject, names, time_s, Effort(memory_mib=memory_mib))


def test_the_largest_network_that_the_time_is_enough_for():
    # 20 epochs of 7,200 images in steps of 64: 2,250 steps, and the evaluations of 800 images.
    assert [c.subject.chosen.spec.name for c in in_time(700).candidates] == [
        "resnet20",
        "resnet32",
        "resnet44",
    ]
    assert in_time(2000).proposed.subject.chosen.spec.name == "resnet44"
    assert in_time(700).proposed.subject.chosen.spec.name == "resnet32"
    assert in_time(400).proposed.subject.chosen.spec.name == "resnet20"
    assert in_time(2000, memory_mib=300).proposed.subject.chosen.spec.name == "resnet32"


def test_a_time_that_is_short_for_all_takes_the_nearest_and_says_so():
    found = in_time(100)
    assert found.proposed.subject.chosen.spec.name == "resnet20"
    assert not found.proposed.enough
    assert "none sees the images as often" in found.why
    skipped = found.candidates[-1]
    assert skipped.prediction is None, "larger ones are not measured in vain"


def test_a_time_for_less_than_an_epoch_is_refused():
    with pytest.raises(UsageError, match=r"10 s are too short: resnet20 alone takes about \d+ s"):
        in_time(10)
    with pytest.raises(UsageError, match="none of the networks fits"):
        in_time(700, memory_mib=50)


def test_networks_that_are_usual_are_in_the_catalogue():
    for size in (28, 64, 128, 224):
        for name in usual_networks(size):
            assert networks.entry(name).spec.name == name


def test_what_was_measured_is_found_again_only_where_it_holds():
    subject = subject_of()
    key = remember.key_of(subject.task())
    assert remember.recall(key) is None
    remember.keep(key, COST)
    assert remember.recall(key) == COST
    assert remember.key_of(subject.with_changes({"lr": 0.7, "epochs": 3.0}).task()) == key
    for change in ({"batch_size": 32}, {"ema": 0.5}, {"precision": "bf16"}, {"img_size": 40}):
        assert remember.key_of(subject.with_changes(change).task()) != key
    assert remember.key_of(subject.with_model("resnet32").task()) != key


def test_a_damaged_or_unwritable_cache_is_as_none(tmp_path, monkeypatch):
    remember.keep("one", COST)
    (cache_folder(remember.KIND) / "one.json").write_text('{"batch_size": 64')
    assert remember.recall("one") is None
    (cache_folder(remember.KIND) / "one.json").write_text('{"batch": 64}')
    assert remember.recall("one") is None
    file = tmp_path / "file"
    file.touch()
    monkeypatch.setenv("RESLAB_CACHE", str(file))
    remember.keep("two", COST)
    assert remember.recall("two") is None
