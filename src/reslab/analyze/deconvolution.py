"""Project what a unit responds to back into the image, as ZFNet's authors did.

A deconvolutional network runs a network backwards: transposed convolutions, max pools undone by
the switches they recorded, and a rectification wherever the network has one. All but the last
is what the backward pass of a gradient does, so that the two differ in the ReLU alone (Simonyan
et al. 2013, section 4): a gradient passes where the *activation* was positive, a deconvolution
where the *signal coming back* is, and guided backpropagation where both are.

That says what to do with the layers ZFNet did not have: a batch norm in evaluation mode is a
scale by channel and goes back as one; where a shortcut was added to a branch the signal goes
back through both and the two add up; concatenated branches each get their own channels. Whatever
else there is (local response normalisation, gates) goes back by its derivative.
"""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from reslab.analyze.kept import kept_outputs
from reslab.analyze.view import view_of
from reslab.networks.network import Network

Rule = Literal["deconvolution", "guided", "gradient"]
RULES: tuple[Rule, ...] = ("deconvolution", "guided", "gradient")
_RECTIFIERS = (F.relu, torch.relu, torch.Tensor.relu)


def project(
    network: Network,
    images: torch.Tensor,
    units: torch.Tensor,
    *,
    module: str | None = None,
    rule: Rule = "deconvolution",
) -> torch.Tensor:
    """Send the strongest response of one unit in each image back to the pixels.

    Everything in the module's output but the unit's largest value is set to zero, and that value
    goes back.

    Args:
        network: any network; it stays as it is.
        images: normalised, (B, in_chans, H, W).
        units: int64 (B,), the channel of the module's output to project for each image.
        module: whose output holds the units; None for the last feature map.
        rule: how a ReLU is passed on the way back.

    Returns:
        float32 (B, in_chans, H, W), in units of the normalised image; zero outside of the
        unit's receptive field.

    Raises:
        UsageError: the network has no such module.

    Source: Zeiler and Fergus 2013 (arXiv 1311.2901), section 2.1; guided: Springenberg et al.
    2014 (arXiv 1412.6806), section 3.4.
    """
    assert rule in RULES, rule
    view = view_of(network)
    name = module or view.feature_info.module_name()[-1]
    images = images.detach().clone().requires_grad_()
    with torch.enable_grad(), kept_outputs(view, [name]) as kept, passing(rule):
        view(images)
    output = kept[name]
    signal = torch.zeros_like(output)
    chosen = output.detach()[torch.arange(len(images)), units].flatten(1)
    place = chosen.argmax(dim=1)
    rows = torch.arange(len(images))
    # One place of the map alone: more would lay the patches of several places over each other.
    signal.flatten(2)[rows, units, place] = chosen[rows, place]
    (back,) = torch.autograd.grad(output, images, signal)
    return back.detach()


def passing(rule: Rule) -> contextlib.AbstractContextManager[object]:
    """Let rectifiers compute as always inside, but pass what comes back by a rule."""
    return contextlib.nullcontext() if rule == "gradient" else _Passing(rule == "guided")


class _Passing(TorchFunctionMode):
    """Let rectifiers compute as always, but pass the signal back by another rule."""

    def __init__(self, guided: bool) -> None:
        super().__init__()
        self.guided = guided

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _RECTIFIERS:
            return _Rectifier.apply(args[0], self.guided)
        return func(*args, **(kwargs or {}))


class _Rectifier(torch.autograd.Function):
    """y = max(x, 0); what comes back is rectified too."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, guided: bool) -> torch.Tensor:
        ctx.mask = x > 0 if guided else None
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *signals: Any) -> Any:
        # ZFNet rectifies what comes back, whether or not the activation passed (that is guided).
        passed = signals[0].clamp(min=0)
        return passed if ctx.mask is None else passed * ctx.mask, None
