"""Networks as modules: specification in, trainable network out."""

from reslab.nn import builders as _builders  # registers every family
from reslab.nn.build import build, builds
from reslab.nn.feature_maps import FeatureMaps
from reslab.nn.features import Feature, FeatureInfo
from reslab.nn.fused import fuse
from reslab.nn.init import initialise, redraw, zero_last_scale
from reslab.nn.network import Network
from reslab.nn.whitening import fit_to_images

del _builders

__all__ = [
    "Feature",
    "FeatureInfo",
    "FeatureMaps",
    "Network",
    "build",
    "builds",
    "fit_to_images",
    "fuse",
    "initialise",
    "redraw",
    "zero_last_scale",
]
