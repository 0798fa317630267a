"""A training step calls no more operators and writes no more memory than it did.

Both are counted, not timed, so that they are the same on any machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from reslab import kernels

BATCH = 8
# Counted with torch 2.13: lower them when a step gets cheaper.
MOST = {
    "resnet20": {"operators": 587, "mib": 17.8},
    "resnet56": {"operators": 1559, "mib": 48.5},
}


class Counter(TorchDispatchMode):
    """Count what torch dispatches, backward pass included, and the bytes of new tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.operators = 0
        self.num_bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {t.untyped_storage().data_ptr() for t in _tensors((args, kwargs))}
        made = [t for t in _tensors(result) if t.untyped_storage().data_ptr() not in given]
        self.operators += 1
        self.num_bytes += sum(t.untyped_storage().nbytes() for t in made)
        return result


def _tensors(value: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


@pytest.mark.parametrize("network", ["resnet20", pytest.param("resnet56", marks=pytest.mark.slow)])
def test_a_step_is_no_dearer_than_before(network: str, tmp_path: Path) -> None:
    from bench.ours.assembled import assembled
    from bench.ours.training import request

    from reslab.training.step import train_step

    if not kernels.available():
        pytest.skip(f"needs the compiled kernels; here: {kernels.reason()}")
    wanted = request(
        {
            "own": str(tmp_path),
            "data": "shapes:num=40,size=32",
            "network": network,
            "batch_size": BATCH,
            "img_size": 32,
            "pad_crop": 4,
            "flip": True,
            "precision": "bf16",
        }
    )
    training = assembled(wanted, torch.device("cpu"))
    batch = training.loader.batch(0)
    train_step(training, batch, 0.1)  # the optimizer makes its buffers
    with Counter() as counter:
        train_step(training, batch, 0.1)
    found = {"operators": counter.operators, "mib": counter.num_bytes / 2**20}
    for name, most in MOST[network].items():
        assert found[name] <= 1.01 * most, (name, found)
