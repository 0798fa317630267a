"""Settings declared once: a field of a dataclass says what it means and which values it takes.

    lr: float = setting(0.1, "peak learning rate", POSITIVE, group="optimizer", metavar="RATE")

The flag `--lr`, its help and group, the table of docs/recipes.md, the checks and the sentence of a
report follow from such a line; the type decides how text is read.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, TypeVar, get_args

from reslab import dataclass_json
from reslab.errors import UsageError, unknown

T = TypeVar("T")
_KEY = "setting"


class Check(typing.NamedTuple):
    """A condition on a value.

    Args:
        allowed: the values that hold, in words: "lr must be <allowed>".
        holds: tells whether a value does; not asked about None.
    """

    allowed: str
    holds: Callable[[Any], bool]


FINITE = Check("finite", lambda value: value < math.inf)
POSITIVE = Check("more than 0 and finite", lambda value: 0 < value < math.inf)
NOT_NEGATIVE = Check("0 or more and finite", lambda value: 0 <= value < math.inf)
PROBABILITY = Check("in [0, 1]", lambda value: 0 <= value <= 1)
SHARE = Check("in [0, 1)", lambda value: 0 <= value < 1)
FACTOR = Check("in (0, 1]", lambda value: 0 < value <= 1)


def at_least(least: int) -> Check:
    """Return the condition of being so much or more."""
    return Check(f"{least} or more", lambda value: value >= least)


def at_most(most: int) -> Check:
    """Return the condition of being so much or less, for slips of the finger."""
    return Check(f"{most:,} or less", lambda value: value <= most)


def setting(
    default: T, help: str, *checks: Check, group: str, metavar: str = "", phrase: str = ""
) -> T:
    """Declare a setting: the default of a dataclass's field.

    Args:
        default: what holds where nobody says anything.
        help: what it does, a short phrase: `--help` and the documentation have it.
        checks: what its values must be.
        group: the heading under which help and documentation list it.
        metavar: what stands for its value in help and documentation.
        phrase: how a report says that it is switched on; the value is put in its braces.
    """
    about = {"help": help, "checks": checks, "group": group, "metavar": metavar, "phrase": phrase}
    return dataclasses.field(default=default, metadata={_KEY: about})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """A declared setting, as `setting` was told, with the field's name and type."""

    name: str
    type: Any
    default: Any
    help: str
    checks: tuple[Check, ...]
    group: str
    metavar: str
    phrase: str

    @property
    def flag(self) -> str:
        """The flag that sets it."""
        return "--" + self.name.replace("_", "-")

    @property
    def kind(self) -> Any:
        """The type of its value where that is not None."""
        optional = typing.get_origin(self.type) in (types.UnionType, typing.Union)
        return get_args(self.type)[0] if optional else self.type

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that it takes; none where it takes something else."""
        return get_args(self.kind) if typing.get_origin(self.kind) is Literal else ()

    def check(self, value: Any) -> None:
        """Refuse a value that the setting does not take.

        Raises:
            UsageError: says what was received and what is allowed.
        """
        if self.choices and value not in self.choices:
            raise unknown(self.name, str(value), self.choices)
        for check in self.checks:
            need(value is None or check.holds(value), self.name, value, check.allowed)

    def fitting(self, value: Any) -> Any:
        """Return a value as the field holds it: lists as tuples, numbers of numpy as Python's.

        Raises:
            UsageError: it is of another type.
        """
        return dataclass_json.fit(self.type, value, self.name)


@functools.cache
def settings_of(cls: type) -> tuple[Setting, ...]:
    """Return what a dataclass declares, in order; settings of a field that is one, in its place."""
    hints, found = typing.get_type_hints(cls), list[Setting]()
    for field in dataclasses.fields(cls):
        if _KEY in field.metadata:
            about = field.metadata[_KEY]
            type_ = hints[field.name]
            found.append(Setting(name=field.name, type=type_, default=field.default, **about))
        elif dataclasses.is_dataclass(hints[field.name]):
            found += settings_of(hints[field.name])
    return tuple(found)


def grouped(cls: type) -> dict[str, list[Setting]]:
    """Return the settings of a dataclass by the heading of their group, in order."""
    groups: dict[str, list[Setting]] = {}
    for each in settings_of(cls):
        groups.setdefault(each.group, []).append(each)
    return groups


def check_settings(instance: Any) -> None:
    """Check every declared setting of a dataclass: for its `__post_init__`.

    Raises:
        UsageError: names the first that is wrong, with what is allowed.
    """
    own = {field.name for field in dataclasses.fields(instance)}
    for each in settings_of(instance.__class__):
        if each.name in own:
            each.check(getattr(instance, each.name))


def need(condition: bool, name: str, value: object, allowed: str) -> None:
    """Refuse a value unless a condition holds.

    Raises:
        UsageError: "<name> must be <allowed>, received <value>".
    """
    if not condition:
        raise UsageError(f"{name} must be {allowed}, received {value}")
