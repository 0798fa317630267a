"""The networks: one file a family, read as its paper is; blocks, start and surface are shared.

`index` lists them by name and needs no torch; `spec` has what every specification has. A family's
file holds, in this order, its specification, its modules, its builder and its named networks, and
is imported when one of them is asked for.
"""

from reslab.networks.index import NetworkInfo, info, list_models
from reslab.networks.spec import (
    Entry,
    NetworkSpec,
    Published,
    Section,
    Stem,
    entry,
    from_json,
    replace,
    spec_kind,
    to_json,
)

__all__ = [
    "Entry",
    "NetworkInfo",
    "NetworkSpec",
    "Published",
    "Section",
    "Stem",
    "entry",
    "from_json",
    "info",
    "list_models",
    "replace",
    "spec_kind",
    "to_json",
]
