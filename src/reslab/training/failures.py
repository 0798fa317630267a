"""What becomes of a run that fails: its reason on disk, and one line for people where known."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from reslab import machine
from reslab.errors import MachineError, ReslabError, StoppedError, UsageError
from reslab.runs.directory import RunDirectory
from reslab.training.observe import Observer
from reslab.training.recipe import Recipe


@contextlib.contextmanager
def failures_recorded(
    run: RunDirectory, recipe: Recipe, device: torch.device, observer: Observer, *, writes: bool
) -> Iterator[None]:
    """Write why a run failed into its directory; what torch says of it becomes one line.

    Args:
        run: the run.
        recipe: its numbers.
        device: where it computes.
        observer: told that nothing more comes, and that the reason could not be written.
        writes: whether this process is the one that writes.
    """

    def record(error: Exception) -> None:
        if writes:
            run.write_failure(error, observer.note)

    try:
        yield
    except KeyboardInterrupt:
        record(StoppedError("interrupted twice", signal_number=2))
        raise
    except Exception as error:
        reason = explained(error, recipe, device)
        record(reason or error)
        if reason is None:
            raise
        raise reason from error
    finally:
        observer.close()


def explained(error: Exception, recipe: Recipe, device: torch.device) -> ReslabError | None:
    """Say in one line what torch says of a run that cannot be; None where that is not known."""
    if isinstance(error, RuntimeError) and machine.is_out_of_memory(error):
        return MachineError(
            f"out of memory on {device} with batch_size {recipe.batch_size} and img_size "
            f"{recipe.img_size}",
            remedy="use --checkpoint-activations, --accumulate 2, or a smaller --batch-size",
        )
    if isinstance(error, ValueError) and "more than 1 value per channel" in str(error):
        return UsageError(
            "batch norm needs more than one value a channel: an update, or a part of it, has one "
            "image, whose last maps are of one pixel",
            remedy="use a larger --batch-size or --img-size, or a smaller --accumulate",
        )
    return None
