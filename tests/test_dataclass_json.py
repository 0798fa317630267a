"""One way of dataclasses through JSON: what comes back, and what each refusal says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest

from reslab.dataclass_json import check_literals, fit, from_json, to_json
from reslab.errors import UsageError

Size = Literal["small", "large"]


@dataclasses.dataclass(frozen=True)
class Inner:
    width: int
    scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class Own:
    text: str

    def to_json(self) -> dict[str, Any]:
        return {"said": self.text}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Own:
        return cls(value["said"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outer:
    kind: ClassVar[str] = "outer"

    name: str
    size: Size = "small"
    kernel: Literal[5, 3] = 5
    inner: tuple[Inner, ...] = ()
    pair: tuple[float, float] | None = None
    flag: bool = False
    place: Path | None = None
    row: Mapping[str, float | int | None] = dataclasses.field(default_factory=dict)
    own: Own = Own("x")
    pairs: list[tuple[float, float]] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        check_literals(self)


FULL = Outer(
    name="a",
    size="large",
    kernel=3,
    inner=(Inner(1), Inner(2, 0.1)),
    pair=(0.1, 1 / 3),
    flag=True,
    place=Path("a/b"),
    row={"step": 3, "loss": 0.25, "val": None},
    own=Own("y"),
    pairs=[(1.0, 2.0)],
)


def test_a_value_comes_back_equal_with_its_types():
    text = json.dumps(to_json(FULL))
    assert list(json.loads(text)) == [field.name for field in dataclasses.fields(Outer)]
    again = from_json(Outer, json.loads(text))
    assert again == FULL
    assert type(again.row["step"]) is int
    assert type(again.pairs[0]) is tuple
    assert from_json(Outer, {"name": "b"}) == Outer(name="b")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([], r"^thing must be an object with fields, received \[\]$"),
        ({}, r"^thing\.name is missing$"),
        ({"name": 3}, r"^thing\.name must be text, received 3$"),
        ({"name": "a", "flga": True}, r"unknown field of thing 'flga' .*did you mean 'flag'"),
        ({"name": "a", "size": "smal"}, r"^unknown thing\.size 'smal' .*did you mean 'small'"),
        ({"name": "a", "size": None}, r"thing\.size must be one of small, large, received None"),
        ({"name": "a", "kernel": 4}, r"unknown thing\.kernel '4' \(known: 3, 5\)"),
        ({"name": "a", "inner": [{"width": 1}, {"width": 1.5}]},
         r"^thing\.inner\[1\]\.width must be a whole number, received 1\.5$"),
        ({"name": "a", "inner": [{"width": True}]}, r"inner\[0\]\.width must be a whole number"),
        ({"name": "a", "inner": {"width": 1}}, r"thing\.inner must be values, received \{"),
        ({"name": "a", "pair": [1]}, r"^thing\.pair must be two numbers, received \[1\]$"),
        ({"name": "a", "flag": 1}, r"^thing\.flag must be True or False, received 1$"),
        ({"name": "a", "row": {"loss": "x"}}, r"thing\.row\.loss must be a number or a whole"),
    ],
)  # fmt: skip
def test_a_refusal_names_the_field_what_was_received_and_what_is_allowed(value, said):
    with pytest.raises(UsageError, match=said):
        from_json(Outer, value, "thing")


def test_one_value_is_fitted_to_an_annotation():
    assert fit(tuple[float, ...], np.array([0.25, 0.5], np.float32), "milestones") == (0.25, 0.5)
    assert type(fit(int, np.int64(3), "n")) is int
    assert type(fit(float, 3, "n")) is float
    assert fit(float | None, None, "n") is None
    with pytest.raises(UsageError, match=r"milestones must be numbers, received '0\.5'"):
        fit(tuple[float, ...], "0.5", "milestones")


def test_a_constructor_refuses_what_its_literals_lack():
    with pytest.raises(UsageError, match=r"unknown size 'huge' \(known: large, small\)"):
        Outer(name="a", size="huge")  # type: ignore[arg-type]
