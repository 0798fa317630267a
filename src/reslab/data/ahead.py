"""Work done ahead by a pool, a bounded number of pieces at a time, handed out in its order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future
from typing import TypeVar

Job = TypeVar("Job")
Made = TypeVar("Made")


def in_order(
    pool: Executor, make: Callable[[Job], Made], jobs: Iterable[Job], ahead: int
) -> Generator[Made, None, None]:
    """Yield make(job) of each job, in their order; at most `ahead` are made before they are wanted.

    What goes wrong in `make` is raised here. Closing the generator cancels what has not begun.
    """
    waiting: deque[Future[Made]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(make, job))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
