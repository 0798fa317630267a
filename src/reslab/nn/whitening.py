"""A first convolution whose weights follow from the images: its outputs are uncorrelated."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST_POWER = 5e-4


class WhiteningConv2d(nn.Conv2d):
    """y = [V x, -V x] + b over patches x: V whitens them, b learns.

    Row i of V is e_i / sqrt(v_i + 5e-4) for the eigenvectors e_i and eigenvalues v_i of the
    second moments of the patches, the largest first. V is no parameter: it is computed once
    from images (`fit`) and kept with the weights. Until then it is an orthogonal matrix.

    Args:
        in_chans: channels of the image.
        kernel: side of a patch, pixels.

    Source: Jordan 2024 (arXiv 2404.00498), section 3.2; after Page 2019 ("How to Train Your
        ResNet 8: Bag of Tricks") and tysam-code's hlb-CIFAR10.
    """

    weight: Tensor

    def __init__(self, in_chans: int, kernel: int) -> None:
        super().__init__(in_chans, 2 * in_chans * kernel**2, kernel)
        value = self.weight.detach()
        del self.weight
        self.register_buffer("weight", value)

    @torch.no_grad()
    def begin(self) -> None:
        """Fill V with a random orthogonal matrix, b with zeros."""
        if not self.weight.is_meta:
            half = self.weight[: len(self.weight) // 2]
            nn.init.orthogonal_(half.flatten(1))
            self.weight[len(half) :] = -half
            assert self.bias is not None
            nn.init.zeros_(self.bias)

    @torch.no_grad()
    def fit(self, images: Tensor) -> None:
        """Compute V from the patches of normalised images (B, in_chans, H, W)."""
        kernel = self.kernel_size[0]
        patches = F.unfold(images.float().contiguous(), kernel)
        width = patches.shape[1]
        rows = patches.transpose(1, 2).reshape(-1, width).double()
        power, vectors = torch.linalg.eigh(rows.T @ rows / len(rows))
        # An eigenvector's sign is arbitrary: the largest entry shall be positive anywhere.
        largest = vectors.abs().argmax(0, keepdim=True)
        vectors = vectors * vectors.gather(0, largest).sign()
        whitening = (vectors / (power + SMALLEST_POWER).sqrt()).flip(1).T
        shaped = whitening.reshape(width, -1, kernel, kernel)
        self.weight.copy_(torch.cat([shaped, -shaped]))


def fit_to_images(network: nn.Module, images: Callable[[], Tensor]) -> bool:
    """Give the layers whose weights follow from images their weights.

    Args:
        network: as built; changed in place.
        images: returns normalised training images; asked only where a layer needs them.

    Returns:
        Whether there is such a layer.
    """
    layers = [m for m in network.modules() if isinstance(m, WhiteningConv2d)]
    if layers:
        seen = images()
        for layer in layers:
            layer.fit(seen.to(layer.weight.device))
    return bool(layers)
