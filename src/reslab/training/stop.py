"""SIGINT, SIGTERM and SIGHUP: remembered while a run works, acted on at a safe place."""

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
        """Remember the first signal; a further SIGINT interrupts at once.

        Schedulers and shells repeat SIGTERM and SIGHUP, or send both, and still expect a run to
        save; only a person presses Ctrl-C twice.
        """
        if self.signal_number and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal_number = self.signal_number or number


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Catch the signals for a while (in the main thread; elsewhere nothing is caught).

    A closed terminal sends SIGHUP, unless it is ignored (nohup): then it stays so.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    kept = [signal.signal(number, request.receive) for number in numbers]
    try:
        yield request
    finally:
        for number, handler in zip(numbers, kept, strict=True):
            signal.signal(number, handler)
