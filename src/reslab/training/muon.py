"""Muon: of a step's direction only the directions count, every one of them to the same length."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

ITERATIONS = 3
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalized(matrix: Tensor, dtype: torch.dtype) -> Tensor:
    """Return about U V^T for a matrix with the singular value decomposition U S V^T.

    Three Newton-Schulz steps of X <- a X + b (X X^T) X + c (X X^T)^2 X, whose coefficients raise
    small singular values fast: those of the result lie between about 0.5 and 1.2, but for the
    very smallest.

    Args:
        matrix: (rows, columns).
        dtype: of the products.

    Source: Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks".
    """
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]  # X X^T of the shorter side: the cheaper products
    x = matrix.T if tall else matrix
    x = (x / (x.norm() + 1e-7)).to(dtype)  # to length 1 first: float16 ends at 65,504
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """SGD with momentum, whose step is orthogonalized where a group says so.

    v <- momentum v + g, then w <- w - lr (g + momentum v) for the other groups, with g + decay w
    in place of g. An orthogonal group takes its tensors as matrices with a row for each output
    channel: w <- (1 - lr decay) w - lr max(1, rows / columns)^0.5 orthogonalized(g + momentum v).

    Args:
        groups: parameters with "orthogonal" (bool) and "weight_decay".
        lr: learning rate.
        momentum: of the running sum of gradients.
        nesterov: take g + momentum v, as above; v itself otherwise.
        dtype: of the products that make a matrix orthogonal.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        nesterov: bool,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "orthogonal": False}
        super().__init__(groups, {**defaults, "weight_decay": 0.0})
        self._dtype = dtype

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step with the gradients that are there."""
        assert closure is None, "the loop computes the loss"
        for group in self.param_groups:
            weights = [p for p in group["params"] if p.grad is not None]
            if weights:
                self._move(group, weights, [p.grad for p in weights])

    def _move(self, group: dict[str, Any], weights: list[Tensor], gradients: list[Tensor]) -> None:
        rate, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        if decay and not group["orthogonal"]:
            gradients = list(torch._foreach_add(gradients, weights, alpha=decay))
        velocities = [self._velocity(w) for w in weights]
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, gradients)
        directions = velocities
        if group["nesterov"]:
            directions = list(torch._foreach_add(gradients, velocities, alpha=momentum))
        if group["orthogonal"]:
            torch._foreach_mul_(weights, 1 - rate * decay)
            directions = [self._orthogonal(d) for d in directions]
        torch._foreach_add_(weights, directions, alpha=-rate)

    def _velocity(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        velocity: Tensor = state["momentum_buffer"]
        return velocity

    def _orthogonal(self, direction: Tensor) -> Tensor:
        matrix = direction.flatten(1)
        rows, columns = matrix.shape
        scale = max(1.0, rows / columns) ** 0.5  # tall ones: the same change of an output's RMS
        step: Tensor = orthogonalized(matrix, self._dtype).to(direction.dtype) * scale
        return step.reshape(direction.shape)
