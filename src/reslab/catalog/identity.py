"""Identity mappings (He et al. 2016, arXiv 1603.05027): shortcuts, orders, pre-activation."""

from __future__ import annotations

from reslab.catalog.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
