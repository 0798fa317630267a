"""What settings used to be called: the one table by which older names are still read.

A name on the left works wherever the one on the right does: as a flag of the command line (with
dashes), as RESLAB_<NAME> in the environment, in a file of flags, in the config.json of an older
run, and as a keyword in Python. It is shown nowhere.
"""

from __future__ import annotations

import contextlib
import functools
import operator
from collections.abc import Mapping
from typing import Any, TypeVar

from reslab.errors import UsageError

OLD_NAMES = {
    # Fields of a recipe.
    "opt": "optimizer",
    "sched": "schedule",
    "smoothing": "label_smoothing",
    "clip": "clip_grad_norm",
    "zero_last_scale": "zero_init_residual",
    "normalisation": "normalization",
    "early_size": "progressive_size",
    "early_share": "progressive_share",
    "val": "val_fraction",
    # Fields of its random views.
    "jitter": "color_jitter",
    "pca_colour": "pca_color",
    "erase": "random_erasing",
    # Fields of a request.
    "test": "test_fraction",
    "skip_bad": "skip_corrupt",
    # Flags of single commands: eval, predict, look, plan, shapes, weights push.
    "views": "tta",
    "measure": "benchmark",
    "against": "compare_to",
    "fresh": "no_cache",
    "grey": "grayscale",
    "licence": "license",
}

Class = TypeVar("Class")


def old_names_of(name: str) -> tuple[str, ...]:
    """Return what a setting was called before, e.g. "smoothing" for "label_smoothing"."""
    return tuple(old for old, new in OLD_NAMES.items() if new == name)


def current_names(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values under the names that are used now, in their order.

    Raises:
        UsageError: a value is given under both names, and differs.
    """
    found: dict[str, Any] = {}
    given: dict[str, str] = {}
    for name, value in values.items():
        new = OLD_NAMES.get(name, name)
        if new in found and found[new] != value:
            both = f"{given[new]} is {found[new]!r} and {name} is {value!r}"
            raise UsageError(f"{both}, which are two names of one setting")
        found[new], given[new] = value, name
    return found


def current_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config.json holds, with the settings of an older run under today's names.

    Args:
        config: the JSON object; parts that are missing or damaged stay as they are.
    """
    found = dict(config)
    for part, nested in (("recipe", "augment"), ("request", "overrides")):
        with contextlib.suppress(UsageError):  # two names of one setting: damaged
            if isinstance(value := found.get(part), Mapping):
                fields = current_names(value)
                if isinstance(inner := fields.get(nested), Mapping):
                    fields[nested] = current_names(inner)
                found[part] = fields
    return found


def former_flags() -> dict[str, str]:
    """Return the flags that were, with the flags that are: "--clip" -> "--clip-grad-norm"."""
    pairs = [(old.replace("_", "-"), new.replace("_", "-")) for old, new in OLD_NAMES.items()]
    flags = {f"--{old}": f"--{new}" for old, new in pairs}
    return flags | {f"--no-{old}": f"--no-{new}" for old, new in pairs}


def accept_old_names(cls: type[Class]) -> type[Class]:
    """Let a dataclass take its fields under their older names, and read them by those."""
    init = cls.__init__
    # Not by `dataclasses`, whose `copy` may be a file of the working folder (see `import_path`).
    fields = set(cls.__dataclass_fields__)  # type: ignore[attr-defined]

    @functools.wraps(init)
    def renamed(self: Class, *args: Any, **values: Any) -> None:
        if fields <= values.keys():  # dataclasses.replace: what was, and what is to change
            for old in [name for name in values if name not in fields and name in OLD_NAMES]:
                values[OLD_NAMES[old]] = values.pop(old)
        init(self, *args, **current_names(values))

    cls.__init__ = renamed  # type: ignore[assignment]
    for old, new in OLD_NAMES.items():
        if new in fields:
            setattr(cls, old, property(operator.attrgetter(new)))
    return cls
