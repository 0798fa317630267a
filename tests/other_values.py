"""For each setting of a recipe a value that is not its default, so that no test keeps a list."""

from __future__ import annotations

from typing import Any

from reslab.settings import Setting, settings_of
from reslab.training.recipe import Recipe

SETTINGS = {setting.name: setting for setting in settings_of(Recipe)}
# Settings that are refused alone, with one that makes sense of them.
COMPANIONS: dict[str, dict[str, Any]] = {
    "patience": {"monitor": "val_loss"},
    "progressive_size": {"progressive_share": 0.25},
    "progressive_share": {"progressive_size": 8},
    "warmup_until_error_pct": {"warmup_lr": 0.01},
}


def other_value(setting: Setting, than: Any = ...) -> Any:
    """Return a value that a setting takes, other than its default or than the one given."""
    than = setting.default if than is ... else than
    candidates: tuple[Any, ...] = {
        bool: (False, True),
        int: (3, 4, 5),
        float: (1 / 3, 1 / 7, 1 / 9),  # no binary fractions: a bit that is lost shows
        tuple[float, float]: ((0.3, 1 / 1.1), (0.2, 1 / 1.1)),
        tuple[float, ...]: ((0.1, 1 / 3), (0.2,)),
    }.get(setting.kind, setting.choices)
    value = next(value for value in candidates if value != than)
    setting.check(value)
    return value


def as_text(value: Any) -> str:
    """Write a value as a flag takes it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
