"""What every network's specification has, and its way through JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, Self, TypeVar, get_args

from reslab import dataclass_json
from reslab.errors import UsageError, unknown

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
        if stem not in get_args(Stem):
            raise unknown("stem", str(stem), get_args(Stem))
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


def to_json(spec: NetworkSpec) -> dict[str, Any]:
    """Turn a spec into plain JSON values, with its kind."""
    return {"kind": spec.kind, **dataclass_json.to_json(spec)}


def from_json(value: Mapping[str, Any]) -> NetworkSpec:
    """Turn what `to_json` wrote back into the equal spec.

    Raises:
        UsageError: an unknown kind, or a field that is missing, unknown or of another type.
    """
    fields = dict(value)
    kind = str(fields.pop("kind", None))
    if kind not in _KINDS:
        raise unknown("spec kind", kind, _KINDS)
    return dataclass_json.from_json(_KINDS[kind], fields, kind)
