"""One update: the loss against loops, parts of a batch against the whole, what a step changes."""

from __future__ import annotations

import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from parts import digits, make_training
from torch import Tensor, nn

from reslab.data.loader import Batch
from reslab.training.optimizer import make_optimizer
from reslab.training.step import Training, mixed_errors, mixed_loss, train_step

RANDOM = torch.Generator().manual_seed(11)
LOGITS = torch.randn(6, 4, generator=RANDOM)
LABELS = torch.tensor([0, 1, 2, 3, 1, 1])
PARTNERS = torch.tensor([3, 1, 0, 2, 2, 0])
SHARES = torch.tensor([1.0, 0.5, 0.25, 0.7, 0.0, 0.9])


def batch(partners: Tensor | None = None, shares: Tensor | None = None) -> Batch:
    index = torch.arange(6)
    return Batch(torch.zeros(6, 1, 2, 2), LABELS, partners, shares, index, index)


def loss_by_hand(smoothing: float, class_weights: Tensor | None, mixed: bool) -> list[float]:
    """sum over classes of target * class weight * -log p, an image each."""
    losses = []
    for i, row in enumerate(LOGITS.tolist()):
        exponentials = [math.exp(v) for v in row]
        target = [smoothing / 4] * 4
        share = float(SHARES[i]) if mixed else 1.0
        target[int(LABELS[i])] += (1 - smoothing) * share
        target[int(PARTNERS[i])] += (1 - smoothing) * (1 - share)
        weights = [1.0] * 4 if class_weights is None else class_weights.tolist()
        losses.append(
            sum(
                -t * w * math.log(e / sum(exponentials))
                for t, w, e in zip(target, weights, exponentials, strict=True)
            )
        )
    return losses


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("class_weights", [None, torch.tensor([0.5, 2.0, 1.0, 3.0])])
@pytest.mark.parametrize("mixed", [False, True])
def test_the_loss_is_that_of_soft_targets(smoothing, class_weights, mixed):
    item = batch(PARTNERS, SHARES) if mixed else batch()
    found = mixed_loss(LOGITS, item, smoothing, class_weights)
    assert found.tolist() == pytest.approx(loss_by_hand(smoothing, class_weights, mixed), rel=1e-5)


def test_errors_count_each_label_with_its_share():
    predicted = LOGITS.argmax(1).tolist()
    own = [p != y for p, y in zip(predicted, LABELS.tolist(), strict=True)]
    other = [p != y for p, y in zip(predicted, PARTNERS.tolist(), strict=True)]
    assert float(mixed_errors(LOGITS, batch())) == sum(own)
    expected = sum(s * a + (1 - s) * b for s, a, b in zip(SHARES.tolist(), own, other, strict=True))
    assert float(mixed_errors(LOGITS, batch(PARTNERS, SHARES))) == pytest.approx(expected)


@pytest.fixture(scope="module")
def start() -> Training:
    return make_training({"mixup": 0.4, "clip_grad_norm": 0, "ema": 0, "dropout": 0})


