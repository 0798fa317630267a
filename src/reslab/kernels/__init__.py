"""Fused passes: what torch does in several trips through memory, done in one.

`norm_act.c` is compiled once for the machine it runs on; where there is no compiler everything
runs as plain torch operations.
"""

from reslab.kernels.library import available, reason
from reslab.kernels.norm_act import norm_act, reference

__all__ = ["available", "norm_act", "reason", "reference"]
