"""From a configuration to the moving parts: network, optimizer, loader."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable

import torch
from torch import nn

from reslab import machine
from reslab.data.dataset import Dataset, count_by_class
from reslab.data.image_cache import FittedImages
from reslab.data.loader import TrainLoader
from reslab.data.preprocess import Preprocess, network_input
from reslab.data.sampler import Sampler
from reslab.errors import UsageError
from reslab.networks.fused import fuse
from reslab.networks.init import redraw, zero_last_scale
from reslab.networks.network import Network, build
from reslab.networks.whitened import fit_to_images
from reslab.runs.config import Config
from reslab.training import compiling
from reslab.training.cuda_graph import can_capture, keep_rates_on_device
from reslab.training.distributed import World, check_divides
from reslab.training.ema import Ema
from reslab.training.optimizer import make_optimizer
from reslab.training.progressive import resized, training_size
from reslab.training.recipe import Recipe
from reslab.training.schedule import Plan
from reslab.training.source import load_pretrained
from reslab.training.state import TrainState
from reslab.training.step import Training, TrainingForward

LOOKED_AT_PIXELS = 1 << 19
FITTED_TO_PIXELS = 1 << 22


def make_network(
    config: Config,
    images: Callable[[], torch.Tensor],
    plain: Callable[[], torch.Tensor],
    *,
    new: bool,
) -> Network:
    """Build the network with the run's own initial weights.

    Args:
        config: what was decided.
        images: returns the views that training begins with, to deepen a network by.
        plain: returns training images as they are, normalised, for first layers whose weights
            follow from them.
        new: whether the weights matter; those of a resumed run come from its checkpoint, so
            that the model it started from need not be there any more.

    Raises:
        CheckpointError: the model to start from cannot be read.
    """
    recipe = config.recipe
    torch.manual_seed(config.request.seed)
    network = build(config.spec)
    if config.request.source is None:
        if recipe.initial_weights != "network":
            redraw(network, recipe.initial_weights)
        if recipe.zero_init_residual:
            zero_last_scale(network)
        if new:
            fit_to_images(network, plain)
    elif new:
        load_pretrained(network, config, images)
    if recipe.freeze:
        network.freeze(recipe.freeze)
    if not any(p.requires_grad for p in network.parameters()):
        raise UsageError(f"freeze {recipe.freeze} leaves nothing to train")
    return network


def uses_fused_passes(recipe: Recipe, device: torch.device) -> bool:
    """Tell whether batch norms train as fused passes: on a processor, unless torch compiles."""
    return device.type == "cpu" and not recipe.compile


def _first_images(loader: TrainLoader) -> torch.Tensor:
    """Return the views that training begins with: 16 to 512 of them, fewer where they are large."""
    num_images = min(512, max(16, LOOKED_AT_PIXELS // loader.preprocess.img_size**2))
    steps = range(max(1, round(num_images * loader.world_size / loader.batch_size)))
    return torch.cat([loader.batch(step).images for step in steps])[:num_images].cpu()


def _plain_images(loader: TrainLoader) -> torch.Tensor:
    """Return training images as they are: 256 or more, up to 4,096 where they are small."""
    indices = loader.sampler.indices
    num_images = max(256, FITTED_TO_PIXELS // loader.preprocess.img_size**2)
    places = torch.linspace(0, len(indices) - 1, min(len(indices), num_images)).long()
    return network_input(loader.fitted.gather(indices[places]), loader.preprocess).cpu()


def build_training(
    config: Config,
    dataset: Dataset,
    fitted: FittedImages,
    preprocess: Preprocess,
    device: torch.device,
    world: World,
    *,
    new: bool = True,
    graphed: bool | None = None,
) -> Training:
    """Build the moving parts of a training, at step 0.

    Args:
        config: what was decided.
        dataset: the images with their splits.
        fitted: where their pixels are.
        preprocess: how they become network input.
        device: where to compute.
        world: the processes.
        new: as for `make_network`.
        graphed: whether updates are captured as a CUDA graph; None for where they can be.
    """
    recipe, seed = config.recipe, config.request.seed
    check_divides(recipe.batch_size, world)
    train = dataset.split("train")
    order = Sampler(train, seed, dataset.labels, balanced=recipe.balanced)
    loader = TrainLoader(
        fitted,
        order,
        dataset.labels,
        recipe.augment,
        preprocess,
        seed=seed,
        batch_size=recipe.batch_size,
        rank=world.rank,
        world_size=world.size,
        device=device,
    )
    network = make_network(
        config,
        functools.partial(_first_images, loader),
        functools.partial(_plain_images, loader),
        new=new,
    )
    network = network.to(device)
    if recipe.channels_last:
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if uses_fused_passes(recipe, device):
        fuse(network)
    if recipe.checkpoint_activations:
        network.set_grad_checkpointing(True)
    dtype = machine.autocast_dtype(recipe.precision, device)
    total = recipe.steps or max(1, round(recipe.epochs * len(train) / recipe.batch_size))
    if graphed is None:
        graphed = can_capture(recipe, device, dtype, world)
    mode = _compile_mode(network, loader, total, recipe, dtype) if recipe.compile else ""
    training = Training(
        network=network,
        forward=_wrap(network, mode, device, world),
        optimizer=make_optimizer(network, recipe, dtype),
        ema=Ema(network, recipe.ema, graphed=graphed) if recipe.ema > 0 else None,
        scaler=torch.amp.GradScaler(device.type) if dtype == torch.float16 else None,
        loader=loader,
        state=TrainState(Plan(total)),
        recipe=recipe,
        class_weights=_class_weights(recipe, dataset, device),
        device=device,
        dtype=dtype,
        world=world,
        seed=seed,
        graphed=graphed,
        compiled=mode,
    )
    if graphed:
        keep_rates_on_device(training.optimizer, device)
    return training


def _compile_mode(
    network: Network, loader: TrainLoader, total: int, recipe: Recipe, dtype: torch.dtype | None
) -> str:
    """Choose how torch compiles: on one GPU by measuring, torch's default elsewhere."""
    if loader.device.type != "cuda" or loader.world_size > 1:
        return compiling.DEFAULT
    images = resized(loader.batch(0).images, training_size(recipe, 1.0))
    return compiling.fastest(
        compiling.modes_worth_trying(total),
        lambda mode: compiling.forward_backward_s(TrainingForward(network), mode, images, dtype),
    )


def _wrap(network: Network, mode: str, device: torch.device, world: World) -> nn.Module:
    """Make the module that computes the loss's logits: for several processes, compiled."""
    forward: nn.Module = TrainingForward(network)
    if world.size > 1:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            forward = nn.parallel.DistributedDataParallel(
                forward, device_ids=[device.index] if device.type == "cuda" else None
            )
    if not mode:
        return forward
    # A GPU's kernels are made for one size each: there are two sizes in a run at most.
    dynamic = False if device.type == "cuda" else None
    compiled: nn.Module = torch.compile(forward, mode=mode, dynamic=dynamic)  # type: ignore[assignment]
    return compiled


def _class_weights(recipe: Recipe, dataset: Dataset, device: torch.device) -> torch.Tensor | None:
    """Return n / (K * n_class), so that the weights average 1 over the training images."""
    if not recipe.class_weights:
        return None
    train = dataset.split("train")
    counts = torch.tensor(
        count_by_class(dataset.labels[train], len(dataset.classes)), dtype=torch.float32
    )
    return (len(train) / (len(counts) * counts.clamp(min=1))).to(device)
