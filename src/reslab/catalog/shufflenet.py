"""ShuffleNet (Zhang et al. 2017, arXiv 1707.01083)."""

from __future__ import annotations

from reslab.catalog.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
