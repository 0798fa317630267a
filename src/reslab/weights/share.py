"""How much of a file was taken, and how much of a network comes from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping

import torch

from reslab.networks.network import Network

COUNTER = ".num_batches_tracked"
# With less than this of the layers before the head, a network is as good as new.
LEAST = 0.5
_BEFORE_THE_HEAD = ("stem.", "stages.")


@dataclasses.dataclass(frozen=True)
class Share:
    """What of a file went into a network, counters of batch norms aside.

    Args:
        file_tensors: tensors in the file.
        taken_tensors: those of them that were taken.
        file_values: numbers in the file's tensors.
        taken_values: those in the tensors that were taken.
        network_values: numbers in the network's parameters and statistics, without what only
            training needs and without the classifier where the network has none.
        filled_values: those of them that come from the file.
        backbone: share of the parameters before the head that come from the file, 0 to 1.
    """

    file_tensors: int
    taken_tensors: int
    file_values: int
    taken_values: int
    network_values: int
    filled_values: int
    backbone: float

    @property
    def is_whole(self) -> bool:
        """Whether all of the file was taken and all of the network comes from it."""
        return self.file_tensors == self.taken_tensors and self.network_is_whole

    @property
    def network_is_whole(self) -> bool:
        """Whether every number of the network comes from the file."""
        return self.network_values == self.filled_values

    def described(self, name: str) -> str:
        """Say it in one sentence without a stop.

        Args:
            name: the network's.
        """
        file = f"{self.taken_tensors} of {self.file_tensors} tensors of the file were taken"
        values = f"{self.taken_values:,} of {self.file_values:,} numbers"
        if self.network_is_whole:
            return f"{file} ({values}); all of {name} comes from it"
        new = self.network_values - self.filled_values
        return (
            f"{file} ({values}); {_percent(self.filled_values, self.network_values)} of {name} "
            f"comes from it, {new:,} of its {self.network_values:,} numbers are newly initialized"
        )

    def to_json(self) -> dict[str, int | float]:
        """Return JSON values."""
        return dataclasses.asdict(self)


def share_of(
    network: Network,
    fitting: Collection[str],
    file: Mapping[str, torch.Tensor],
    taken: Collection[str],
) -> Share:
    """Count what was taken.

    Args:
        network: of any device; auxiliary heads are not counted.
        fitting: its keys that the file fills.
        file: the file's tensors by name.
        taken: the names among them that were taken.
    """
    own = {
        key: value.numel()
        for key, value in network.state_dict().items()
        if not key.endswith(COUNTER) and not key.startswith("auxiliary.")
    }
    theirs = {name: value.numel() for name, value in file.items() if not name.endswith(COUNTER)}
    used = [name for name in theirs if name in taken]
    parameters = {name for name, _ in network.named_parameters()}
    backbone = [key for key in own if key in parameters and key.startswith(_BEFORE_THE_HEAD)]
    before_head = sum(own[key] for key in backbone)
    return Share(
        file_tensors=len(theirs),
        taken_tensors=len(used),
        file_values=sum(theirs.values()),
        taken_values=sum(theirs[name] for name in used),
        network_values=sum(own.values()),
        filled_values=sum(count for key, count in own.items() if key in fitting),
        backbone=sum(own[key] for key in backbone if key in fitting) / max(before_head, 1),
    )


def _percent(part: int, whole: int) -> str:
    """Show a share so that neither nothing nor all is said of what is only nearly that."""
    share = 100 * part / max(whole, 1)
    if 0 < part < whole:
        share = min(max(share, 0.1), 99.9)
    return f"{share:.1f}%"
