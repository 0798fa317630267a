"""What a network is, as data: frozen, comparable, JSON in and out, no torch.

A specification says everything the assembler needs and nothing else. The common one,
`ResNetSpec`, describes the regular networks: a stem, stages of equal blocks, a linear head.
Irregular networks bring a specification of their own and register it with `spec_kind`.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal, TypeVar, get_args, get_origin

from reslab.errors import UsageError, unknown

Branch = Literal["basic", "bottleneck"]
ShortcutOption = Literal["none", "A", "B", "C"]
StrideOn = Literal["1x1", "3x3"]


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


@dataclasses.dataclass(frozen=True, kw_only=True)
class StemSpec:
    """The first convolution and what follows it.

    Args:
        width: output channels.
        kernel: side of the convolution.
        stride: its stride.
        max_pool: whether a 3x3 max pool of stride 2 (padding 1) follows.
    """

    width: int
    kernel: int
    stride: int
    max_pool: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSpec:
    """A run of equal blocks; the first one may subsample.

    Args:
        width: channels of the 3x3 convolutions (a bottleneck puts out four times as many).
        depth: number of blocks.
        stride: stride of the first block.
    """

    width: int
    depth: int
    stride: int


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


@spec_kind("resnet")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetSpec(NetworkSpec):
    """A plain or residual network as in He et al. 2015 (arXiv 1512.03385, section 3).

    Args:
        stem: the first layers.
        stages: the runs of blocks.
        branch: two 3x3 convolutions ("basic") or 1x1, 3x3, 1x1 ("bottleneck").
        shortcut: "none" for the plain network; "A" zero padding, "B" projection where
            dimensions change, "C" projection everywhere.
        stride_on: which convolution of a bottleneck subsamples: "1x1" as in the paper,
            "3x3" as in the later form known as v1.5. A basic block always uses its first.
    """

    stem: StemSpec
    stages: tuple[StageSpec, ...]
    branch: Branch = "basic"
    shortcut: ShortcutOption = "B"
    stride_on: StrideOn = "1x1"

    def __post_init__(self) -> None:
        super().__post_init__()
        for field, allowed in (
            ("branch", get_args(Branch)),
            ("shortcut", get_args(ShortcutOption)),
            ("stride_on", get_args(StrideOn)),
        ):
            if getattr(self, field) not in allowed:
                raise unknown(field, str(getattr(self, field)), allowed)
        if not self.stages:
            raise UsageError(f"network '{self.name}' has no stages")


def replace(spec: SpecT, **changes: Any) -> SpecT:
    """Return a copy of a spec with some fields changed."""
    return dataclasses.replace(spec, **changes)


def with_small_stem(spec: ResNetSpec, img_size: int | None = None) -> ResNetSpec:
    """Give a network the stem for small images: one 3x3 convolution of stride 1, no pool."""
    stem = StemSpec(width=spec.stem.width, kernel=3, stride=1, max_pool=False)
    return dataclasses.replace(spec, stem=stem, img_size=img_size or spec.img_size)


def to_json(spec: NetworkSpec) -> dict[str, Any]:
    """Turn a spec into plain JSON values, with its kind."""
    return {"kind": spec.kind, **dataclasses.asdict(spec)}


def from_json(value: Mapping[str, Any]) -> NetworkSpec:
    """Turn what `to_json` wrote back into the equal spec.

    Raises:
        UsageError: an unknown kind, or a field that is missing, unknown or of another type.
    """
    fields = dict(value)
    kind = fields.pop("kind", None)
    if kind not in _KINDS:
        raise unknown("spec kind", str(kind), _KINDS)
    return typing.cast(NetworkSpec, _build(_KINDS[kind], fields, kind))


def _build(cls: Any, value: Any, where: str) -> Any:
    """Rebuild a value of a type annotation from JSON values, refusing what does not fit."""
    origin = get_origin(cls)
    if dataclasses.is_dataclass(cls):
        hints = typing.get_type_hints(cls)
        known = {field.name: field for field in dataclasses.fields(cls)}
        if not isinstance(value, Mapping):
            raise UsageError(f"{where}: expected an object, received {value!r}")
        for name in value:
            if name not in known:
                raise unknown(f"field of {where}", name, known)
        for name, field in known.items():
            required = (
                field.default is dataclasses.MISSING
                and field.default_factory is dataclasses.MISSING
            )
            if required and name not in value:
                raise UsageError(f"{where}: field '{name}' is missing")
        return cls(**{k: _build(hints[k], v, f"{where}.{k}") for k, v in value.items()})  # type: ignore[operator]
    if origin is tuple:
        item = get_args(cls)[0]
        return tuple(_build(item, v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Literal:
        if value not in get_args(cls):
            raise unknown(where, str(value), [str(a) for a in get_args(cls)])
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in get_args(cls):
            return None
        return _build(next(a for a in get_args(cls) if a is not type(None)), value, where)
    if cls is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, cls) or (cls is int and isinstance(value, bool)):
        raise UsageError(f"{where}: expected {cls.__name__}, received {value!r}")
    return value
