"""What the maps of each stage hold for some images."""

from __future__ import annotations

import dataclasses

import torch

from reslab.analyze.view import view_of
from reslab.display.short import short_repr
from reslab.networks.network import FeatureMaps, Network


@dataclasses.dataclass(frozen=True)
class StageMaps:
    """The liveliest channels of one stage.

    Args:
        module: the stage, as the state dictionary names it.
        channels: int64 (K,), which channels, the liveliest first.
        maps: float32 (B, K, h, w).
    """

    module: str
    channels: torch.Tensor
    maps: torch.Tensor

    __repr__ = short_repr


def stage_maps(network: Network, images: torch.Tensor, channels: int = 6) -> list[StageMaps]:
    """Run images through the network and keep the channels that vary most at each stage.

    A channel's liveliness is its variance over all positions of all the images; channels that
    say the same everywhere have nothing to show.

    Args:
        network: any network; it stays as it is.
        images: normalised, (B, in_chans, H, W).
        channels: at most how many a stage.
    """
    with torch.inference_mode():
        outputs = FeatureMaps(view_of(network))(images)
    stages = []
    for name, maps in zip(network.feature_info.module_name(), outputs, strict=True):
        variance = maps.float().var(dim=(0, 2, 3), unbiased=False)
        best = variance.argsort(descending=True, stable=True)[:channels]
        stages.append(StageMaps(name, best.cpu().clone(), maps[:, best].float().cpu().clone()))
    return stages
