"""The workers that do a study's runs: started when needed, replaced when they die.

A worker is whatever takes the lines of `Executor`: here a process on this machine, which runs
`reslab.study.worker`. A Ray actor or a process behind ssh becomes one with the same five methods,
and with a `Start` that makes it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from reslab.child import Child, ChildEnded
from reslab.errors import ReslabError
from reslab.machine import available_cores, with_threads
from reslab.study.expansion import PlannedRun

POLL_S = 0.2
STOP_S = 120.0
Event = Mapping[str, Any]


class Executor(Protocol):
    """Where runs are done. It is sent the study, then the id of each run, then None."""

    def send(self, value: Any) -> None:
        """Hand over a JSON value; raises ChildEnded where it is gone."""
        ...

    def recv(self) -> Event:
        """Wait for the next event of the run it does; raises ChildEnded where it is gone."""
        ...

    def stop(self) -> None:
        """Ask it to save and end."""
        ...

    def end(self, *, within_s: float) -> None:
        """Wait until it has ended by itself; end it where it does not."""
        ...

    def exit_reason(self) -> str:
        """Say why it is gone."""
        ...


Start = Callable[[int], Executor]


def processes(folder: Path, size: int) -> Start:
    """Return what starts worker number n as a process here, with its share of the cores.

    Args:
        folder: the study's, where the workers' logs are.
        size: workers at once.
    """
    threads = max(1, available_cores() // size) if size > 1 else 0
    environment = with_threads(threads)
    if threads:
        # Threads that wait by spinning take the cores from the other processes.
        environment.setdefault("OMP_WAIT_POLICY", "passive")

    def start(number: int) -> Executor:
        log = folder / f"worker-{number}.log"
        return Child("reslab.study.worker", environment=environment, log=log)

    return start


class Worker:
    """An executor and the run that it does; its events go into the pool's queue.

    Args:
        executor: who does the runs.
        setup: the study, as `reslab.study.worker` reads it.
        events: where its events are put, with itself; None at the end.
    """

    def __init__(
        self,
        executor: Executor,
        setup: Mapping[str, Any],
        events: queue.Queue[tuple[Worker, Event | None]],
    ) -> None:
        self.executor = executor
        self.run: PlannedRun | None = None
        self.send(setup)
        threading.Thread(target=self._forward, args=(events,), daemon=True).start()

    def send(self, value: Any) -> None:
        """Hand over a value; that it is gone, its last event says."""
        with contextlib.suppress(ChildEnded):
            self.executor.send(value)

    def end(self, *, within_s: float) -> None:
        """Tell it that nothing follows, and wait; it is killed where it does not end."""
        self.send(None)
        self.executor.end(within_s=within_s)

    def _forward(self, events: queue.Queue[tuple[Worker, Event | None]]) -> None:
        # An error that it sends is in its log, too, whose end is the reason that is told.
        with contextlib.suppress(ChildEnded, ReslabError, OSError, ValueError):
            while True:
                events.put((self, self.executor.recv()))
        events.put((self, None))


class WorkerPool:
    """Up to so many workers; a context manager that leaves none behind.

    Args:
        setup: the study, as workers are told.
        size: workers at once.
        start: makes worker number n.
    """

    def __init__(self, setup: Mapping[str, Any], size: int, start: Start) -> None:
        self._setup, self._size, self._start = setup, size, start
        self._workers: list[Worker] = []
        self._events: queue.Queue[tuple[Worker, Event | None]] = queue.Queue()
        self._stopping = False

    @property
    def running(self) -> list[PlannedRun]:
        """The runs that are being done."""
        return [worker.run for worker in self._workers if worker.run is not None]

    @property
    def has_room(self) -> bool:
        """Whether another run can be submitted."""
        return len(self.running) < self._size

    def submit(self, run: PlannedRun) -> None:
        """Give a run to a worker that has none, or to a new one."""
        worker = next((w for w in self._workers if w.run is None), None)
        if worker is None:
            worker = Worker(self._start(len(self._workers)), self._setup, self._events)
            self._workers.append(worker)
        worker.run = run
        worker.send(run.id)

    def recv(self) -> tuple[PlannedRun, Event] | None:
        """Wait a moment for an event of a run; {"event": "gone", "why": ...} where its worker died.

        Returns:
            The run and the event; None where nothing happened meanwhile.
        """
        try:
            worker, event = self._events.get(timeout=POLL_S)
        except queue.Empty:
            return None
        run = worker.run
        if event is None:
            worker.end(within_s=STOP_S)
            self._workers.remove(worker)
            why = worker.executor.exit_reason()
            return None if run is None else (run, {"event": "gone", "why": why})
        assert run is not None
        assert event["run"] == run.id
        if event["event"] == "done":
            worker.run = None
        return run, event

    def stop(self) -> None:
        """Ask every worker to save and end."""
        self._stopping = True
        for worker in self._workers:
            worker.executor.stop()

    def __enter__(self) -> WorkerPool:
        """Begin without any worker: they start when they are given something."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for the workers' end; after an error, do not wait long."""
        for worker in self._workers:
            if kind is not None and not self._stopping:
                worker.executor.stop()
        for worker in self._workers:
            worker.end(within_s=STOP_S if kind is None else 5.0)
        self._workers = []
