"""MobileNet (Howard et al. 2017, arXiv 1704.04861)."""

from __future__ import annotations

from reslab.catalog.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
