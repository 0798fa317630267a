"""Inception-v4 and Inception-ResNet (Szegedy et al. 2016, arXiv 1602.07261)."""

from __future__ import annotations

from reslab.catalog.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
