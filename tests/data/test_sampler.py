from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.data.sampler import Sampler
from reslab.errors import DataError, UsageError

INDICES = np.array([3, 5, 8, 13, 21, 34, 55])


def stream(order: Sampler, count: int) -> tuple[list[int], list[int]]:
    samples, epochs = order.samples(0, count)
    return samples.tolist(), epochs.tolist()


def test_every_epoch_is_another_permutation():
    samples, epochs = stream(Sampler(INDICES, seed=0), 5 * len(INDICES))
    parts = [tuple(samples[i : i + 7]) for i in range(0, 35, 7)]
    assert all(sorted(part) == INDICES.tolist() for part in parts)
    assert len(set(parts)) == 5
    assert epochs == [e for e in range(5) for _ in range(7)]


def test_the_seed_decides_the_order():
    one, same, other = (stream(Sampler(np.arange(50), seed), 100) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_the_order_never_changes_between_versions():
    assert stream(Sampler(INDICES, seed=0), 10)[0] == GOLDEN


def test_first_places_are_shared_out_evenly():
    firsts = Counter(int(Sampler(np.arange(5), seed).samples(0, 1)[0]) for seed in range(1_000))
    assert all(150 < firsts[sample] < 250 for sample in range(5))


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 12, 30])
def test_slices_of_any_number_of_processes_join_to_the_same_batch(balanced, batch_size):
    labels = np.arange(60) % 3
    order = Sampler(INDICES, 4, labels, balanced)
    expected = stream(order, 6 * batch_size)
    for world_size in (1, 2, 3, 4):
        if world_size > batch_size:
            continue
        fresh = Sampler(INDICES, 4, labels, balanced)
        parts = [
            fresh.batch(step, batch_size, rank, world_size)
            for step in range(6)
            for rank in range(world_size)
        ]
        assert torch.cat([samples for samples, _ in parts]).tolist() == expected[0]
        assert torch.cat([epochs for _, epochs in parts]).tolist() == expected[1]


def test_shares_differ_by_one_image_at_most():
    order = Sampler(np.arange(100), 0)
    assert [len(order.batch(3, 10, rank, 4)[0]) for rank in range(4)] == [2, 3, 2, 3]


def test_any_position_can_be_asked_for_at_once():
    whole = stream(Sampler(INDICES, 3), 10_000)[0]
    assert Sampler(INDICES, 3).samples(9_990, 10_000)[0].tolist() == whole[9_990:]


@settings(max_examples=40, deadline=None)
@given(
    labels=st.lists(st.integers(0, 4), min_size=1, max_size=25),
    seed=st.integers(0, 1_000),
    balanced=st.booleans(),
    start=st.integers(0, 60),
)
def test_epochs_count_the_visits_before(labels, seed, balanced, start):
    order = Sampler(np.arange(len(labels)), seed, np.array(labels), balanced)
    samples, epochs = stream(order, start + 40)
    visits: Counter[int] = Counter()
    for sample, epoch in zip(samples, epochs, strict=True):
        assert epoch == visits[sample]
        visits[sample] += 1
    tail = order.samples(start, start + 40)
    assert tail[0].tolist() == samples[start:]
    assert tail[1].tolist() == epochs[start:]


def test_balanced_rounds_hold_every_class_once():
    labels = np.array([0] * 50 + [1] * 5 + [7] * 2 + [9])
    order = Sampler(np.arange(58), 1, labels, balanced=True)
    samples, _ = stream(order, 400)
    rounds = [labels[samples[i : i + 4]].tolist() for i in range(0, 400, 4)]
    assert all(sorted(each) == [0, 1, 7, 9] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 10
    seen = Counter(samples)
    assert {seen[i] for i in range(50)} == {2}
    assert {seen[i] for i in range(50, 55)} == {20}
    assert {seen[i] for i in range(55, 57)} == {50}


def test_balanced_draws_only_from_its_indices():
    labels = np.arange(20) % 2
    samples, _ = stream(Sampler(np.arange(10), 0, labels, balanced=True), 100)
    assert set(samples) == set(range(10))


def test_an_empty_split_is_refused():
    with pytest.raises(DataError, match="training split is empty"):
        Sampler(np.array([], dtype=np.int64), 0)


def test_more_processes_than_images_in_a_batch_are_refused():
    with pytest.raises(UsageError, match="batch size 2 is smaller than the number of processes, 4"):
        Sampler(INDICES, 0).batch(0, 2, rank=0, world_size=4)


def test_few_permutations_are_kept():
    order = Sampler(INDICES, 0)
    order.samples(0, 1_000)
    assert len(order._shuffled) == 2


GOLDEN = [13, 8, 55, 21, 34, 3, 5, 55, 5, 21]
