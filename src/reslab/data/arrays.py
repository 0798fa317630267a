"""The arrays that images and numbers of images are handed around in."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""(height, width) for grey or (height, width, 3) for RGB; a batch has one axis more."""

Indices = npt.NDArray[np.int64]
