"""Arms in processes of their own, told in turn (A B B A ...) to do a chunk of the same work."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

from bench.case import Arm, Case, Options, Skipped
from bench.memory import Children, peak_mib
from bench.session import BEGAN, CHECKED
from bench.spread import spread

ROOT = Path(__file__).parent.parent
TRIAL_CHUNKS = 2
CLOSE = 0.9  # of the best rate of a trial: may be as fast
Say = Callable[[str], None]


class WorkerError(Exception):
    """An arm's process ended where it should have answered; the message is its last words."""


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
    """

    def __init__(
        self, case: Case, number: int, settings: Mapping[str, Any], scratch: Path, mode: str
    ) -> None:
        self.arm = case.arms()[number]
        # A quick run compiles once for both; else the time to be warm would not be that of a user.
        self.own = scratch / (f"arm-{number}" if settings["quick"] else f"{mode}-{number}")
        self.own.mkdir(parents=True, exist_ok=True)
        self._log = self.own / "stderr.txt"
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker", mode],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env={**environment(self.own, settings["threads"]), **self.arm.environment},
                text=True,
            )
        self._children = Children(self._process.pid)
        folders = {"scratch": str(scratch), "own": str(self.own)}
        self._write(
            {"module": self.arm.module, "settings": {**settings, **folders, **self.arm.settings}}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> dict[str, Any]:
        """Wait until the arm is warm; returns its cold times and what it says of itself."""
        return self._read()

    def chunk(self, units: int) -> Chunk:
        """Let the arm do so many units of work, alone on the machine."""
        self._write({"units": units})
        answer = self._read()
        return Chunk(answer["count"], answer["seconds"], answer["figures"])

    def watched_chunk(self, units: int) -> Chunk:
        """Do the same while the memory of the process's children is looked at, which costs time."""
        with self._children:
            return self.chunk(units)

    def peak_mib(self) -> dict[str, float]:
        """Return the greatest memory of the process so far, and of it with its children."""
        return peak_mib(self._process.pid, self._children)

    def finish(self) -> None:
        """Wait for a process that needs no commands.

        Raises:
            WorkerError: it failed.
        """
        self._close_input()
        if self._process.wait() != 0:
            raise WorkerError(self._last_words())

    def close(self) -> None:
        """End the process; killed where it does not end by itself."""
        self._close_input()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()

    def _write(self, value: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise WorkerError(self._last_words()) from error

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise WorkerError(self._last_words())
        return json.loads(line)

    def _last_words(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line]
        return "\n".join(lines[-12:]) or f"exit code {self._process.returncode} without a word"


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
    scratch = options.scratch / case.name
    scratch.mkdir(parents=True, exist_ok=True)
    settings = {**case.setup(options), "quick": options.quick, "threads": threads(options)}
    load_before = round(os.getloadavg()[0], 2)
    missing = case.ours.missing()
    if missing:
        raise Skipped(f"needs {', '.join(missing)}")
    if options.without:
        kept = tuple(arm for arm in case.peers if options.without not in arm.name)
        case = dataclasses.replace(case, peers=kept)
    broken = check(case, settings, scratch, say)
    result: dict[str, Any] = {
        "title": case.title,
        "unit": case.unit,
        "settings": {k: v for k, v in settings.items() if not str(v).startswith("/")},
        "limit_s": case.limit_s,
        "load_before": load_before,
        "same": dict(case.agree),
        "groups": {},
    }
    with Worker(case, 0, settings, scratch, "measure") as ours:
        facts = ours.start()
        say(f"  ours: ready after {facts['cold']['ready_s']:.1f} s")
        turn = Turn(case, options, ours, say)
        for group, arms in case.groups().items():
            result["groups"][group] = compare(turn, group, arms, settings, scratch, broken)
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
        self._units = self.units_for(ours)

    def units_for(self, worker: Worker) -> int:
        """Return how many units of work fill a chunk, from one unit and then a tenth of it."""
        wanted = self.options.seconds or (0.3 if self.options.quick else self.case.seconds)
        units = 1
        for share in (0.1, 1.0):
            took = worker.watched_chunk(units).seconds
            units = max(1, round(units * share * wanted / took))
            if self.case.most_units:
                units = min(units, self.case.most_units)
        return units

    def alone(self) -> None:
        """Measure our arm by itself."""
        for _ in range(2 * self.options.pairs):
            self.rates.append(self.ours.chunk(self._units).rate)

    def pairs(self, peer: Worker, units: int) -> dict[str, Any]:
        """Measure pairs in turn; returns rates and ratios, ours to theirs."""
        own: list[float] = []
        their: list[float] = []
        for pair in range(self.options.pairs):
            for is_ours in (True, False) if pair % 2 == 0 else (False, True):
                if is_ours:
                    own.append(self.ours.chunk(self._units).rate)
                else:
                    their.append(peer.chunk(units).rate)
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
    broken: Mapping[str, str],
) -> dict[str, Any]:
    """Find a group's fastest candidates and measure ours beside each of them.

    A trial is short and this machine noisy: whoever comes within `CLOSE` of the best is measured,
    and the one that leaves ours the smallest ratio is what ours is compared with.
    """
    trials: dict[str, Any] = {}
    close: list[Candidate] = []
    try:
        for arm in arms:
            if arm.name in broken:
                trials[arm.name] = {"failed": broken[arm.name]}
                continue
            worker = Worker(turn.case, turn.case.arms().index(arm), settings, scratch, "measure")
            try:
                facts = worker.start()
                units = turn.units_for(worker)
                rate = max(worker.chunk(units).rate for _ in range(TRIAL_CHUNKS))
            except WorkerError as error:
                worker.close()
                trials[arm.name] = {"failed": str(error).splitlines()[-1]}
                continue
            trials[arm.name] = {"rate": rate, **facts}
            turn.say(f"  {group}: {arm.name}: {rate:,.6g} {turn.case.unit}")
            close.append(Candidate(worker, facts, units, rate))
            fastest = max(one.rate for one in close)
            for one in [one for one in close if one.rate < CLOSE * fastest]:
                one.worker.close()
                close.remove(one)
        if not close:
            return {"skipped": "no candidate runs here", "trials": trials}
        measured = [
            {
                "name": one.worker.arm.name,
                "target": turn.case.targets.get(group),
                **one.facts,
                **turn.pairs(one.worker, one.units),
                **one.worker.peak_mib(),
            }
            for one in close
        ]
        hardest = min(measured, key=lambda peer: float(peer["ratio"]["median"]))
        for peer in measured:
            trials[peer["name"]] |= {"ratio": peer["ratio"]}
        return {**hardest, "trials": trials}
    finally:
        for one in close:
            one.worker.close()


