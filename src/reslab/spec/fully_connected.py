"""What the networks with a classifier of fully-connected layers have in common."""

from __future__ import annotations

import dataclasses

from reslab.errors import UsageError
from reslab.spec.network import NetworkSpec


@dataclasses.dataclass(frozen=True, kw_only=True)
class FullyConnectedSpec(NetworkSpec):
    """A network whose last map is flattened into hidden fully-connected layers.

    `dropout` is that of the classifier and of the layers between hidden ones.

    Args:
        fc_grid: side of the map that is flattened; other maps are averaged to it.
        fc_widths: outputs of the hidden fully-connected layers.
        fully_convolutional: the same layers as convolutions over a map of any size, whose
            logits are averaged, instead of averaging the map (VGG paper, section 3.2).
    """

    fc_grid: int
    fc_widths: tuple[int, ...] = (4096, 4096)
    fully_convolutional: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fc_grid < 1:
            raise UsageError(f"fc_grid must be 1 or more, received {self.fc_grid}")
        if not self.fc_widths or min(self.fc_widths) < 1:
            raise UsageError(f"fc_widths must be 1 or more each, received {self.fc_widths}")

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps: there are none."""
        return False
