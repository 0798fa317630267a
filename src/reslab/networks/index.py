"""The networks by name, from a generated table: what `reslab list` shows, without torch.

``python -m reslab.networks.build_index docs/networks.md`` writes the table, index.json, from what
the families declare (their `SECTIONS`) and from the measured costs of the built networks; a test
compares it with both.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from reslab.registry import Registry

FILE = "index.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkInfo:
    """What the table holds of a network.

    Args:
        name: the name users call it by.
        module: the file of its family, e.g. "resnet" for networks/resnet.py.
        kind: of its specification, e.g. "preact".
        family: what kind of network it is, e.g. "plain" or "resnet".
        summary: what sets it apart, in at most 18 characters.
        source: paper and section.
        paper: what the paper publishes about it; see `spec.Entry`.
        deviations: what differs from the paper, a sentence each.
        img_size: side of its own input, pixels.
        in_chans: channels of its own input.
        params: trainable values, at its own number of classes.
        macs: multiply-adds of convolutions and linear layers for one image of its own size.
    """

    name: str
    module: str
    kind: str
    family: str
    summary: str
    source: str
    paper: Mapping[str, float | str]
    deviations: tuple[str, ...]
    img_size: int
    in_chans: int
    params: int
    macs: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListedSection:
    """Networks that are shown together.

    Args:
        title: whose they are.
        module: the file of their family.
        notes: a paragraph on them, in Markdown; may be empty.
        networks: their names.
    """

    title: str
    module: str
    notes: str
    networks: tuple[str, ...]


def info(name: str) -> NetworkInfo:
    """Return what the table holds of a network.

    Raises:
        UsageError: no network has this name; the message proposes the nearest one.
    """
    return _infos()[name]


def list_models(pattern: str = "*") -> list[str]:
    """List the names of networks that match a shell pattern, e.g. ``resnet*_v15``.

    They stand in the order of history.
    """
    return _infos().names(pattern)


def sections() -> list[ListedSection]:
    """Return the sections in the order of history."""
    return [
        ListedSection(
            title=section["title"],
            module=section["module"],
            notes=section["notes"],
            networks=tuple(section["networks"]),
        )
        for section in read()["sections"]
    ]


def kinds() -> Mapping[str, str]:
    """Return which family each kind of specification is of: kind -> module."""
    return read()["kinds"]  # type: ignore[no-any-return]


@functools.cache
def read() -> dict[str, Any]:
    """Return the table as it is in the file."""
    text = resources.files(__package__).joinpath(FILE).read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]


def clear() -> None:
    """Read the file again next time: it was written."""
    read.cache_clear()
    _infos.cache_clear()


@functools.cache
def _infos() -> Registry[NetworkInfo]:
    networks: Registry[NetworkInfo] = Registry("network")
    for section in read()["sections"]:
        for name, row in section["networks"].items():
            values = {**row, "deviations": tuple(row["deviations"])}
            found = NetworkInfo(name=name, module=section["module"], **values)
            networks.register(name, found)
    return networks
