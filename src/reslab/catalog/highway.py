"""Highway networks (Srivastava et al. 2015, arXiv 1507.06228)."""

from __future__ import annotations

from reslab.catalog.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
