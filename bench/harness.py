"""Arms in processes of their own, told in turn (A B B A ...) to do a chunk of the same work."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from bench.case import Arm, Case, Options, Skipped
from bench.memory import Children, peak_mib
from bench.session import BEGAN, CHECKED
from bench.spread import spread
from reslab.child import Child, ChildEnded
from reslab.errors import ReslabError

ROOT = Path(__file__).parent.parent
TRIAL_CHUNKS = 2
CLOSE = 0.9  # of the best rate of a trial: may be as fast
# Of the best rate so far, in the first unit of work: cannot be the fastest.
HOPELESS = 0.5
# A peer has so many times as long as ours took, and some minutes to compile; who takes longer is
# not the fastest.
PATIENCE_S, PATIENCE = 240.0, 5.0
FAR_SLOWER = 50.0  # as others load images, beside ours
# Of the time of a case: what one candidate may take, its check and compiling included, and after
# how much no further one is begun, so that there is time left for the pairs.
CANDIDATE_SHARE, CANDIDATES_UNTIL = 1 / 3, 0.7
LAST_LINES = 12
TOO_LATE = "no candidate was done in the time of the case"
Say = Callable[[str], None]


class WorkerError(Exception):
    """An arm's process ended where it should have answered; the message says why."""


class TimeUp(WorkerError):  # noqa: N818 - as TimeoutError says what, not that
    """An arm's process was ended because its time was up."""


@dataclasses.dataclass(frozen=True)
class Deadline:
    """When a process is ended, whatever it is doing.

    Args:
        began: `time.monotonic()` when the time began.
        seconds: that it has.
    """

    began: float
    seconds: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline so many seconds from now."""
        return cls(time.monotonic(), seconds)

    def passed(self, share: float = 1.0) -> bool:
        """Tell whether so much of the time is over."""
        return time.monotonic() > self.began + share * self.seconds

    def left_s(self) -> float:
        """Return the seconds that are left, 0 or more."""
        return max(0.0, self.began + self.seconds - time.monotonic())

    def of_one(self, share: float) -> Deadline:
        """Return the deadline of somebody who begins now and may take that share of the whole."""
        return Deadline.after(min(share * self.seconds, self.left_s()))


@dataclasses.dataclass(frozen=True)
class Chunk:
    """What one chunk was: so many of the case's unit, seconds, and figures of the arm's own."""

    count: int
    seconds: float
    figures: Mapping[str, Any]

    @property
    def rate(self) -> float:
        """Return units by the second."""
        return self.count / self.seconds


class Worker:
    """The process of one arm. Between two chunks it sleeps in a read.

    Args:
        case: what is measured.
        number: of the arm among the case's arms.
        settings: what all arms share.
        scratch: folder for caches and logs; each arm has its own caches, empty at first.
        mode: "check" or "measure".
        deadline: when the process is ended.
    """

    def __init__(
        self,
        case: Case,
        number: int,
        settings: Mapping[str, Any],
        scratch: Path,
        mode: str,
        deadline: Deadline,
    ) -> None:
        self.deadline = deadline
        self.arm = case.arms()[number]
        # A quick run compiles once for both; else the time to be warm would not be that of a user.
        self.own = scratch / (f"arm-{number}" if settings["quick"] else f"{mode}-{number}")
        self.own.mkdir(parents=True, exist_ok=True)
        self._child = Child(
            "bench.worker",
            environment={**environment(self.own, settings["threads"]), **self.arm.environment},
            log=self.own / "stderr.txt",
            path=[ROOT],
            cwd=ROOT,
        )
        self._children = Children(self._child.pid)
        folders = {"scratch": str(scratch), "own": str(self.own)}
        told = {**settings, **folders, **self.arm.settings}
        self._send({"mode": mode, "module": self.arm.module, "settings": told})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self, limit_s: float = math.inf) -> dict[str, Any]:
        """Wait until the arm is warm; returns its cold times and what it says of itself."""
        return self._receive(limit_s)

    def chunk(self, units: int, limit_s: float = math.inf) -> Chunk:
        """Let the arm do so many units of work, alone on the machine."""
        self._send({"units": units})
        answer = self._receive(limit_s)
        return Chunk(answer["count"], answer["seconds"], answer["figures"])

    def watched_chunk(self, units: int, limit_s: float = math.inf) -> Chunk:
        """Do the same while the memory of the process's children is looked at, which costs time."""
        with self._children:
            return self.chunk(units, limit_s)

    def peak_mib(self) -> dict[str, float]:
        """Return the greatest memory of the process so far, and of it with its children."""
        return peak_mib(self._child.pid, self._children)

    def finish(self, limit_s: float = math.inf) -> None:
        """Wait for a process that needs no commands.

        Raises:
            WorkerError: it failed, or took longer.
        """
        self._receive(limit_s)

    def has_ended(self) -> bool:
        """Tell whether the process is gone."""
        return self._child.process.poll() is not None

    def close(self) -> None:
        """End the process, and what it has started."""
        self._child.kill()

    def _send(self, value: Mapping[str, Any]) -> None:
        try:
            self._child.send(value)
        except ChildEnded:
            raise WorkerError(self._child.exit_reason(LAST_LINES)) from None

    def _receive(self, limit_s: float) -> dict[str, Any]:
        left_s = self.deadline.left_s()
        try:
            return self._child.recv(min(limit_s, left_s))
        except ChildEnded:
            raise WorkerError(self._child.exit_reason(LAST_LINES)) from None
        except ReslabError as error:
            raise WorkerError(f"{type(error).__name__}: {error}") from None
        except TimeoutError:
            if limit_s < left_s:
                raise TimeUp(f"no answer within {limit_s:.0f} s") from None
            raise TimeUp(f"ended after {self.deadline.seconds:.0f} s") from None


