"""Each sample once, in its place, for any order of batches and any number of processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from reslab.data.arrays import Indices
from reslab.errors import DataError, DivergedError
from reslab.evaluate.run import collect_logits, evaluate_network

CPU = torch.device("cpu")
NUM_SAMPLES, NUM_CLASSES = 23, 4
CLASSES = ("a", "b", "c", "d")
LABELS = np.arange(NUM_SAMPLES) % NUM_CLASSES


class Table(nn.Module):
    """Look the logits up: image x of one pixel is sample number x."""

    def __init__(self) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        self.logits = nn.Parameter(torch.randn(NUM_SAMPLES, NUM_CLASSES, generator=draw))
        self.norm = nn.BatchNorm1d(1)  # tells evaluation from training

    def forward(self, x: Tensor) -> Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        return self.logits[x.flatten().long()]


def batches_of(samples: Indices, size: int = 4) -> Iterator[tuple[Tensor, Tensor]]:
    for part in torch.from_numpy(samples).split(size):
        yield part.float().view(-1, 1, 1, 1), part


def shuffled(samples: Indices) -> Iterator[tuple[Tensor, Tensor]]:
    return batches_of(np.random.default_rng(2).permutation(samples), 5)


SAMPLES = np.random.default_rng(1).permutation(NUM_SAMPLES)[:19]


@pytest.mark.parametrize("batches", [batches_of, shuffled])
def test_logits_are_in_the_order_of_the_samples(batches: object) -> None:
    network = Table()
    found = evaluate_network(
        network,
        batches,  # type: ignore[arg-type]
        labels=LABELS,
        samples=SAMPLES,
        classes=CLASSES,
        device=CPU,
        temperature=1.5,
    )
    np.testing.assert_array_equal(found.logits, network.logits.detach()[SAMPLES])
    np.testing.assert_array_equal(found.labels, LABELS[SAMPLES])
    np.testing.assert_array_equal(found.samples, SAMPLES)
    assert found.temperature == 1.5


def test_the_mode_is_put_back_whatever_happens() -> None:
    network = Table()

    def broken(samples: Indices) -> Iterator[tuple[Tensor, Tensor]]:
        yield from batches_of(samples[:4])
        raise DataError("an image")

    for whole, part in ((True, True), (False, False), (True, False), (False, True)):
        network.train(whole)
        network.norm.train(part)  # a frozen part stays in evaluation mode while the rest learns
        with pytest.raises(DataError):
            collect_logits(network, broken(SAMPLES), device=CPU, num_classes=4)
        assert (network.training, network.norm.training) == (whole, part)


def test_a_sample_that_is_lost_or_doubled_is_noticed() -> None:
    for wrong in (SAMPLES[:-1], np.append(SAMPLES, SAMPLES[0])):
        with pytest.raises(AssertionError):
            evaluate_network(
                Table(),
                lambda _, wrong=wrong: batches_of(wrong),
                labels=LABELS,
                samples=SAMPLES,
                classes=CLASSES,
                device=CPU,
            )


def test_shorter_precision_is_used_and_float32_comes_out() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(1, 4))
    exact, _ = collect_logits(network, batches_of(SAMPLES), device=CPU, num_classes=4)
    short, _ = collect_logits(
        network, batches_of(SAMPLES), device=CPU, precision=torch.bfloat16, num_classes=4
    )
    assert exact.dtype == short.dtype == torch.float32
    assert not torch.equal(exact, short)
    torch.testing.assert_close(exact, short, rtol=0.02, atol=0.02)


def test_no_samples_and_nonsense_are_errors() -> None:
    network = Table()
    arguments = {"labels": LABELS, "classes": CLASSES, "device": CPU}
    with pytest.raises(DataError, match="no images"):
        evaluate_network(network, batches_of, samples=SAMPLES[:0], **arguments)
    with torch.no_grad():
        network.logits[SAMPLES[0]] = torch.nan
    with pytest.raises(DivergedError, match="1 of 19"):
        evaluate_network(network, batches_of, samples=SAMPLES, **arguments)


@pytest.mark.parametrize("world_size", [pytest.param(2, marks=pytest.mark.slow), 3])
def test_several_processes_get_what_one_gets(tmp_path: Path, world_size: int) -> None:
    """With 19 samples the shares are uneven; with 2 samples one of three processes has none."""
    command = [sys.executable, __file__, str(tmp_path), str(world_size)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    for count in (19, 2, 1):
        alone = evaluate_network(
            Table(), batches_of, labels=LABELS, samples=SAMPLES[:count], classes=CLASSES, device=CPU
        )
        for rank in range(world_size):
            together = np.load(tmp_path / f"{count}-{rank}.npy")
            np.testing.assert_array_equal(together, alone.logits)


def _work(folder: Path, rank: int, world_size: int) -> None:
    import torch.distributed as dist

    store = f"file://{folder}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world_size)
    for count in (19, 2, 1):
        found = evaluate_network(
            Table(),
            batches_of,
            labels=LABELS,
            samples=SAMPLES[:count],
            classes=CLASSES,
            device=CPU,
            rank=rank,
            world_size=world_size,
        )
        np.save(folder / f"{count}-{rank}.npy", found.logits)
    dist.destroy_process_group()


if __name__ == "__main__":
    from torch import multiprocessing

    multiprocessing.start_processes(
        lambda rank, *rest: _work(rest[0], rank, rest[1]),
        args=(Path(sys.argv[1]), int(sys.argv[2])),
        nprocs=int(sys.argv[2]),
        start_method="fork",
    )
