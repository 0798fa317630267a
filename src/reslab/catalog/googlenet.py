"""GoogLeNet (Szegedy et al. 2014, arXiv 1409.4842)."""

from __future__ import annotations

from reslab.catalog.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
