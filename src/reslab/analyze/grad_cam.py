"""Grad-CAM: where in the image the evidence for a class lies."""

from __future__ import annotations

import torch

from reslab.analyze.kept import kept_outputs
from reslab.analyze.view import view_of
from reslab.networks.network import Network


def grad_cam(
    network: Network,
    images: torch.Tensor,
    classes: torch.Tensor | None = None,
    module: str | None = None,
) -> torch.Tensor:
    """relu(sum_k a_k A_k), where a_k is the mean over all positions of d logit_c / d A_k.

    Behind a global average pool and one linear layer this is the class activation map of Zhou
    et al. 2016, up to its ReLU and a constant factor.

    Args:
        network: any network; it stays as it is.
        images: normalised, (B, in_chans, H, W).
        classes: int64 (B,), the class to explain in each; None for the one the network says.
        module: whose maps A to weigh; None for the last feature map.

    Returns:
        float32 (B, h, w), not negative, at the size of the map.

    Raises:
        UsageError: the network has no such module.

    Source: Selvaraju et al. 2017 (arXiv 1610.02391), equations 1 and 2.
    """
    view = view_of(network)
    name = module or view.feature_info.module_name()[-1]
    # The image needs a gradient so that the maps have one even in a frozen network.
    images = images.detach().clone().requires_grad_()
    with torch.enable_grad(), kept_outputs(view, [name]) as kept:
        logits = view(images)
    if classes is None:
        classes = logits.argmax(dim=1)
    scores = logits.gather(1, classes.to(logits.device)[:, None]).sum()
    (gradient,) = torch.autograd.grad(scores, kept[name])
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return (weights * kept[name]).sum(dim=1).relu().detach()
