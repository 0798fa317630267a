"""VGG A to E (Simonyan and Zisserman 2014, arXiv 1409.1556), and VGG with shortcuts."""

from __future__ import annotations

from reslab.catalog.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
