"""Signals while a run works: which are remembered, and which interrupt at once."""

from __future__ import annotations

import os
import signal

import pytest

from reslab.training.stop import listening


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGHUP])
def test_a_scheduler_may_repeat_its_signals(first):
    with listening() as stop:
        for number in (first, signal.SIGTERM, signal.SIGHUP, first):
            os.kill(os.getpid(), number)
        assert stop.signal_number == first


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_person_who_insists_is_not_kept_waiting(first):
    with listening() as stop:
        os.kill(os.getpid(), first)
        assert stop.signal_number == first
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_ignores_a_closed_terminal_goes_unharmed():
    """As under nohup."""
    kept = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, kept)


def test_handlers_are_put_back():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with listening():
        pass
    assert [signal.getsignal(number) for number in numbers] == before
