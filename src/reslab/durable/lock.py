"""One process at a time: a lock that the system releases when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from reslab.durable.files import make_parents, writing
from reslab.errors import MachineError


class Lock:
    """Hold a lock file while a folder is written to; a context manager.

    The lock ends with the process, however it ends; workers forked while it is held do not
    keep it. The file itself stays: removing it would let two processes hold two locks.

    Args:
        path: the lock file, e.g. ``RUN/lock``; its text is the holder's process number.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def __enter__(self) -> Lock:
        """Take the lock, or raise MachineError naming the process that holds it."""
        assert self._descriptor is None, "the lock is held already"
        with writing(self.path):
            make_parents(self.path.parent)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
                os.close(descriptor)
                raise MachineError(
                    f"{self.path.parent} is in use by process {holder or '(unknown)'}",
                    remedy="wait until it ends, or choose another place",
                ) from None
            except BaseException:
                os.close(descriptor)
                raise
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor
        # A forked child shares the lock and would outlive a killed parent with it.
        os.register_at_fork(after_in_child=self._close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back."""
        self._close()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
