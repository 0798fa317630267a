"""What feature maps a network has, for whoever builds a decoder on it."""

from __future__ import annotations

from typing import TypedDict


class Feature(TypedDict):
    """One feature map: its channels, how often it halves the image, where it comes from."""

    num_chs: int
    reduction: int
    module: str


class FeatureInfo(list[Feature]):
    """The feature maps of a network, from the stem to the last stage."""

    def channels(self) -> list[int]:
        """Return the channels of each map."""
        return [feature["num_chs"] for feature in self]

    def reduction(self) -> list[int]:
        """Return the side of the image over the side of each map."""
        return [feature["reduction"] for feature in self]

    def module_name(self) -> list[str]:
        """Return the name of the module that puts out each map."""
        return [feature["module"] for feature in self]
