"""Verdicts over results that are made up, so that what they should be is known."""

from __future__ import annotations

import dataclasses

import pytest

from reslab.errors import UsageError
from reslab.study import (
    Arm,
    Best,
    DoesNotRise,
    Fails,
    FallsWith,
    Judged,
    Ordered,
    RisesWith,
    RunOutcome,
    Scale,
    Study,
    StudyResults,
)

DEPTHS = (20, 32, 56)


def results(**errors: list[float | str | None]) -> StudyResults:
    """Make results; a name such as plain_20 is an arm, its list an error a seed or a status."""
    arms = tuple(
        Arm(name=name, group=name.split("_")[0], model="resnet20", x=float(name.split("_")[1]))
        for name in errors
    )
    study = Study(
        name="made-up",
        title="",
        question="?",
        source="",
        scales={"tiny": Scale(data="digits", arms=arms)},
    )
    outcomes = tuple(
        RunOutcome(arm=name, seed=seed, status=value)  # type: ignore[arg-type]
        if isinstance(value, str)
        else RunOutcome(arm=name, seed=seed, status="finished", metrics={"test_error_pct": value})
        for name, values in errors.items()
        for seed, value in enumerate(values)
    )
    return StudyResults(
        study=study,
        scale_name="tiny",
        data={"classes": list("0123456789")},
        outcomes=outcomes,
        environment={},
    )


def ordered(better: list[float], worse: list[float]) -> str:
    test = Ordered(sentence="b < a", better="b_1", worse="a_1")
    return test.test(results(a_1=worse, b_1=better)).outcome


def test_order_is_decided_by_the_interval_of_the_differences():
    assert ordered([5.0, 6.0, 7.0], [8.0, 9.1, 9.9]) == "reproduced"
    assert ordered([8.0, 9.1, 9.9], [5.0, 6.0, 7.0]) == "not reproduced"
    assert ordered([5.0, 6.0, 7.0], [8.0, 5.0, 9.0]) == "not decidable"
    # No difference that would count: that, too, is an answer.
    assert ordered([5.0, 6.0, 7.0], [5.01, 5.99, 7.0]) == "not reproduced"
    assert ordered([5.0], [50.0]) == "not decidable"


def test_pairing_takes_out_what_the_seeds_share():
    assert ordered([10.0, 40.0, 70.0], [11.0, 41.2, 70.9]) == "reproduced"


def test_a_rise_is_the_trend_of_each_seed_from_first_to_last():
    made = results(
        plain_20=[5.0, 6.0, 7.0], plain_32=[10.0, 12.0, 11.0], plain_56=[15.0, 16.0, 18.0]
    )
    verdict = RisesWith(sentence="up", group="plain").test(made)
    assert verdict.outcome == "reproduced"
    # Least squares over ranks -1, 0, 1: the rise is last - first.
    assert verdict.statistics["mean"] == pytest.approx((10 + 10 + 11) / 3)
    assert "plain_20 to plain_56" in verdict.because
    assert FallsWith(sentence="down", group="plain").test(made).outcome == "not reproduced"
    assert DoesNotRise(sentence="flat", group="plain").test(made).outcome == "not reproduced"


def test_the_arms_of_a_curve_are_ordered_by_x():
    made = results(plain_56=[9.0, 9.1], plain_20=[1.0, 1.0], plain_32=[2.0, 2.1])
    assert RisesWith(sentence="", group="plain").test(made).outcome == "reproduced"


def test_a_curve_that_stays_or_falls_does_not_rise():
    stays = results(res_20=[5.0, 6.0, 7.0], res_56=[5.1, 5.9, 7.0])
    falls = results(res_20=[9.0, 9.0, 9.5], res_56=[5.0, 5.1, 5.0])
    unclear = results(res_20=[5.0, 6.0, 7.0], res_56=[9.0, 3.0, 7.0])
    test = DoesNotRise(sentence="", group="res")
    assert test.test(stays).outcome == "reproduced"
    assert test.test(falls).outcome == "reproduced"
    assert test.test(unclear).outcome == "not decidable"
    assert FallsWith(sentence="", group="res").test(falls).outcome == "reproduced"


