"""AlexNet (Krizhevsky et al. 2012) and its one-tower form."""

from __future__ import annotations

from reslab.catalog.entry import Entry

ENTRIES: tuple[Entry, ...] = ()
