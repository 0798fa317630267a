"""Small networks that put one idea of the line into a plain network, as data."""

from __future__ import annotations

import dataclasses

from reslab.errors import UsageError
from reslab.spec.network import NetworkSpec, spec_kind


@spec_kind("highway_cnn")
@dataclasses.dataclass(frozen=True, kw_only=True)
class HighwayCNNSpec(NetworkSpec):
    """A plain network of equal 3x3 convolutions, with a highway layer behind each or without.

    Each convolution has a bias and a ReLU and no batch norm; a 2x2 max pool opens each stage
    but the first; the last map is averaged over all positions.

    Args:
        width: channels of every layer; a highway layer needs as many in as out.
        depths: number of convolutions of each stage; the first one is the stem.
        highway: whether a highway layer follows each convolution.
        gate_bias: where the biases of the highway layers' gates start.
    """

    width: int = 64
    depths: tuple[int, ...] = (3, 3, 4)
    highway: bool
    gate_bias: float = -2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.depths) < 1 or self.depths[0] < 2 or min(self.depths) < 1:
            raise UsageError(
                "depths must be 2 or more for the first stage and 1 or more for the others, "
                f"received {self.depths}"
            )

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: there are none."""
        return False


@spec_kind("two_layer_blocks")
@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoLayerBlocksSpec(NetworkSpec):
    """Blocks of two layers, a[l+2] = g(z[l+2] + a[l]), with their shortcuts or without.

    z[l+1] = W[l+1] a[l] + b[l+1] and g is the ReLU; there is no batch norm. The linear map W
    is a 3x3 convolution. A convolution with ReLU makes the first a from the image; a 2x2 max pool
    opens each stage but the first; the last map is averaged over all positions.

    Args:
        width: channels of every layer: the shortcut adds the input as it is.
        depths: number of blocks of each stage.
        shortcut: False for the plain counterpart, a[l+2] = g(z[l+2]).
    """

    width: int = 32
    depths: tuple[int, ...] = (2, 2, 1)
    shortcut: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.depths or min(self.depths) < 1:
            raise UsageError(f"each stage needs a block or more, received depths {self.depths}")

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: there are none."""
        return False
