"""Name -> value, with duplicates refused and near misses explained."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator
from typing import Generic, TypeVar

from reslab.errors import unknown

T = TypeVar("T")


class Registry(Generic[T]):
    """A dictionary for things that users call by name.

    Args:
        what: what the values are, for messages ("network", "recipe").
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._values: dict[str, T] = {}

    def register(self, name: str, value: T) -> T:
        """Add a value under a new name; a name taken twice is a mistake in the code."""
        assert name not in self._values, f"{self.what} '{name}' is registered twice"
        self._values[name] = value
        return value

    def replace(self, name: str, value: T) -> T:
        """Add a value under a name, in place of the one that has it."""
        self._values[name] = value
        return value

    def __getitem__(self, name: str) -> T:
        """Return the value, or raise UsageError naming the nearest known name."""
        if name not in self._values:
            raise unknown(self.what, name, self._values)
        return self._values[name]

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def names(self, pattern: str = "*") -> list[str]:
        """List the names that match a shell pattern, in the order of registration."""
        return [name for name in self._values if fnmatch.fnmatchcase(name, pattern)]
