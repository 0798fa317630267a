"""Values from flags, environment and a configuration file, in that order of precedence."""

from __future__ import annotations

import argparse
import functools
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.aliases import current_names, former_flags
from reslab.cli.arguments import Arguments, is_switch
from reslab.errors import UsageError, unknown

if TYPE_CHECKING:
    from reslab.data.collect import DataOptions

PREFIX = "RESLAB_"
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def at_least(least: int) -> Callable[[str], int]:
    """Return what turns ``3`` into a whole number, and refuses one that is too small."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from error
        if number < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more, received {number}")
        return number

    return parse


def parse_duration(text: str) -> float:
    """Turn ``90``, ``90s``, ``10m`` or ``1.5h`` into seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"'{text}' is no duration (write 90s, 10m or 1.5h)")
    return float(match[1]) * _UNITS[match[2]]


def parse_pair(text: str) -> tuple[float, float]:
    """Turn ``0.5,1`` into two numbers."""
    values = parse_numbers(text)
    if len(values) != 2:
        raise argparse.ArgumentTypeError(f"'{text}' is not two numbers (write 0.5,1)")
    return values[0], values[1]


def parse_numbers(text: str) -> tuple[float, ...]:
    """Turn ``0.5,0.75`` into numbers."""
    try:
        return tuple(float(part) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no list of numbers") from error


def parse_columns(text: str) -> tuple[str, ...]:
    """Turn ``path=file,label=breed`` into ``role=header`` pairs; a header may hold commas."""
    from reslab.data.collect import ROLES

    parts = re.split(rf",(?=\s*(?:{'|'.join(ROLES)})\s*=)", text)
    pairs = []
    for part in parts:
        role, equals, header = (word.strip() for word in part.partition("="))
        if not equals or not header or role not in ROLES:
            raise argparse.ArgumentTypeError(
                f"'{part}' is no role=header (write path=file,label=breed; roles: "
                f"{', '.join(ROLES)})"
            )
        pairs.append(f"{role}={header}")
    if len({pair.partition("=")[0] for pair in pairs}) < len(pairs):
        raise argparse.ArgumentTypeError(f"'{text}' names a role twice")
    return tuple(pairs)


def add_data_arguments(parser: Arguments) -> None:
    """Add the flags that say how data are to be read; `data_options_of` reads them."""
    parser.add_argument(
        "--columns",
        type=parse_columns,
        metavar="ROLE=HEADER,...",
        help="columns of a table, as path=file,label=breed,split=is_valid,group=patient; "
        "none for a role that no column plays",
    )
    parser.add_argument("--root", metavar="DIR", help="folder that paths in a table start from")
    parser.add_argument(
        "--label-from-name",
        metavar="REGEX",
        help="the label is the first group (or the one named label) of this expression in an "
        "image's path below DATA; a group named split is the split",
    )
    parser.add_argument(
        "--merge-similar-classes",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="make one class of names that differ by case, Unicode form or spaces, or keep them "
        "apart (default: refuse them)",
    )


def data_options_of(args: argparse.Namespace) -> DataOptions | None:
    """Return how data are to be read, or None where no flag says it."""
    from reslab.data.collect import DataOptions

    pairs = [pair.partition("=") for pair in args.columns or ()]
    options = DataOptions(
        columns={role: header for role, _, header in pairs},
        root=args.root,
        label_from_name=args.label_from_name,
        merge_similar_classes=args.merge_similar_classes,
    )
    return options if options.changed() else None


def fill_from_environment(arguments: Arguments, args: argparse.Namespace) -> None:
    """Give flags that were not written the value of RESLAB_<FLAG>, then of --config's file.

    Names are those of the flags: ``--batch-size`` is RESLAB_BATCH_SIZE and ``batch-size = 64``
    (or ``batch_size``). A flag that was not written is None in `args`.

    Raises:
        UsageError: the file cannot be read, or a name or value in it fits no flag.
    """
    actions = arguments.names()
    # RESLAB_DATA is where data sets are kept, not which one is meant.
    for name in ("help", "config", "debug", "resume", "data"):
        actions.pop(name, None)
    written = {}
    for name, action in actions.items():
        variable = PREFIX + name.replace("-", "_").upper()
        value = os.environ.get(variable, "").strip()  # one that is empty is not set
        if value:
            written[name.replace("-", "_")] = value
            if getattr(args, action.dest) is None:
                setattr(args, action.dest, _convert(action, value, variable))
    current_names(written)  # refuses a setting with two values under two names
    if args.config is None:
        return
    in_file = _read_toml(args.config)
    current_names({key.replace("-", "_"): value for key, value in in_file.items()})
    for key, value in in_file.items():
        name = key.replace("_", "-")
        if name not in actions:
            former = {old[2:]: new[2:] for old, new in former_flags().items() if old[2:] in actions}
            raise unknown(f"setting in {args.config}", key, actions, former)
        if getattr(args, actions[name].dest) is None:
            where = f"{key} in {args.config}"
            setattr(args, actions[name].dest, _convert(actions[name], value, where))


def _read_toml(path: Path) -> Mapping[str, Any]:
    try:
        with open(path, "rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    except UnicodeDecodeError as error:
        remedy = "save the file as UTF-8"
        raise UsageError(f"{path} is not UTF-8 (byte {error.start})", remedy=remedy) from error


def _number(kind: Callable[[str], float], text: str) -> float:
    try:
        return kind(text)
    except ValueError as error:
        what = "whole number" if kind is int else "number"
        raise argparse.ArgumentTypeError(f"'{text}' is no {what}") from error


def _convert(action: argparse.Action, value: Any, where: str) -> Any:
    """Apply a flag's own type and choices to a value from elsewhere."""
    if is_switch(action):
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("1", "true", "yes", "on"):
            return True
        if str(value).lower() in ("0", "false", "no", "off"):
            return False
        raise UsageError(f"{where}: expected true or false, received {value!r}")
    if isinstance(value, list):
        value = ",".join(str(item) for item in value)
    convert: Callable[[str], Any] = action.type if callable(action.type) else str
    if convert in (int, float):
        convert = functools.partial(_number, convert)
    try:
        converted = convert(str(value))
    except (ValueError, argparse.ArgumentTypeError) as error:
        raise UsageError(f"{where}: {error}") from error
    if action.choices is not None and converted not in action.choices:
        raise unknown(where, str(value), [str(choice) for choice in action.choices])
    return converted
