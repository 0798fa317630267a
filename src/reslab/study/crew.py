"""The processes that do a study's runs: started when needed, replaced when they die."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from reslab.child import Child, ChildEnded
from reslab.machine import available_cores
from reslab.study.expansion import PlannedRun

POLL_S = 0.2
STOP_S = 120.0
Event = Mapping[str, Any]


class Worker:
    """One process; see `reslab.study.worker`.

    Args:
        told: the first line that it is told.
        threads: cores that it may use; 0 for all.
        log: where its stderr goes.
        heard: where its lines are put, with itself; None at the end.
    """

    def __init__(
        self,
        told: Mapping[str, Any],
        threads: int,
        log: Path,
        heard: queue.Queue[tuple[Worker, Event | None]],
    ) -> None:
        environment = dict(os.environ)
        if threads:
            environment["OMP_NUM_THREADS"] = str(threads)
            # Threads that wait by spinning take the cores from the other processes.
            environment.setdefault("OMP_WAIT_POLICY", "passive")
        self.run: PlannedRun | None = None
        self._child = Child("reslab.study.worker", environment=environment, log=log)
        self._say(told)
        threading.Thread(target=self._listen, args=(heard,), daemon=True).start()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process itself."""
        return self._child.process

    def give(self, run: PlannedRun) -> None:
        """Tell it the next run."""
        self.run = run
        self._say(run.id)

    def stop(self) -> None:
        """Ask it to save and end."""
        self._child.stop()

    def end(self, *, within_s: float) -> None:
        """Tell it that nothing follows, and wait; it is killed where it does not end."""
        self._say(None)
        self._child.end(within_s=within_s)

    def last_words(self) -> str:
        """Say why it is gone."""
        return self._child.last_words()

    def _say(self, value: Any) -> None:
        with contextlib.suppress(ChildEnded):  # which is heard of elsewhere
            self._child.send(value)

    def _listen(self, heard: queue.Queue[tuple[Worker, Event | None]]) -> None:
        with contextlib.suppress(ChildEnded, OSError, ValueError):
            while True:
                heard.put((self, self._child.receive()))
        heard.put((self, None))


class Crew:
    """Up to so many workers; a context manager that leaves none behind.

    Args:
        told: the study, as workers are told.
        folder: the study's, where their logs are.
        size: how many.
    """

    def __init__(self, told: Mapping[str, Any], folder: Path, size: int) -> None:
        self._told, self._folder, self._size = told, folder, size
        self._workers: list[Worker] = []
        self._heard: queue.Queue[tuple[Worker, Event | None]] = queue.Queue()
        self._stopping = False

    @property
    def busy(self) -> list[PlannedRun]:
        """The runs that are being done."""
        return [worker.run for worker in self._workers if worker.run is not None]

    @property
    def idle(self) -> bool:
        """Whether another run can be given."""
        return len(self.busy) < self._size

    def give(self, run: PlannedRun) -> None:
        """Give a run to a worker that has none, or to a new one."""
        worker = next((w for w in self._workers if w.run is None), None)
        if worker is None:
            threads = max(1, available_cores() // self._size) if self._size > 1 else 0
            log = self._folder / f"worker-{len(self._workers)}.log"
            worker = Worker(self._told, threads, log, self._heard)
            self._workers.append(worker)
        worker.give(run)

    def hear(self) -> tuple[PlannedRun, Event] | None:
        """Wait a moment for what a worker says; {"event": "gone", "why": ...} where it died."""
        try:
            worker, event = self._heard.get(timeout=POLL_S)
        except queue.Empty:
            return None
        run = worker.run
        if event is None:
            worker.end(within_s=STOP_S)
            self._workers.remove(worker)
            return None if run is None else (run, {"event": "gone", "why": worker.last_words()})
        assert run is not None
        assert event["run"] == run.id
        if event["event"] == "done":
            worker.run = None
        return run, event

    def stop(self) -> None:
        """Ask every worker to save and end."""
        self._stopping = True
        for worker in self._workers:
            worker.stop()

    def __enter__(self) -> Crew:
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
                worker.stop()
        for worker in self._workers:
            worker.end(within_s=STOP_S if kind is None else 5.0)
        self._workers = []
