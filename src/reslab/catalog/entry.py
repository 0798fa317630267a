"""What the catalogue knows about a named network besides its specification."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from reslab.spec import NetworkSpec

Published = Mapping[str, float | str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A named network: what it is, where it is described, and how it differs from there.

    Args:
        family: what kind of network it is, e.g. "plain" or "resnet".
        spec: the network as data; carries its name.
        source: paper and section.
        summary: what sets it apart, in at most 18 characters (a column of `reslab list`).
        paper: what the paper publishes about it, with whichever of these keys it has:
            "error_pct" (top-1), "top5_error_pct", "error_mean_pct" and "error_std_pct" (over
            "runs" runs), "params", "macs", and "protocol", how the errors were measured.
        deviations: what differs from the paper, a sentence each; empty where nothing does.
    """

    family: str
    spec: NetworkSpec
    source: str
    summary: str
    paper: Published = dataclasses.field(default_factory=dict)
    deviations: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name users call the network by."""
        return self.spec.name
