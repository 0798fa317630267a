"""Compiled passes: what torch does in several trips through memory, or far from the peak.

The C sources are compiled once for the machine they run on; where there is no compiler everything
runs as plain torch operations.
"""

from reslab.kernels import conv3x3
from reslab.kernels.library import available, reason
from reslab.kernels.norm_act import norm_act, reference
from reslab.kernels.zero_pad import zero_pad

__all__ = ["available", "conv3x3", "norm_act", "reason", "reference", "zero_pad"]
