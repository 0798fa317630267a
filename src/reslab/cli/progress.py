"""Shows a run's progress on stderr: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reslab.display.progress import Bar, Lines, on_terminal
from reslab.display.stderr import note

if TYPE_CHECKING:
    from reslab.training.observe import Observer


def make_observer(quiet: bool) -> Observer:
    """Return who tells the user: only the first process speaks, and not when asked to be quiet."""
    from reslab import machine
    from reslab.training.observe import Silent

    if machine.launch().rank or quiet:
        return Silent()
    return Bar() if on_terminal() else Lines(note)
