"""Every error a user can cause or meet, with its exit code and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


class ReslabError(Exception):
    """One line for people: what was wrong, where, and the remedy.

    Args:
        message: what was wrong, what was received and what is allowed.
        remedy: what to do next, as a short imperative phrase; may be empty.
    """

    exit_code = 1

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message


class UsageError(ReslabError, ValueError):
    """A flag, name or value that cannot be used."""

    exit_code = 2


class DataError(ReslabError, ValueError):
    """Images, labels or folders that cannot be trained on as they are."""

    exit_code = 3


class CheckpointError(ReslabError):
    """A checkpoint or model that is damaged, unsafe, or of another network."""

    exit_code = 4


class MachineError(ReslabError):
    """The machine lacks something: a device, memory, disk space, a process."""

    exit_code = 5


class DivergedError(ReslabError):
    """The loss or the weights are no longer finite."""

    exit_code = 6


class StoppedError(ReslabError):
    """A signal asked the run to stop; a checkpoint was written first.

    Args:
        message: what was stopped and how to go on.
        signal_number: the signal; the exit code is 128 + that number.
    """

    def __init__(self, message: str, *, signal_number: int, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.exit_code = 128 + signal_number


def nearest(word: str, allowed: Iterable[str], former: Mapping[str, str] | None = None) -> str:
    """Return ``did you mean 'x'?`` for a near miss, or an empty string.

    Args:
        word: what was written.
        allowed: the names there are.
        former: former names -> those of today; who nearly writes one is told today's.
    """
    former = former or {}
    names = list(dict.fromkeys(former.get(name, name) for name in allowed))
    close = difflib.get_close_matches(word, [*names, *former], n=1, cutoff=0.6)
    return f"did you mean '{former.get(close[0], close[0])}'?" if close else ""


def unknown(
    what: str, word: str, allowed: Iterable[str], former: Mapping[str, str] | None = None
) -> UsageError:
    """Build the error for a name that is not among those allowed (see `nearest`)."""
    names = sorted(set(allowed) - set(former or {}))
    shown = ", ".join(names[:12]) + (f", ... ({len(names)} in all)" if len(names) > 12 else "")
    hint = nearest(word, names, former)
    return UsageError(f"unknown {what} '{word}' (known: {shown})", remedy=hint)
