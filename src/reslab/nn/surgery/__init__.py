"""Operations on trained networks that keep what they compute, or change it in one known place."""

from reslab.nn.surgery.channels import adapt_channels

__all__ = ["adapt_channels"]
