"""What `reslab train digits` does, in plain torch and in reading order: python examples/plain.py

Images come from reslab's loader and the network from its catalog. The rest is written out: the
optimizer, the learning rate, the loss, the averaged weights, the evaluation. What reslab adds is
what this file lacks: checkpoints, exact resuming, other recipes, several GPUs, reports. A test
(tests/examples) compares the losses of the first steps with those of reslab's own training.
"""

import copy
import dataclasses
import math

import torch
import torch.nn.functional as F

import reslab
from reslab.data.augment import Augment
from reslab.data.image_cache import open_fitted, statistics
from reslab.data.loader import TrainLoader, eval_batches
from reslab.data.preprocess import Preprocess
from reslab.data.sampler import Sampler
from reslab.data.split import complete_splits
from reslab.networks.init import zero_last_scale

SEED = 0
# The recipe "small-images" for 1,438 images of 8 x 8 pixels; docs/recipes.md says why.
EPOCHS, BATCH_SIZE = 83, 64  # 120,000 images seen
PEAK_LR = 0.1  # for each 64 images of a batch
MOMENTUM, WEIGHT_DECAY = 0.9, 5e-4
LABEL_SMOOTHING = 0.1
MAX_GRAD_NORM = 5.0
EMA_DECAY = 0.99
AUGMENT = Augment(pad_crop=1)  # shifts by up to a pixel; a mirrored digit is none


def load_images():
    """Return digits with train, val and test, their pixels, and how these become input."""
    dataset = complete_splits(reslab.open_dataset("digits"), val_fraction=0.1, seed=SEED)
    preprocess = Preprocess(img_size=8, resize_size=8, in_chans=1, mean=(0.5,), std=(0.5,))
    pixels = open_fitted(dataset, preprocess)  # uint8, decoded once, then memory-mapped
    measured = statistics(pixels, dataset.split("train"))  # never of the images held out
    return dataset, pixels, dataclasses.replace(preprocess, mean=measured.mean, std=measured.std)


def make_network():
    """Return ResNet-20 for ten classes of gray images."""
    torch.manual_seed(SEED)
    network = reslab.create_model("resnet20", num_classes=10, in_chans=1, img_size=8)
    # Branches begin at F(x) = 0, so that blocks begin as their shortcuts (Goyal et al. 2017).
    zero_last_scale(network)
    return network.to(memory_format=torch.channels_last)


def make_optimizer(network):
    """Return SGD that decays the weights of convolutions and linear layers alone."""
    matrices = [p for p in network.parameters() if p.ndim > 1]
    vectors = [p for p in network.parameters() if p.ndim == 1]  # biases and batch norms
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": vectors}]
    return torch.optim.SGD(groups, lr=PEAK_LR, momentum=MOMENTUM, nesterov=True, fused=True)


def learning_rate(progress):
    """One cycle: from 1/25 of the peak up in a quarter of the run, then down to 1/10,000."""
    if progress < 0.25:
        start, end, share = PEAK_LR / 25, PEAK_LR, progress / 0.25
    else:
        start, end, share = PEAK_LR, PEAK_LR * 1e-4, (progress - 0.25) / 0.75
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * share))


@torch.no_grad()
def update_average(average, network, step):
    """average += (1 - decay) * (weights - average), after update number `step` (from 1)."""
    decay = min(EMA_DECAY, (1 + step) / (10 + step))  # small at first: forget how it began
    means = average.state_dict()  # batch-norm statistics are averaged too
    for name, value in network.state_dict().items():
        if value.is_floating_point():  # all but the counts of batches
            means[name].lerp_(value, 1 - decay)


@torch.no_grad()
def accuracy_pct(network, batches, labels):
    """Return the percentage of images whose largest logit is that of their label."""
    network.eval()
    right = [network(images).argmax(1) == labels[samples] for images, samples in batches]
    return 100 * torch.cat(right).float().mean().item()


def train(num_steps=None):
    """Train for some steps, None for the whole recipe; print and return the losses."""
    dataset, pixels, preprocess = load_images()
    labels, order = dataset.labels, Sampler(dataset.split("train"), SEED)  # which image comes when
    loader = TrainLoader(
        pixels, order, labels, AUGMENT, preprocess, seed=SEED, batch_size=BATCH_SIZE
    )
    network = make_network().train()
    optimizer, average = make_optimizer(network), copy.deepcopy(network)
    total, losses = round(EPOCHS * len(order) / BATCH_SIZE), []
    for step, batch in enumerate(loader.prefetch(0, num_steps or total)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step / total)
        logits = network(batch.images)
        loss = F.cross_entropy(logits, batch.labels, label_smoothing=LABEL_SMOOTHING)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRAD_NORM)
        optimizer.step()
        update_average(average, network, step + 1)
        losses.append(loss.item())
        if step % 100 == 0:
            print(f"step {step:5,} of {total:,}: loss {losses[-1]:.4f}")
    for split in ("val", "test"):
        batches = eval_batches(pixels, dataset.split(split), preprocess, 256)
        print(f"{split}: {accuracy_pct(average, batches, torch.as_tensor(labels)):.2f}%")
    return losses


if __name__ == "__main__":
    train()
