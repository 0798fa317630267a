"""What is told on the way: to whoever was named, else to Python's logging, logger "reslab".

Functions that tell what they do take ``notify`` (a function of one line) or an observer, which the
command line gives them. Users of the library need neither: after
``logging.basicConfig(level="INFO")`` the same lines are records of the logger "reslab". A program
that configures no logging sees none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

LOGGER = logging.getLogger("reslab")
LOGGER.addHandler(logging.NullHandler())  # else warnings would go to stderr unasked

Notify = Callable[[str], None]


def info(line: str) -> None:
    """Log a line for people."""
    LOGGER.info("%s", line)


def notifier(notify: Notify | None) -> Notify | None:
    """Return who is told: the one that was named, else the log; None where nobody listens.

    None lets a function leave out what is measured only to be told.
    """
    if notify is not None:
        return notify
    return info if LOGGER.isEnabledFor(logging.INFO) else None