def environment(own: Path, threads: int) -> dict[str, str]:
    """Return what every arm's process is given: as many threads, caches of its own."""
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "RESLAB_CACHE": str(own / "reslab-cache"),
        "TORCHINDUCTOR_CACHE_DIR": str(own / "inductor"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONWARNINGS": "ignore",
        BEGAN: str(time.monotonic()),
    }


def measure(case: Case, options: Options, say: Say) -> dict[str, Any]:
    """Measure a case: same answers first, then ours beside the best of each group of peers.

    Raises:
        Skipped: it cannot be measured here.
        WorkerError: our arm failed, or an answer differs.
    """
    deadline = Deadline.after(options.case_s)
    scratch = options.scratch / case.name
    scratch.mkdir(parents=True, exist_ok=True)
    settings = {**case.setup(options), "quick": options.quick, "threads": threads(options)}
    settings["bf16_here"] = options.bf16
    load_before = round(os.getloadavg()[0], 2)
    missing = case.ours.missing()
    if missing:
        raise Skipped(f"needs {', '.join(missing)}")
    if options.without:
        kept = tuple(arm for arm in case.peers if options.without not in arm.name)
        case = dataclasses.replace(case, peers=kept)
    answers = Answers(case, settings, scratch, say, deadline)
    result: dict[str, Any] = {
        "title": case.title,
        "unit": case.unit,
        "settings": {k: v for k, v in settings.items() if not str(v).startswith("/")},
        "limit_s": case.limit_s,
        "load_before": load_before,
        "same": dict(case.agree),
        "groups": {},
    }
    with Worker(case, 0, settings, scratch, "measure", deadline) as ours:
        facts = ours.start()
        say(f"  ours: ready after {facts['cold']['ready_s']:.1f} s")
        turn = Turn(case, options, ours, say)
        for group, arms in case.groups().items():
            result["groups"][group] = compare(turn, group, arms, settings, scratch, answers)
        if not turn.rates:  # nobody to compare with
            turn.alone()
        result["ours"] = {
            "name": case.ours.name,
            **facts,
            "rate": spread(turn.rates),
            "seconds_each": spread([1 / rate for rate in turn.rates]),
            **ours.peak_mib(),
        }
    return result


def threads(options: Options) -> int:
    """Return how many threads every arm computes with."""
    return options.threads or os.cpu_count() or 1


