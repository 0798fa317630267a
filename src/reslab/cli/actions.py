"""Commands of a command: `reslab weights import`, `reslab study run`, each with its own parser."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from reslab.cli.arguments import Arguments, Parser
from reslab.errors import UsageError, nearest


class Action(NamedTuple):
    """One command of a group.

    Args:
        help: what it does, a short phrase.
        add_arguments: declares its arguments.
        run: does it; returns the exit code.
        details: more of its help, with examples; may be empty.
    """

    help: str
    add_arguments: Callable[[Arguments], None]
    run: Callable[[argparse.Namespace], int]
    details: str = ""


def listing(verb: str, actions: Mapping[str, Action]) -> str:
    """Return the part of a group's help that lists its commands."""
    width = max(map(len, actions))
    lines = "\n".join(f"  {name:<{width}}  {action.help}" for name, action in actions.items())
    return f"commands:\n{lines}\n\n'reslab {verb} COMMAND --help' lists the options of a command."


def action_first(verb: str, words: Sequence[str], parsers: Mapping[str, Parser]) -> list[str]:
    """Return the words with the name of the action in front, wherever it stood among flags.

    Raises:
        UsageError: there is no such action, or none is named.
    """
    place = 0
    while place < len(words) and words[place].startswith("-") and words[place] != "--":
        word = words[place]
        place += 2 if any(parser.arguments.takes_value(word) for parser in parsers.values()) else 1
    named = words[place] if place < len(words) else ""
    if named not in parsers:
        known = ", ".join(parsers)
        problem = f"unknown command 'reslab {verb} {named}'" if named else "no command named"
        hint = nearest(named, parsers) or f"see 'reslab {verb} --help'"
        raise UsageError(f"{problem} (known: {known})", remedy=hint)
    return [named, *words[:place], *words[place + 1 :]]


def refuse_flags_of_others(
    verb: str, name: str, words: Sequence[str], parsers: Mapping[str, Parser]
) -> None:
    """Refuse a flag that only other actions of the group have, saying which.

    Raises:
        UsageError: there is such a flag.
    """
    options = {key: parser.arguments.options() for key, parser in parsers.items()}
    for word in words:
        if word == "--":
            return
        flag = word.split("=", 1)[0]
        owners = [key for key in parsers if flag in options[key]]
        if flag.startswith("--") and owners and name not in owners:
            whose = f"reslab {verb} {' and '.join(owners)}"
            remedy = f"see 'reslab {verb} {name} --help'"
            raise UsageError(f"{flag} belongs to {whose}, not {name}", remedy=remedy)
