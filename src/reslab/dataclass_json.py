"""Frozen dataclasses to JSON values and back, checked by their type annotations.

What a field may hold is written once, in its annotation: `from_json` holds files against it,
`fit` one value that a user gives, and `check_literals` what a constructor receives. Values are
str, bool, int, float, None, `Literal`, `Path`, tuples, lists, mappings, unions and dataclasses.
A nested class that has `to_json` and `from_json` of its own is asked itself.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from reslab.errors import UsageError, unknown

T = TypeVar("T")
_WORDS: dict[Any, tuple[str, str]] = {
    bool: ("True or False", "True or False"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("text", "texts"),
    Path: ("a path", "paths"),
}
_LONGEST = 120
_COUNTS = {1: "one", 2: "two", 3: "three", 4: "four"}


def to_json(value: Any) -> dict[str, Any]:
    """Return the fields of a dataclass as JSON values, in their order; tuples become lists.

    Floats survive the round trip bit for bit.
    """
    return {field.name: _plain(getattr(value, field.name)) for field in _fields(type(value))}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        own = getattr(value, "to_json", None)
        return to_json(value) if own is None else own()
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def from_json(cls: type[T], value: Any, where: str = "") -> T:
    """Rebuild the dataclass whose fields `to_json` returned; a field left out has its default.

    Args:
        cls: the dataclass.
        value: JSON values.
        where: what the error calls the value; the path of the field follows, "recipe.lr".

    Raises:
        UsageError: a field that is missing, unknown or of another type: its path, what was
            received and what is allowed.
    """
    where = where or cls.__name__
    if not isinstance(value, Mapping):
        raise _must_be(where, "an object with fields", value)
    known = {field.name: field for field in _fields(cls)}
    for name in value:
        if name not in known:
            raise unknown(f"field of {where}", str(name), known)
    for name, field in known.items():
        nothing = (dataclasses.MISSING, dataclasses.MISSING)
        if name not in value and (field.default, field.default_factory) == nothing:
            raise UsageError(f"{where}.{name} is missing")
    hints = _hints(cls)
    return cls(**{name: fit(hints[name], item, f"{where}.{name}") for name, item in value.items()})


def fit(hint: Any, value: Any, where: str) -> Any:
    """Return a value as a field of that annotation holds it.

    Lists become tuples where the annotation says so, whole numbers floats, and numbers of numpy
    those of Python.

    Args:
        hint: the annotation, resolved (`typing.get_type_hints`).
        value: what was received.
        where: what the error calls it.

    Raises:
        UsageError: it is of another type, or none of the values of a `Literal`.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if hint is Any:
        return value
    if origin is Literal:
        return _fit_literal(hint, value, where)
    if origin in (types.UnionType, typing.Union):
        return _fit_union(hint, value, where)
    if origin in (tuple, list):
        return _fit_sequence(hint, value, where)
    if origin is not None and issubclass(origin, Sequence):
        return _fit_sequence(types.GenericAlias(list, inner), value, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise _must_be(where, _described(hint), value)
        return {name: fit(inner[1], item, f"{where}.{name}") for name, item in value.items()}
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        if isinstance(value, hint):
            return value
        own = getattr(hint, "from_json", None)
        return from_json(hint, value, where) if own is None else own(value)
    return _fit_plain(hint, value, where)


def _fit_plain(hint: Any, value: Any, where: str) -> Any:
    if isinstance(value, numbers.Number) and hasattr(value, "item"):
        value = value.item()
    whole = isinstance(value, int) and not isinstance(value, bool)
    fits = {
        bool: isinstance(value, bool),
        int: whole,
        float: whole or isinstance(value, float),
        str: isinstance(value, str),
        Path: isinstance(value, str | Path),
    }
    assert hint in fits, f"{where}: no way through JSON for {hint}"
    if not fits[hint]:
        raise _must_be(where, _described(hint), value)
    return hint(value) if hint in (float, Path) else value


def _fit_literal(hint: Any, value: Any, where: str) -> Any:
    allowed = get_args(hint)
    # By type too: 1 == True, and an array compares with everything.
    if type(value) in {type(one) for one in allowed}:
        if value in allowed:
            return value
        raise unknown(where, str(value), [str(one) for one in allowed])
    raise _must_be(where, _described(hint), value)


def _fit_union(hint: Any, value: Any, where: str) -> Any:
    options = [one for one in get_args(hint) if one is not type(None)]
    if value is None and type(None) in get_args(hint):
        return None
    if len(options) == 1:
        return fit(options[0], value, where)
    if type(value) in options:  # else 3 would become 3.0 in float | int
        return value
    for one in options:
        try:
            return fit(one, value, where)
        except UsageError:
            continue
    raise _must_be(where, _described(hint), value)


def _fit_sequence(hint: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    items = list(value) if several else []
    any_length = origin is list or Ellipsis in inner
    if not several or not (any_length or len(items) == len(inner)):
        raise _must_be(where, _described(hint), value)
    hints = [inner[0]] * len(items) if any_length else inner
    return origin(
        fit(one, item, f"{where}[{number}]")
        for number, (one, item) in enumerate(zip(hints, items, strict=True))
    )


def check_literals(value: Any) -> None:
    """Refuse a dataclass with a field of a `Literal` type that holds another value.

    For a `__post_init__`; the other types are the type checker's business.

    Raises:
        UsageError: names the field, what was received and what is allowed.
    """
    for name, hint in _hints(type(value)).items():
        if get_origin(hint) is Literal and (held := getattr(value, name)) not in get_args(hint):
            raise unknown(name, str(held), [str(one) for one in get_args(hint)])


def _must_be(where: str, allowed: str, value: object) -> UsageError:
    received = repr(value)
    if len(received) > _LONGEST:
        received = f"{received[:_LONGEST]}..."
    return UsageError(f"{where} must be {allowed}, received {received}")


def _described(hint: Any) -> str:
    """Say in words what an annotation allows: "two numbers", "one of sgd, adamw"."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(str(one) for one in inner)}"
    if origin in (types.UnionType, typing.Union):
        return " or ".join("null" if one is type(None) else _described(one) for one in inner)
    if origin in (tuple, list):
        many = _WORDS.get(inner[0], ("", "values"))[1]
        fixed = origin is tuple and Ellipsis not in inner
        return f"{_COUNTS.get(len(inner), len(inner))} {many}" if fixed else many
    if hint in _WORDS:
        return _WORDS[hint][0]
    return "an object with fields"


def _fields(cls: Any) -> tuple[dataclasses.Field[Any], ...]:
    return tuple(field for field in dataclasses.fields(cls) if field.init)


def _hints(cls: Any) -> dict[str, Any]:
    """Return field -> annotation; those of the class itself (ClassVar) apart."""
    return _resolved(cls)


@functools.cache
def _resolved(cls: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)  # evaluates strings: far too slow for every object
    return {field.name: hints[field.name] for field in _fields(cls)}