class Turn:
    """Our warm worker, and how it takes turns with others.

    Args:
        case: what is measured.
        options: how often and how long.
        ours: our worker.
        say: told what happens.
    """

    def __init__(self, case: Case, options: Options, ours: Worker, say: Say) -> None:
        self.case = case
        self.options = options
        self.ours = ours
        self.say = say
        self.rates: list[float] = []
        self.deadline = ours.deadline
        self.first = ours.watched_chunk(1)
        self._units = self.units_for(ours, self.first)

    def first_unit(self, worker: Worker) -> Chunk:
        """Let a peer do one unit of work, for a bounded time."""
        return worker.watched_chunk(1, PATIENCE_S + FAR_SLOWER * self.first.seconds)

    def units_for(self, worker: Worker, first: Chunk) -> int:
        """Return how many units of work fill a chunk, from one unit and then a tenth of it."""
        wanted = self.options.seconds or (0.3 if self.options.quick else self.case.seconds)
        units = self._within(round(0.1 * wanted / first.seconds))
        took = worker.watched_chunk(units).seconds
        return self._within(round(units * wanted / took))

    def fitting_units(self, worker: Worker) -> int:
        """Return how many units of a peer's work fill a chunk."""
        return self.units_for(worker, self.first_unit(worker))

    def _within(self, units: int) -> int:
        return max(1, min(units, self.case.most_units or units))

    def alone(self) -> None:
        """Measure our arm by itself."""
        for _ in range(2 * self.options.pairs):
            self.rates.append(self.ours.chunk(self._units).rate)

    def pairs(self, peer: Worker, units: int) -> dict[str, Any]:
        """Measure pairs in turn; returns rates and ratios, ours to theirs."""
        own: list[float] = []
        their: list[float] = []
        took_s = 0.0
        for pair in range(self.options.pairs):
            if pair and self.deadline.left_s() < took_s:
                self.say(f"    no time for more than {pair} of {self.options.pairs} pairs")
                break
            began = time.monotonic()
            for is_ours in (True, False) if pair % 2 == 0 else (False, True):
                if is_ours:
                    own.append(self.ours.chunk(self._units).rate)
                else:
                    their.append(peer.chunk(units).rate)
            took_s = time.monotonic() - began
            self.say(f"    {own[-1]:,.6g} to {their[-1]:,.6g}: {own[-1] / their[-1]:.2f}")
        self.rates += own
        ratios = [a / b for a, b in zip(own, their, strict=True)]
        return {
            "ours_rates": own,
            "rates": their,
            "rate": spread(their),
            "ratios": ratios,
            "ratio": spread(ratios),
        }


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A warm peer that may be the fastest of its group: its rate in a trial, by the second."""

    worker: Worker
    facts: Mapping[str, Any]
    units: int
    rate: float


def compare(
    turn: Turn,
    group: str,
    arms: list[Arm],
    settings: Mapping[str, Any],
    scratch: Path,
    answers: Answers,
) -> dict[str, Any]:
    """Find a group's fastest candidates and measure ours beside each of them.

    A trial is short and this machine noisy: whoever comes within `CLOSE` of the best is measured,
    and the one that leaves ours the smallest ratio is what ours is compared with.
    """
    trials: dict[str, Any] = {}
    close: list[Candidate] = []
    try:
        for arm in in_likely_order(arms, bf16=settings.get("bf16_here", True)):
            fastest = max((one.rate for one in close), default=0.0)
            if turn.deadline.passed(CANDIDATES_UNTIL if close else 1.0):
                trials[arm.name] = {"failed": "not tried: the time of the case was up"}
                continue
            deadline = turn.deadline.of_one(CANDIDATE_SHARE)
            problem = slow_kin(arm, arms, trials) or answers.problem(arm, deadline)
            if problem:
                trials[arm.name] = {"failed": problem}
                continue
            number = turn.case.arms().index(arm)
            worker = Worker(turn.case, number, settings, scratch, "measure", deadline)
            try:
                candidate, trials[arm.name] = trial(turn, worker, answers.limit_s, fastest)
            except WorkerError as error:
                worker.close()
                trials[arm.name] = {"failed": str(error).splitlines()[-1]}
                continue
            rate = trials[arm.name]["rate"]
            turn.say(f"  {group}: {arm.name}: {rate:,.6g} {turn.case.unit}")
            close += [candidate] if candidate is not None else []
            fastest = max(fastest, rate)
            for one in [one for one in close if one.rate < CLOSE * fastest]:
                one.worker.close()
                close.remove(one)
        if not close:
            late = any("ended after" in t["failed"] or "not tried" in t["failed"]
                       for t in trials.values())  # fmt: skip
            why = TOO_LATE if late else "no candidate runs here"
            return {"skipped": why, "trials": trials}
        return hardest(turn, group, close, trials)
    finally:
        for one in close:
            one.worker.close()


def in_likely_order(arms: list[Arm], *, bf16: bool) -> list[Arm]:
    """Return the arms of the type that this processor multiplies fastest first."""
    return sorted(arms, key=lambda arm: bool(arm.settings.get("bf16")) != bf16)


def slow_kin(arm: Arm, arms: list[Arm], trials: Mapping[str, Any]) -> str:
    """Say that the arms of the same type were far too slow; nothing where one was not."""
    own = bool(arm.settings.get("bf16"))
    kin = [other for other in arms if bool(other.settings.get("bf16")) == own]
    tried = [other.name for other in kin if "rate" in trials.get(other.name, {})]
    if tried and all(trials[name].get("hopeless") for name in tried):
        return f"not tried: '{tried[0]}' was far too slow"
    return ""


def trial(
    turn: Turn, worker: Worker, limit_s: float, fastest: float
) -> tuple[Candidate | None, dict[str, Any]]:
    """Measure a peer for two chunks; after one unit of work it may be left out as too slow."""
    facts = worker.start(limit_s)
    first = turn.first_unit(worker)
    if first.rate < HOPELESS * fastest:
        worker.close()
        return None, {"rate": first.rate, "hopeless": True, **facts}
    units = turn.units_for(worker, first)
    rate = max(worker.chunk(units).rate for _ in range(TRIAL_CHUNKS))
    return Candidate(worker, facts, units, rate), {"rate": rate, **facts}


def hardest(
    turn: Turn, group: str, close: list[Candidate], trials: dict[str, Any]
) -> dict[str, Any]:
    """Measure ours beside each candidate; returns the one that leaves ours the smallest ratio."""
    measured = []
    for one in sorted(close, key=lambda one: -one.rate):  # the likeliest first: time may be short
        name = one.worker.arm.name
        one.worker.deadline = turn.deadline
        try:
            found = turn.pairs(one.worker, one.units)
        except WorkerError as error:
            if turn.ours.has_ended():
                raise
            trials[name] |= {"failed": str(error).splitlines()[-1]}
            continue
        target = turn.case.targets.get(group)
        measured.append(
            {"name": name, "target": target, **one.facts, **found, **one.worker.peak_mib()}
        )
        trials[name] |= {"ratio": found["ratio"]}
    if not measured:
        return {"skipped": TOO_LATE, "trials": trials}
    best = min(measured, key=lambda peer: float(peer["ratio"]["median"]))
    return {**best, "trials": trials}


class Answers:
    """What every arm says it computes, in a process of its own, compared with ours.

    Arms that differ in nothing but their environment compute the same, and are asked once.

    Args:
        case: what is measured.
        settings: what all arms share.
        scratch: folder for caches and logs.
        say: told who is left out.
        deadline: of our own arm.

    Raises:
        WorkerError: our own arm fails.
    """

    def __init__(
        self,
        case: Case,
        settings: Mapping[str, Any],
        scratch: Path,
        say: Say,
        deadline: Deadline,
    ) -> None:
        self._case, self._settings, self._scratch, self._say = case, settings, scratch, say
        self._known: dict[str, str] = {}
        self.limit_s = math.inf
        if case.agree:
            began = time.monotonic()
            self._expected = self._values(case.ours, math.inf, deadline)
            self.limit_s = PATIENCE_S + PATIENCE * (time.monotonic() - began)

    def problem(self, arm: Arm, deadline: Deadline) -> str:
        """Say why a peer cannot be compared with ours; nothing where it can."""
        if missing := arm.missing():
            return f"needs {', '.join(missing)}"
        if not self._case.agree:
            return ""
        same = json.dumps([arm.module, dict(arm.settings)], sort_keys=True)
        if same not in self._known:
            try:
                self._known[same] = self._difference(self._values(arm, self.limit_s, deadline))
            except WorkerError as error:
                self._known[same] = str(error).splitlines()[-1]
            if self._known[same]:
                self._say(f"  {arm.name}: left out: {self._known[same]}")
        return self._known[same]

    def _values(self, arm: Arm, limit_s: float, deadline: Deadline) -> dict[str, Any]:
        import numpy as np

        number = self._case.arms().index(arm)
        with Worker(self._case, number, self._settings, self._scratch, "check", deadline) as worker:
            worker.finish(limit_s)
        with np.load(worker.own / CHECKED) as found:
            return dict(found)

    def _difference(self, values: Mapping[str, Any]) -> str:
        for key, tolerance in self._case.agree.items():
            if key not in values:
                continue
            apart = relative_difference(self._expected[key], values[key])
            if not apart <= tolerance:
                return f"{key} differs by {apart:.3g} of ours (at most {tolerance:g})"
        return ""


def relative_difference(ours: Any, theirs: Any) -> float:
    """max |a - b| / max |a|; infinite where shapes differ."""
    import numpy as np

    if ours.shape != theirs.shape:
        return float("inf")
    largest = float(np.abs(ours).max()) or 1.0
    return float(np.abs(ours.astype(float) - theirs.astype(float)).max()) / largest
