"""The optimizer of a recipe, and its state as named tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from reslab.errors import CheckpointError
from reslab.training.recipe import Recipe

FUSED_DEVICES = ("cpu", "cuda")  # where torch updates a parameter in one pass over memory
FACTOR = "lr_factor"  # of a group of parameters: its learning rate in multiples of the recipe's


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build SGD or AdamW over the trainable parameters.

    Weights of convolutions and linear layers decay; norm scales and biases do so only where
    the recipe says so (the papers decay convolution weights only). The latter learn at a rate
    of their own, `bias_lr` times that of the weights.
    """
    weights: list[Tensor] = []
    rest: list[Tensor] = []
    for parameter in network.parameters():
        if parameter.requires_grad:
            (weights if parameter.ndim > 1 else rest).append(parameter)
    groups = [
        {"params": weights, "weight_decay": recipe.weight_decay, FACTOR: 1.0},
        {
            "params": rest,
            "weight_decay": recipe.weight_decay if recipe.decay_all else 0.0,
            FACTOR: recipe.bias_lr,
        },
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(p.device.type in FUSED_DEVICES for p in weights + rest)
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            groups,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            fused=fused,
        )
    return torch.optim.AdamW(groups, lr=recipe.lr, betas=(recipe.momentum, 0.999), fused=fused)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of every group: its own multiple of the recipe's."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group[FACTOR]


@torch.no_grad()
def renormalise_filters(network: nn.Module, limit: float) -> None:
    """W_f *= limit / max(limit, RMS(W_f)) for each filter f of each trainable convolution.

    Args:
        network: its weights are changed in place.
        limit: largest root mean square of one output channel's weights; more than 0.

    Source: Zeiler and Fergus 2013 (arXiv 1311.2901), section 3: 0.1.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.requires_grad:
            rms = module.weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
            module.weight.mul_(limit / rms.clamp(min=limit))


def state_tensors(optimizer: torch.optim.Optimizer, network: nn.Module) -> dict[str, Tensor]:
    """Return the optimizer's state as ``parameter name/state name`` -> tensor."""
    tensors = {}
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensors[f"{name}/{key}"] = value.detach().contiguous()
    return tensors


def load_state_tensors(
    optimizer: torch.optim.Optimizer, network: nn.Module, tensors: Mapping[str, Tensor]
) -> None:
    """Restore what `state_tensors` returned.

    Raises:
        CheckpointError: a tensor belongs to no parameter of the network.
    """
    parameters = dict(network.named_parameters())
    for full_name, tensor in tensors.items():
        name, key = full_name.rsplit("/", 1)
        if name not in parameters:
            raise CheckpointError(f"the optimizer state has '{name}', which the network lacks")
        parameter = parameters[name]
        value = tensor.to(parameter.device)
        if value.shape == parameter.shape:
            # The same memory layout as the parameter: a different one changes float sums.
            value = torch.empty_like(parameter, requires_grad=False).copy_(value)
        optimizer.state[parameter][key] = value
