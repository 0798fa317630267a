"""A network as a backbone: feature maps out instead of logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from reslab.errors import UsageError
from reslab.nn.features import FeatureInfo
from reslab.nn.network import Network, check_input


class FeatureMaps(nn.Module):
    """x -> [map of the stem, map of each stage]: a network without its head.

    Args:
        network: the network; its modules are used, not copied.
        out_indices: which maps to put out; all of them if not given. Stages after the last
            one are left out.

    Raises:
        UsageError: an index of no map, or no index at all.
    """

    def __init__(self, network: Network, out_indices: Sequence[int] | None = None) -> None:
        super().__init__()
        count = len(network.feature_info)
        wanted = range(count) if out_indices is None else out_indices
        allowed = f"out_indices of {network.spec.name} must be {-count} to {count - 1}"
        for index in wanted:
            if not -count <= index < count:
                raise UsageError(f"{allowed}, received {index}")
        self.out_indices = sorted({index % count for index in wanted})
        if not self.out_indices:
            raise UsageError(f"{allowed}, received none", remedy="leave them out for every map")
        self.feature_info = FeatureInfo(network.feature_info[i] for i in self.out_indices)
        self.parts = nn.ModuleDict(dict(list(network.parts().items())[: self.out_indices[-1] + 1]))
        self.spec = network.spec
        self.min_size = network.min_size

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Return one map an index, (B, num_chs, H / reduction, W / reduction)."""
        check_input(self.spec, self.min_size, x.shape)
        maps = []
        for index, part in enumerate(self.parts.values()):
            x = part(x)
            if index in self.out_indices:
                maps.append(x)
        return maps
