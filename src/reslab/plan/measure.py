"""A task -> what its step costs here: measured once, in a process of its own, and kept."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from reslab.child import Child, ChildEnded
from reslab.errors import MachineError
from reslab.log import notifier
from reslab.machine import with_threads
from reslab.plan import remember
from reslab.plan.task import StepCost, Task, describe, too_large

SECONDS = 3.0
LONGEST_S = 900
# Above these the machine does something else too, and what was measured is not kept.
STEADY, QUIET = 0.25, 0.15
Note = Callable[[str], None]


def measure(
    task: Task, *, seconds: float = SECONDS, fresh: bool = False, note: Note | None = None
) -> StepCost:
    """Measure a step of a training, or return what was measured on this machine before.

    Args:
        task: what to train.
        seconds: how long to take steps of each size.
        fresh: measure again.
        note: called with a line before anything takes time; None for the log.

    Raises:
        OutOfMemory: the task does not fit into memory.
        MachineError: the measuring process failed.
    """
    key = remember.key_of(task)
    kept = None if fresh else remember.recall(key)
    if kept is not None:
        return kept
    note = notifier(note)
    if note is not None:
        note(f"measuring {describe(task)}")
    cost = _in_process(task, seconds)
    if cost.spread < STEADY and cost.others < QUIET:
        remember.keep(key, cost)
    elif note is not None:
        note(
            f"the machine is busy: other programs took {cost.others:.0%} of it, the middle half "
            f"of the steps differs by {cost.spread:.0%}; what was measured now is not kept"
        )
    return cost


def _in_process(task: Task, seconds: float) -> StepCost:
    asked = {"task": task.to_json(), "seconds": seconds, "began": time.time()}
    with Child("reslab.plan.worker", environment=with_threads(task.threads)) as child:
        try:
            child.send(asked)
            answer = child.recv(LONGEST_S)
        except TimeoutError as error:
            raise MachineError(
                f"a few steps of {describe(task)} take more than {LONGEST_S // 60} minutes here",
                remedy="use a smaller --batch-size, --img-size or network",
            ) from error
        except ChildEnded as error:
            # The system kills a process that takes more memory than there is.
            if error.exit_code == -signal.SIGKILL:
                raise too_large(task) from None
            raise MachineError(f"measuring {describe(task)} failed: {error}") from None
    return StepCost(**answer)