class Linear(nn.Sequential):
    """The simplest network: it keeps a network's promises to the loss, and nothing else."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 10))

    def forward(self, x):
        return [super().forward(x)]

    def loss_weights(self):
        return [1.0]


def without_norm(training: Training, **recipe: object) -> Training:
    """A copy with a linear network: parts of a batch then cannot see each other."""
    torch.manual_seed(3)
    network = Linear()
    changed = dataclasses.replace(training.recipe, **recipe)
    return dataclasses.replace(
        training,
        network=network,
        forward=network,
        recipe=changed,
        optimizer=make_optimizer(network, changed),
    )


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_parts_of_a_batch_add_up_to_the_whole(start, parts):
    item = start.loader.batch(0)
    assert item.weights is not None
    whole = without_norm(start, label_smoothing=0.1)
    split = without_norm(start, label_smoothing=0.1, accumulate=parts)
    sums, sums_of_parts = train_step(whole, item, 0.1), train_step(split, item, 0.1)
    torch.testing.assert_close(sums, sums_of_parts)
    assert float(sums[2]) == len(item) == 32
    for a, b in zip(whole.network.parameters(), split.network.parameters(), strict=True):
        torch.testing.assert_close(a, b)
        assert a.grad is not None
        torch.testing.assert_close(a.grad, b.grad)


def test_clipping_bounds_the_update(start):
    item = start.loader.batch(0)

    def moved(clip: float) -> float:
        training = without_norm(
            start, clip_grad_norm=clip, momentum=0.0, weight_decay=0.0, nesterov=False
        )
        before = copy.deepcopy(list(training.network.parameters()))
        train_step(training, item, 1.0)
        squares = [
            (a - b).detach().square().sum()
            for a, b in zip(training.network.parameters(), before, strict=True)
        ]
        return float(torch.stack(squares).sum().sqrt())

    free = moved(0.0)
    assert moved(free / 10) == pytest.approx(free / 10, rel=1e-3)
    assert moved(free * 2) == pytest.approx(free, rel=1e-5)


def test_filters_stay_within_their_limit():
    training = make_training({"max_filter_rms": 0.1, "lr": 0.5, "clip_grad_norm": 0, "ema": 0.5})
    train_step(training, training.loader.batch(0), 0.5)
    largest = []
    for module in training.network.modules():
        if isinstance(module, nn.Conv2d):
            rms = module.weight.detach().flatten(1).square().mean(1).sqrt()
            largest.append(float(rms.max()))
    assert max(largest) == pytest.approx(0.1)  # some filters had to be scaled back


def test_dropout_is_a_function_of_the_step():
    training = make_training({"dropout": 0.5, "ema": 0})
    item = training.loader.batch(0)
    initial = copy.deepcopy(training.network.state_dict())

    def loss(step: int) -> float:
        training.network.load_state_dict(initial)
        training.state.step = step
        torch.rand(step + 3)  # whatever was drawn before does not matter
        return float(train_step(training, item, 0.0)[0])

    assert loss(4) == loss(4)
    assert loss(4) != loss(5)


def test_class_weights_are_the_inverse_frequencies_and_average_one():
    training, dataset = make_training({"class_weights": True}), digits()
    labels = dataset.labels[dataset.split("train")]
    counts = np.bincount(labels, minlength=10)
    assert training.class_weights is not None
    found = training.class_weights.numpy()
    assert found == pytest.approx(len(labels) / (10 * counts), rel=1e-5)
    assert found[labels].mean() == pytest.approx(1.0, rel=1e-5)
    assert make_training().class_weights is None


def test_frozen_parts_keep_every_bit_and_the_rest_learns():
    training = make_training({"freeze": -1, "ema": 0})
    network = training.network.train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    for step in range(3):
        train_step(training, training.loader.batch(step), 0.1)
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"head.classifier.weight", "head.classifier.bias"}


def test_frozen_leading_parts_by_number():
    training = make_training({"freeze": 2, "ema": 0})
    network = training.network.train()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    train_step(training, training.loader.batch(0), 0.1)
    changed = {k for k, v in network.state_dict().items() if not torch.equal(v, before[k])}
    fixed = {k for k in before if k.startswith(("stem.", "stages.stage1."))}
    assert fixed
    assert not changed & fixed
    assert any(k.startswith("stages.stage2.") for k in changed)


def test_recomputed_activations_change_no_bit():
    plain = make_training({"ema": 0})
    saving = make_training({"ema": 0, "checkpoint_activations": True})
    for training in (plain, saving):
        training.network.train()
        for step in range(2):
            train_step(training, training.loader.batch(step), 0.1)
    found, expected = saving.network.state_dict(), plain.network.state_dict()
    assert all(torch.equal(found[k], expected[k]) for k in expected)


def test_balanced_batches_hold_every_class_equally_often():
    training = make_training({"balanced": True, "batch_size": 40})
    counts = torch.bincount(training.loader.batch(3).labels, minlength=10)
    assert counts.tolist() == [4] * 10


def test_zero_last_scale_starts_branches_at_zero():
    def last_scales(flag: bool) -> list[Tensor]:
        network = make_training({"zero_init_residual": flag}).network
        scales = [v for k, v in network.named_parameters() if k.endswith("weight") and v.ndim == 1]
        return [v for v in scales if not v.any()]

    assert (
        len(last_scales(True)) == 7
    )  # a block of resnet20 each, but for two that widen with zeros
    assert last_scales(False) == []


@pytest.mark.parametrize("seed", [3_000_000_000, 2**63 - 1, -5])
def test_any_seed_can_be_trained_with(seed):
    training = make_training({"batch_size": 16, "img_size": 8, "steps": 2}, seed=seed)
    batch = training.loader.batch(0)
    train_step(training, batch, 0.1)
