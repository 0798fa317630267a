"""The processes that do a study's runs: started when needed, replaced when they die."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from reslab.data.chunks import available_cores
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
        self._log = log
        with open(log, "ab") as stderr:
            # A session of its own: Ctrl-C reaches the parent alone, who then asks to stop.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "reslab.study.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=environment,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
        self._say(told)
        assert self.process.stdout is not None
        listener = threading.Thread(
            target=self._listen, args=(self.process.stdout, heard), daemon=True
        )
        listener.start()

    def give(self, run: PlannedRun) -> None:
        """Tell it the next run."""
        self.run = run
        self._say(run.id)

    def stop(self) -> None:
        """Ask it to save and end."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)

    def end(self, *, within_s: float) -> None:
        """Tell it that nothing follows, and wait; it is killed where it does not end."""
        self._say(None)
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()

    def epitaph(self) -> str:
        """Say why it is gone."""
        code = self.process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            return f"its process was ended by {name}" + (
                " (too little memory?)" if code == -signal.SIGKILL else ""
            )
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"its process ended with code {code}: {lines[-1] if lines else 'it said nothing'}"

    def _say(self, value: Any) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # it is gone, which is heard of elsewhere
            self.process.stdin.write(json.dumps(value) + "\n")
            self.process.stdin.flush()

    def _listen(self, stream: IO[str], heard: queue.Queue[tuple[Worker, Event | None]]) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in stream:
                heard.put((self, json.loads(line)))
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
            return None if run is None else (run, {"event": "gone", "why": worker.epitaph()})
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
