"""Operations on trained networks that keep what they compute, or change it in one known place."""

from reslab.nn.surgery.channels import adapt_channels
from reslab.nn.surgery.deepen import deepen
from reslab.nn.surgery.deeper import deeper_names, deeper_spec
from reslab.nn.surgery.dense import fully_convolutional
from reslab.nn.surgery.fold import fold_batch_norm

__all__ = [
    "adapt_channels",
    "deepen",
    "deeper_names",
    "deeper_spec",
    "fold_batch_norm",
    "fully_convolutional",
]
