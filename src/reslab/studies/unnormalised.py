"""Networks without batch norm, of one width and any depth: plain, residual, highway."""

from __future__ import annotations

from reslab.networks import NetworkSpec
from reslab.networks.highway import HighwaySpec, HighwayStageSpec
from reslab.networks.ideas import TwoLayerBlocksSpec

KINDS = ("plain", "residual", "highway")


def network(kind: str, layers: int, width: int) -> NetworkSpec:
    """Return a network of 3x3 convolutions in three stages: one first, then the layers.

    Args:
        kind: "plain" and "residual" have blocks of two layers, "highway" single layers.
        layers: 1 + 6n, the first convolution included.
        width: channels of all layers.
    """
    assert layers % 6 == 1, layers
    blocks = (layers - 1) // 6
    if kind == "highway":
        return HighwaySpec(
            name=f"highway_{layers}x{width}",
            stem_width=width,
            input_dropout=0.0,
            stages=tuple(
                HighwayStageSpec(width=width, depth=2 * blocks, pool=2 if stage else 0)
                for stage in range(3)
            ),
        )
    return TwoLayerBlocksSpec(
        name=f"{kind}_{layers}x{width}",
        width=width,
        depths=(blocks,) * 3,
        shortcut=kind == "residual",
    )
