"""What torchvision's and timm's Python code expects of torch.

torchvision's compiled part is built for one build of torch; with another its networks and
transforms still work once the two operators that they mention are declared.
"""

from __future__ import annotations

import contextlib
import functools

import torch


@functools.cache
def declare() -> torch.library.Library:
    """Declare them, before torchvision or timm is imported; they live as long as what is kept."""
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        with contextlib.suppress(RuntimeError):  # torchvision has its own
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library
