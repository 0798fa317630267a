"""Arms take turns, answers are compared, and whoever fails is left out with the reason."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from bench.case import OURS, Arm, Case, Options, Skipped
from bench.harness import ROOT, Deadline, TimeUp, Turn, Worker, WorkerError, measure

from bench import harness

MODULE = "tests.bench.sample_arms"


def arm(letter: str, group: str = "as found", speed: float = 1.0, **settings: Any) -> Arm:
    return Arm(
        name=letter,
        group=group,
        module=MODULE,
        settings={"letter": letter, "speed": speed, **settings},
    )


def run(
    tmp_path: Path, *peers: Arm, ours: Arm | None = None, pairs: int = 4, **machine: Any
) -> tuple[dict, str]:
    log = tmp_path / "log"
    options = Options(
        data=None,
        pairs=pairs,
        seconds=0.004,
        quick=True,
        without="",
        threads=1,
        scratch=tmp_path,
        out=tmp_path,
        **machine,
    )
    case = Case(
        name="sample",
        title="sample",
        unit="naps/s",
        ours=ours or arm("A", OURS, 2.0),
        peers=peers,
        targets={"as found": 1.5},
        setup=lambda options: {"log": str(log)},
        agree={"answer": 0.01},
    )
    found = measure(case, options, lambda text: None)
    return found, log.read_text()


def test_pairs_alternate(tmp_path):
    found, log = run(tmp_path, arm("B"))
    assert log.endswith("ABBAABBA")
    peer = found["groups"]["as found"]
    assert len(peer["ratios"]) == 4
    assert peer["ratios"] == [a / b for a, b in zip(peer["ours_rates"], peer["rates"], strict=True)]
    assert peer["peak_mib"] > 1
    assert found["ours"]["facts"] == {"letter": "A", "told": ""}


def test_the_fastest_candidate_of_a_group_is_compared_and_the_others_are_listed(tmp_path):
    found, log = run(tmp_path, arm("slow", speed=0.1), arm("fast", speed=20.0), pairs=1)
    peer = found["groups"]["as found"]
    assert peer["name"] == "fast"
    assert set(peer["trials"]) == {"slow", "fast"}
    assert log.endswith("Afast")


def test_whoever_may_be_as_fast_is_measured_and_the_hardest_counts(tmp_path):
    found, _ = run(tmp_path, arm("one"), arm("two"), arm("slow", speed=0.2), pairs=2)
    peer = found["groups"]["as found"]
    measured = {name: t["ratio"]["median"] for name, t in peer["trials"].items() if "ratio" in t}
    assert "slow" not in measured
    assert peer["ratio"]["median"] == min(measured.values())
    assert peer["name"] == min(measured, key=lambda name: measured[name])


def test_whoever_is_far_slower_is_dropped_after_one_unit_and_its_kin_are_not_tried(tmp_path):
    found, log = run(
        tmp_path,
        arm("half", bf16=True, speed=0.01),
        arm("half, compiled", bf16=True, speed=0.01),
        arm("quick", speed=2.0),
        arm("other", speed=1.0),
        pairs=1,
        bf16=False,
    )
    trials = found["groups"]["as found"]["trials"]
    assert list(trials) == ["quick", "other", "half", "half, compiled"], "the likely type first"
    assert trials["half"]["hopeless"]
    assert trials["half, compiled"] == {"failed": "not tried: 'half' was far too slow"}
    assert log.count("half") == 1
    assert found["groups"]["as found"]["name"] == "quick"


def test_an_arm_that_does_not_answer_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "PATIENCE_S", 1.0)
    found, _ = run(tmp_path, arm("stuck", hangs=True), arm("B"), pairs=1)
    trials = found["groups"]["as found"]["trials"]
    assert trials["stuck"]["failed"].startswith("no answer within 1 s")
    assert found["groups"]["as found"]["name"] == "B"


def test_a_candidate_that_takes_its_share_of_the_time_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "CANDIDATE_SHARE", 0.1)
    peers = arm("compiling", starts_after=600), arm("stuck", hangs=True), arm("B")
    found, _ = run(tmp_path, *peers, pairs=1, case_s=60.0)
    trials = found["groups"]["as found"]["trials"]
    assert trials["compiling"] == trials["stuck"] == {"failed": "ended after 6 s"}
    assert found["groups"]["as found"]["name"] == "B"


def test_no_case_takes_longer_than_its_time(tmp_path):
    began = time.monotonic()
    with pytest.raises(TimeUp, match="ended after 4 s"):
        run(tmp_path, arm("B"), ours=arm("A", OURS, hangs=True), case_s=4.0)
    assert time.monotonic() - began < 60


def test_pairs_end_with_the_time_of_the_case(tmp_path, monkeypatch):
    monkeypatch.setattr(Deadline, "left_s", lambda self: 0.0 if self.pairs_began else 60.0)
    monkeypatch.setattr(Deadline, "pairs_began", False, raising=False)

    def pairs(self: Turn, *words: Any) -> Any:
        Deadline.pairs_began = True
        return measured(self, *words)

    measured = Turn.pairs
    monkeypatch.setattr(Worker, "_receive", lambda self, limit_s: self._child.recv(60))
    monkeypatch.setattr(Turn, "pairs", pairs)
    found, _ = run(tmp_path, arm("B"), pairs=4)
    assert len(found["groups"]["as found"]["ratios"]) == 1, "one there always is"


def test_no_further_candidate_is_begun_when_the_time_of_a_case_is_up(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "CANDIDATES_UNTIL", 0.0)
    found, log = run(tmp_path, arm("one"), arm("two"), pairs=1)
    peer = found["groups"]["as found"]
    assert peer["name"] == "one", "one there always is"
    assert peer["trials"]["two"] == {"failed": "not tried: the time of the case was up"}
    assert "two" not in log


BENCH = """
import sys
from pathlib import Path
from tests.bench.test_harness import arm, run
run(Path(sys.argv[1]), ours=arm("A", "ours", hangs=True))
"""


def test_nothing_is_left_of_a_bench_that_was_killed(tmp_path):
    argv = [sys.executable, "-c", BENCH, str(tmp_path)]
    bench = subprocess.Popen(argv, cwd=ROOT, start_new_session=True)
    log = tmp_path / "log"
    deadline = time.monotonic() + 120
    while not (log.is_file() and log.read_text().endswith("\n")):
        assert time.monotonic() < deadline
        assert bench.poll() is None
        time.sleep(0.05)
    started = [Path("/proc", pid, "stat") for pid in log.read_text().split()]
    assert all(stat.exists() for stat in started)
    bench.kill()
    bench.wait()
    while any(stat.exists() and " Z " not in stat.read_text() for stat in started):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_arm_has_an_environment_of_its_own(tmp_path):
    told = dataclasses.replace(arm("B"), environment={"TOLD": "memory kept"})
    found, _ = run(tmp_path, told, pairs=1)
    assert found["groups"]["as found"]["facts"]["told"] == "memory kept"


def test_memory_of_children_that_have_ended_counts(tmp_path):
    found, _ = run(tmp_path, arm("B", child=True), pairs=1)
    peer = found["groups"]["as found"]
    assert peer["with_children_mib"] > peer["peak_mib"] + 60
    assert found["ours"]["with_children_mib"] == found["ours"]["peak_mib"]


def test_other_answers_and_failures_leave_a_candidate_out(tmp_path):
    found, log = run(
        tmp_path,
        arm("wrong", answer=2.1),
        arm("dead", dies="at start"),
        arm("mute", dies="at check"),
        arm("refused", dies="with a reason"),
        arm("B"),
        pairs=1,
    )
    trials = found["groups"]["as found"]["trials"]
    assert "answer differs by" in trials["wrong"]["failed"]
    assert "no compiler here" in trials["dead"]["failed"]
    assert "no answer" in trials["mute"]["failed"]
    assert trials["refused"]["failed"] == "DataError: there are no images"
    assert found["groups"]["as found"]["name"] == "B"
    assert "wrong" not in log


def test_nobody_left_to_compare_with(tmp_path):
    found, _ = run(tmp_path, arm("wrong", answer=3.0))
    assert found["groups"]["as found"]["skipped"] == "no candidate runs here"


def test_our_own_failure_is_loud(tmp_path):
    with pytest.raises(WorkerError, match="no answer"):
        run(tmp_path, arm("B"), ours=arm("A", OURS, dies="at check"))


def test_a_package_that_is_not_there(tmp_path):
    lacking = Arm(name="C", group="as found", module=MODULE, needs=("no_such_package",))
    found, _ = run(tmp_path, lacking, arm("B"), pairs=1)
    assert found["groups"]["as found"]["trials"]["C"] == {"failed": "needs no_such_package"}
    ours = Arm(name="A", group=OURS, module=MODULE, needs=("no_such_package",))
    with pytest.raises(Skipped, match="no_such_package"):
        run(tmp_path, arm("B"), ours=ours)
