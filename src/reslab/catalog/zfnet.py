"""The networks of Zeiler and Fergus 2013 (arXiv 1311.2901)."""

from __future__ import annotations

from reslab.catalog.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
