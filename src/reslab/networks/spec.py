"""What every network's specification has, what is published with it, and its way through JSON.

Nothing here needs torch. A family derives its specification from `NetworkSpec`, gives it the name
that JSON stores with `spec_kind`, and lists its named networks as `Entry`s in `Section`s.
"""

from __future__ import annotations

import dataclasses
import importlib
import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self, TypeVar, get_args

from reslab import dataclass_json
from reslab.errors import UsageError, unknown
from reslab.networks import index

Stem = Literal["small", "imagenet"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """What every network has.

    Args:
        name: the name users call it by.
        num_classes: width of the logits; 0 for a network without a classifier.
        in_chans: channels of the input image.
        img_size: side of the square input that the network is meant for, in pixels.
        dropout: probability of dropping a feature before the classifier.
    """

    kind: ClassVar[str] = ""

    name: str
    num_classes: int = 1000
    in_chans: int = 3
    img_size: int = 224
    dropout: float = 0.0

    def __post_init__(self) -> None:
        dataclass_json.check_literals(self)
        if self.num_classes < 0:
            raise UsageError(f"num_classes must be 0 or more, received {self.num_classes}")
        if self.in_chans < 1:
            raise UsageError(f"in_chans must be 1 or more, received {self.in_chans}")
        if self.img_size < 1:
            raise UsageError(f"img_size must be 1 or more, received {self.img_size}")
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"dropout must be in [0, 1), received {self.dropout}")

    @property
    def has_batch_norm(self) -> bool:
        """Whether batch norms keep the scale of the maps; recipes go more slowly without."""
        return True

    def with_stem(self, stem: Stem) -> Self:
        """Return the same network with the first layers for small or for large images.

        A family that has both forms overrides this; "small" is meant for images of about 32
        pixels. `img_size` stays as it is: who asks for a stem knows the size.

        Raises:
            UsageError: the network has only the form it has, or an unknown stem.
        """
        check_stem(stem)
        raise UsageError(f"the stem of {self.name} cannot be changed")


SpecT = TypeVar("SpecT", bound=NetworkSpec)
_KINDS: dict[str, type[NetworkSpec]] = {}


def spec_kind(kind: str) -> Callable[[type[SpecT]], type[SpecT]]:
    """Register a specification class under the name that JSON stores."""

    def register(cls: type[SpecT]) -> type[SpecT]:
        assert kind not in _KINDS, f"spec kind '{kind}' is registered twice"
        cls.kind = kind
        _KINDS[kind] = cls
        return cls

    return register


def replace(spec: SpecT, **changes: Any) -> SpecT:
    """Return a copy of a spec with some fields changed."""
    return dataclasses.replace(spec, **changes)


def check_stem(stem: str) -> None:
    """Refuse a stem that is neither the one for small nor the one for large images."""
    if stem not in get_args(Stem):
        raise unknown("stem", str(stem), get_args(Stem))


Published = Mapping[str, float | str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A named network: what it is, where it is described, and how it differs from there.

    Args:
        family: what kind of network it is, e.g. "plain" or "resnet".
        spec: the network as data; carries its name.
        source: paper and section.
        summary: what sets it apart, in at most 18 characters (a column of `reslab list`).
        paper: what the paper publishes about it, with whichever of these keys it has:
            "error_pct" (top-1), "top5_error_pct", "error_mean_pct" and "error_std_pct" (over
            "runs" runs), "params", "macs", and "protocol", how the errors were measured.
        deviations: what differs from the paper, a sentence each; empty where nothing does.
    """

    family: str
    spec: NetworkSpec
    source: str
    summary: str
    paper: Published = dataclasses.field(default_factory=dict)
    deviations: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name users call the network by."""
        return self.spec.name


@dataclasses.dataclass(frozen=True)
class Section:
    """Named networks that `list` and the documentation show together.

    Args:
        title: whose they are, with the year or the paper; a heading of docs/networks.md.
        entries: the networks, in the order that they are shown.
        notes: a paragraph below the heading, in Markdown; may be empty.
    """

    title: str
    entries: tuple[Entry, ...]
    notes: str = ""


def entry(name: str) -> Entry:
    """Return a named network, with its specification; imports its family, and torch with it.

    Raises:
        UsageError: no network has this name; the message proposes the nearest one.
    """
    sections: tuple[Section, ...] = _family(index.info(name).module).SECTIONS
    return next(each for section in sections for each in section.entries if each.name == name)


def to_json(spec: NetworkSpec) -> dict[str, Any]:
    """Turn a spec into plain JSON values, with its kind."""
    return {"kind": spec.kind, **dataclass_json.to_json(spec)}


def from_json(value: Mapping[str, Any]) -> NetworkSpec:
    """Turn what `to_json` wrote back into the equal spec; imports the family of its kind.

    Raises:
        UsageError: an unknown kind, or a field that is missing, unknown or of another type.
    """
    fields = dict(value)
    kind = fields.pop("kind", None)
    if kind not in _KINDS and kind in index.kinds():
        _family(index.kinds()[kind])
    if kind not in _KINDS:
        raise unknown("spec kind", str(kind), _KINDS.keys() | index.kinds().keys())
    return dataclass_json.from_json(_KINDS[kind], fields, str(kind))


def _family(module: str) -> types.ModuleType:
    return importlib.import_module(f"reslab.networks.{module}")
