"""What a user asks for, and what was chosen for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reslab import networks
from reslab.aliases import accept_old_names, current_names
from reslab.data.collect import DataOptions
from reslab.errors import UsageError
from reslab.networks import Stem


@accept_old_names
@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for; everything has a sensible default but the data.

    Args:
        data: a named data set or a path.
        model: a network's name, or "auto".
        spec: a network that the catalogue need not know, in place of `model`; it gets the data's
            classes, channels and image size.
        recipe: a recipe's name, or "auto".
        overrides: recipe fields with other values.
        out: the run directory; None for the next free one under runs/.
        seed: of initialisation, order and augmentation.
        time_s: time budget, seconds; None for the recipe's own length.
        device: as for `machine.choose_device`.
        workers: threads that decode images; 0 for one a core.
        start: an artifact to start from, or None.
        deepen_from: an artifact to deepen to `model` and train on, or None.
        stem: "small" or "imagenet" in place of the network's own stem.
        test_fraction: share held out for the test where the data has no test split.
        skip_corrupt: leave unreadable images out (recorded) instead of stopping.
        save_every_s: seconds between two checkpoints.
        probe: record the signal by depth in probe.jsonl: 0 at the end of each epoch, N after
            every N updates as well; None for not at all.
        cache: where decoded images are kept; None for the user's cache.
        data_options: how the data are to be read.
        command: the command line, for the record.
    """

    data: str
    model: str = "auto"
    spec: networks.NetworkSpec | None = None
    recipe: str = "auto"
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    out: Path | None = None
    seed: int = 0
    time_s: float | None = None
    device: str = "auto"
    workers: int = 0
    start: Path | None = None
    deepen_from: Path | None = None
    stem: Stem | None = None
    test_fraction: float = 0.2
    skip_corrupt: bool = False
    save_every_s: float = 30.0
    probe: int | None = None
    cache: Path | None = None
    data_options: DataOptions = dataclasses.field(default_factory=DataOptions)
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not -(2**63) <= self.seed < 2**63:
            raise UsageError(f"seed must fit into 64 bits, received {self.seed}")
        object.__setattr__(self, "overrides", current_names(self.overrides))

    @property
    def source(self) -> Path | None:
        """The trained model that the run starts from, as it is or deepened."""
        return self.start or self.deepen_from


@dataclasses.dataclass(frozen=True)
class Choice:
    """One thing that was chosen for the user.

    Args:
        what: the flag it belongs to.
        chosen: the value.
        why: the reason, a short phrase.
    """

    what: str
    chosen: str
    why: str
