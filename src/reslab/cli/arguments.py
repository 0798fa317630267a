"""What a command takes: declared on argparse's parser, and listed for readers."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from reslab.aliases import former_flags, old_names_of
from reslab.errors import UsageError, nearest


class _Container(Protocol):
    """A parser of argparse, or a group of one."""

    def add_argument(self, *names: str, **options: Any) -> argparse.Action: ...


class Arguments:
    """The arguments of a command, or of a group of them.

    A flag that had another name before (`reslab.aliases`) is accepted under that as well; help,
    `actions` and hence completion do not mention it.

    Args:
        parser: where they are declared.
        group: the part of the parser that they belong to; None for no group.
    """

    def __init__(self, parser: argparse.ArgumentParser, group: _Container | None = None) -> None:
        self._parser = parser
        self._container: _Container = group or parser
        self.actions: list[argparse.Action] = []
        self.hidden: list[argparse.Action] = []

    @classmethod
    def of(cls, add_arguments: Callable[[Arguments], None]) -> Arguments:
        """Return what a command declares, without a command line to parse."""
        arguments = cls(argparse.ArgumentParser(add_help=False))
        add_arguments(arguments)
        return arguments

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """Declare an argument, as `argparse.ArgumentParser.add_argument` does."""
        action = self._container.add_argument(*names, **options)
        self.actions.append(action)
        long = [name[2:].replace("-", "_") for name in names if name.startswith("--")]
        old = [f"--{old.replace('_', '-')}" for name in long for old in old_names_of(name)]
        if old:
            same = {"dest": action.dest, "help": argparse.SUPPRESS, "default": argparse.SUPPRESS}
            self.hidden.append(self._container.add_argument(*old, **{**options, **same}))
        return action

    def add_argument_group(self, title: str) -> Arguments:
        """Return arguments that help shows under a heading."""
        return self._part(self._parser.add_argument_group(title))

    def add_mutually_exclusive_group(self) -> Arguments:
        """Return arguments of which one at most may be given."""
        return self._part(self._parser.add_mutually_exclusive_group())

    def _part(self, group: _Container) -> Arguments:
        part = Arguments(self._parser, group)
        part.actions, part.hidden = self.actions, self.hidden
        return part

    def options(self) -> dict[str, argparse.Action]:
        """Return every flag as it is written, "-o" and "--no-flip" for example, and older ones."""
        return {
            option: action
            for action in (*self.actions, *self.hidden)
            for option in action.option_strings
        }

    def names(self) -> dict[str, argparse.Action]:
        """Return every long flag without its dashes, older ones last; none that switches off."""
        return {
            option[2:]: action
            for option, action in self.options().items()
            if option.startswith("--")
            and not (isinstance(action, argparse.BooleanOptionalAction) and _is_off(option, action))
        }

    def takes_value(self, option: str) -> bool:
        """Tell whether a word follows a flag."""
        action = self.options().get(option)
        return action is not None and not is_switch(action)


def is_switch(action: argparse.Action) -> bool:
    """Tell whether a flag stands alone."""
    return action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction)


def _is_off(option: str, action: argparse.Action) -> bool:
    return option.startswith("--no-") and f"--{option[5:]}" in action.option_strings


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line with the nearest spelling."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            **options,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.arguments = Arguments(self)
        self.arguments.add_argument(
            "-h", "--help", action="help", help="show this help message and exit"
        )

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the usage."""
        raise UsageError(message, remedy=f"see '{self.prog} --help'")

    def check_flags(self, words: Sequence[str]) -> None:
        """Refuse a flag that does not exist, proposing the nearest one that does."""
        known = self.arguments.options()
        for word in words:
            if word == "--":
                return
            flag = word.split("=", 1)[0]
            if flag.startswith("--") and flag not in known:
                former = {old: new for old, new in former_flags().items() if old in known}
                hint = nearest(flag, known, former) or f"see '{self.prog} --help'"
                raise UsageError(f"{self.prog}: unknown flag '{flag}'", remedy=hint)
