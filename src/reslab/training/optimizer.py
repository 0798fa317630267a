"""The optimizer of a recipe, and its state as named tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from reslab.errors import CheckpointError
from reslab.networks.network import Network
from reslab.training.muon import Muon
from reslab.training.recipe import Recipe

FUSED_DEVICES = ("cpu", "cuda")  # where torch updates a parameter in one pass over memory
FACTOR = "lr_factor"  # of a group of parameters: its learning rate in multiples of the recipe's


def make_optimizer(
    network: nn.Module, recipe: Recipe, dtype: torch.dtype | None = None
) -> torch.optim.Optimizer:
    """Build SGD, AdamW or Muon over the trainable parameters.

    Weights of convolutions and linear layers decay; norm scales and biases do so only where
    the recipe says so (the papers decay convolution weights only). Biases and norms learn at
    `bias_lr` times the recipe's rate, the classifier at `head_lr` times, its bias at both. Muon
    makes the steps of convolutions orthogonal and decays them alone; the rest goes as with SGD.

    Args:
        network: whose parameters learn.
        recipe: the numbers.
        dtype: of the forward pass and of the products that Muon needs; None for float32.
    """
    groups = _groups(network, recipe)
    fused = all(p.device.type in FUSED_DEVICES for group in groups for p in group["params"])
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, betas=(recipe.momentum, 0.999), fused=fused)
    if recipe.optimizer == "muon":
        return Muon(
            groups,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            dtype=dtype or torch.float32,
        )
    # With a loss scaler the first update may be left out; torch's fused pass then takes the memory
    # that it never wrote for the momentum of the next.
    return torch.optim.SGD(
        groups,
        lr=recipe.lr,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        fused=fused and dtype != torch.float16,
    )


def _groups(network: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Sort the trainable parameters by how they learn."""
    muon = recipe.optimizer == "muon"
    head = network.get_classifier() if isinstance(network, Network) else None
    own = set() if head is None else set(head.parameters())
    groups: dict[tuple[bool, bool, bool], dict[str, Any]] = {}
    for parameter in network.parameters():
        if not parameter.requires_grad:
            continue
        # One dimension: a bias, or a norm's scale or shift, which the papers leave undecayed.
        matrix, classifier = parameter.ndim > 1, parameter in own
        orthogonal = muon and parameter.ndim == 4 and not classifier
        decays = recipe.decay_all or (orthogonal if muon else matrix)
        kind = (matrix, classifier, orthogonal)
        if kind not in groups:
            groups[kind] = {
                "params": [],
                "weight_decay": recipe.weight_decay if decays else 0.0,
                FACTOR: (1.0 if matrix else recipe.bias_lr) * (recipe.head_lr if classifier else 1),
            }
            if muon:
                groups[kind]["orthogonal"] = orthogonal
        groups[kind]["params"].append(parameter)
    return list(groups.values())


@torch.no_grad()
def renormalize_filters(network: nn.Module, limit: float) -> None:
    """W_f *= limit / max(limit, RMS(W_f)) for each filter f of each trainable convolution.

    Args:
        network: its weights are changed in place.
        limit: largest root mean square of one output channel's weights; more than 0.

    Source: Zeiler and Fergus 2013 (arXiv 1311.2901), section 3: 0.1.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.weight.requires_grad:
            rms = module.weight.square().mean(dim=(1, 2, 3), keepdim=True).sqrt()
            # The clamp makes the factor 1 for filters within the limit, without a branch.
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
