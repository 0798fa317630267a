"""One process or several: ranks, sums over all of them, and who writes."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from reslab import machine
from reslab.errors import MachineError, UsageError

TIMEOUT_S = 1800


@dataclasses.dataclass(frozen=True)
class World:
    """The processes of a run, as torchrun's environment tells them.

    Args:
        rank: number of this process.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @property
    def writes(self) -> bool:
        """Tell whether this process is the one that writes and prints."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Add a small tensor up over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def barrier(self) -> None:
        """Wait until every process is here."""
        if self.size > 1:
            dist.barrier()

    def copy_from_first(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of rank 0, in place."""
        if self.size > 1:
            for tensor in tensors:
                dist.broadcast(tensor, src=0)

    def share(self, value: Any) -> Any:
        """Return rank 0's value in every process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]


@contextmanager
def joined(device: torch.device) -> Iterator[World]:
    """Join the processes that torchrun started, or be the only one.

    Raises:
        MachineError: the environment is incomplete, the others cannot be reached, or one has died.
    """
    told = machine.launch()
    rank, size = told.rank, told.size
    if size == 1:
        yield World()
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        dist.init_process_group(backend, timeout=datetime.timedelta(seconds=TIMEOUT_S))
    except (RuntimeError, ValueError, dist.DistError) as error:
        where = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
        raise MachineError(
            f"rank {rank} of {size} could not join the others at {where}: {error}",
            remedy="check that the port is free and every process was started",
        ) from error
    try:
        yield World(rank, size)
    except RuntimeError as error:
        if _lost_peer(error):
            raise MachineError(
                f"rank {rank} lost contact with another process: {error}",
                remedy="start again with --resume",
            ) from error
        raise
    finally:
        dist.destroy_process_group()


def _lost_peer(error: BaseException) -> bool:
    text = str(error)
    return any(word in text for word in ("Connection closed", "Connection reset", "gloo", "NCCL"))


def check_divides(batch_size: int, world: World) -> None:
    """Refuse a global batch that the processes cannot share equally."""
    if batch_size % world.size:
        raise UsageError(
            f"batch_size {batch_size} cannot be shared equally by {world.size} processes",
            remedy=f"use a multiple of {world.size}",
        )