def check(case: Case, settings: Mapping[str, Any], scratch: Path, say: Say) -> dict[str, str]:
    """Let every arm say what it computes, in a process of its own, and compare with ours.

    Returns:
        Arms that cannot be measured, by name, with the reason.

    Raises:
        WorkerError: our own arm fails.
    """
    import numpy as np

    broken = {a.name: f"needs {', '.join(a.missing())}" for a in case.peers if a.missing()}
    if not case.agree:
        return broken
    for number, arm in enumerate(case.arms()):
        if arm.name in broken:
            continue
        try:
            with Worker(case, number, settings, scratch, "check") as worker:
                worker.finish()
        except WorkerError as error:
            if number == 0:
                raise
            broken[arm.name] = str(error).splitlines()[-1]
            say(f"  {arm.name}: left out: {broken[arm.name]}")
            continue
        with np.load(worker.own / CHECKED) as found:
            values = dict(found)
        if number == 0:
            expected = values
            continue
        for key, tolerance in case.agree.items():
            if key not in values:
                continue
            apart = relative_difference(expected[key], values[key])
            if not apart <= tolerance:
                broken[arm.name] = f"{key} differs by {apart:.3g} of ours (at most {tolerance:g})"
                say(f"  {arm.name}: left out: {broken[arm.name]}")
    return broken


def relative_difference(ours: Any, theirs: Any) -> float:
    """max |a - b| / max |a|; infinite where shapes differ."""
    import numpy as np

    if ours.shape != theirs.shape:
        return float("inf")
    largest = float(np.abs(ours).max()) or 1.0
    return float(np.abs(ours.astype(float) - theirs.astype(float)).max()) / largest
