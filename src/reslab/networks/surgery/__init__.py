"""Operations on trained networks that keep what they compute, or change it in one known place."""

from reslab.networks.surgery.channels import adapt_channels
from reslab.networks.surgery.deepen import deepen
from reslab.networks.surgery.deeper import deeper_names, deeper_spec
from reslab.networks.surgery.dense import fully_convolutional
from reslab.networks.surgery.fold import fold_batch_norm

__all__ = [
    "adapt_channels",
    "deepen",
    "deeper_names",
    "deeper_spec",
    "fold_batch_norm",
    "fully_convolutional",
]
