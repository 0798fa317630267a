"""SIGINT and SIGTERM: remembered while a run works, acted on at a safe place."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether someone asked the run to stop.

    Attributes:
        signal_number: the signal that asked, or 0.
    """

    def __init__(self) -> None:
        self.signal_number = 0

    def __bool__(self) -> bool:
        return self.signal_number != 0

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; the second one interrupts at once."""
        if self.signal_number:
            raise KeyboardInterrupt
        self.signal_number = number


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Catch SIGINT and SIGTERM for a while (in the main thread; elsewhere nothing is caught)."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    kept = [signal.signal(number, request.receive) for number in numbers]
    try:
        yield request
    finally:
        for number, handler in zip(numbers, kept, strict=True):
            signal.signal(number, handler)