def test_a_diverged_run_counts_as_guessing_and_is_named():
    made = results(plain_20=[5.0, 5.0, 5.5], plain_56=["diverged", 88.0, "diverged"])
    verdict = RisesWith(sentence="", group="plain").test(made)
    assert verdict.outcome == "reproduced"
    assert verdict.statistics["mean"] == pytest.approx((85 + 83 + 84.5) / 3)
    assert "2 diverged runs count as guessing" in verdict.because


def test_a_failed_run_leaves_its_seed_out_and_is_named():
    made = results(a_1=[5.0, 5.1, 5.2], b_1=[4.0, "failed", 4.1])
    verdict = Ordered(sentence="", better="b_1", worse="a_1").test(made)
    assert verdict.statistics["n"] == 2
    assert "1 runs have no numbers" in verdict.because


def test_nothing_can_be_decided_without_runs():
    made = results(a_1=["missing"], b_1=["missing"])
    for test in (
        Ordered(sentence="", better="b_1", worse="a_1"),
        Best(sentence="", better="b_1", others=("a_1",)),
        Fails(sentence="", arm="a_1"),
    ):
        assert test.test(made).outcome == "not decidable"


def test_the_best_of_many_is_so_after_the_correction():
    clear = results(a_1=[5.0, 5.1, 5.2], b_1=[9.0, 9.2, 9.1], c_1=[8.0, 8.1, 8.3])
    test = Best(sentence="", better="a_1", others=("b_1", "c_1"))
    assert test.test(clear).outcome == "reproduced"
    # One pair has p 0.03, which two pairs' correction does not let pass.
    close = results(a_1=[5.0, 5.0, 5.0], b_1=[6.0, 6.4, 6.8], c_1=[5.9, 6.4, 6.9])
    verdict = test.test(close)
    assert verdict.outcome == "not decidable"
    assert verdict.statistics["b_1"]["p_t"] < 0.05 < verdict.statistics["b_1"]["p_holm"]
    other = dataclasses.replace(test, better="b_1", others=("a_1", "c_1"))
    assert other.test(clear).outcome == "not reproduced"


def test_one_of_many_pairs_refutes_after_the_correction_only():
    """Alone, c_1 would be shown not to be worse by half a point; as one of four it is not."""
    made = results(
        a_1=[5.0, 5.0, 5.0], b_1=[9.0, 9.5, 10.0], d_1=[9.0, 9.5, 10.0], e_1=[9.0, 9.5, 10.0],
        c_1=[4.55, 4.2, 3.8],
    )  # fmt: skip
    alone = Ordered(sentence="", better="a_1", worse="c_1")
    assert alone.test(made).outcome == "not reproduced"
    among = Best(sentence="", better="a_1", others=("b_1", "c_1", "d_1", "e_1"))
    assert among.test(made).outcome == "not decidable"


def test_failing_is_divergence_or_an_error_near_guessing():
    test = Fails(sentence="", arm="a_1")
    assert test.test(results(a_1=["diverged", 89.0])).outcome == "reproduced"
    assert test.test(results(a_1=["diverged", 30.0])).outcome == "not decidable"
    assert test.test(results(a_1=[20.5, 30.0])).outcome == "not reproduced"
    assert (
        Fails(sentence="", arm="a_1", above_pct=20.0).test(results(a_1=[20.5, 30.0])).outcome
        == "reproduced"
    )


def test_a_short_schedule_that_fails_everything_is_no_failure_of_one_arm():
    test = Fails(sentence="", arm="a_1", above_pct=20.0, beside="a_2")
    assert test.test(results(a_1=[21.0, 22.0], a_2=[19.0, 20.0])).outcome == "not reproduced"
    assert test.test(results(a_1=[21.0, 22.0], a_2=[7.0, 8.0])).outcome == "reproduced"
    assert test.test(results(a_1=[15.0, 16.0], a_2=[7.0, 7.0])).outcome == "not reproduced"
    assert "above twice that of a_2" in test.test(results(a_1=[21.0], a_2=[7.0])).because


def test_a_judge_of_its_own_decides():
    test = Judged(sentence="s", judge=lambda made: ("reproduced", "it is so", {"n": 1}))
    verdict = test.test(results(a_1=[1.0]))
    assert (verdict.expectation, verdict.outcome) == ("s", "reproduced")
    assert (verdict.because, verdict.statistics) == ("it is so", {"n": 1})


def test_a_curve_needs_two_points():
    with pytest.raises(UsageError, match="a curve needs two"):
        RisesWith(sentence="", group="a").test(results(a_1=[1.0]))
