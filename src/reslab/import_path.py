"""Where modules are imported from, and never: the working folder.

A file there that is called queue.py or numpy.py would be run in place of the library. This module
imports nothing but `os`: what else it would take could already be such a file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

_PACKAGES = ("site-packages", "dist-packages")


def without_working_folder(places: Sequence[str]) -> list[str]:
    """Return folders to import from as absolute paths, in their order, the working folder left out.

    Python's own folders and those of packages stay, wherever one stands.
    """
    try:
        here = os.getcwd()
    except OSError:  # it was deleted: nothing relative can be found either
        return [place for place in places if os.path.isabs(place)]
    whole = [os.path.join(here, place) for place in places]
    here = os.path.realpath(here)
    if here == os.path.realpath(os.path.dirname(os.__file__)) or here.endswith(_PACKAGES):
        return whole
    return [place for place in whole if os.path.realpath(place) != here]
