"""Print the script that completes reslab's commands, flags and values in bash, zsh or fish.

The names of networks, recipes, data sets and studies are in the script, so that completing starts
no Python. Print it again after an update.

examples:
  eval "$(reslab completion bash)"          in ~/.bashrc
  eval "$(reslab completion zsh)"           in ~/.zshrc
  reslab completion fish | source           in ~/.config/fish/config.fish
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from reslab.cli.arguments import Arguments, Parser, is_switch

SHELLS = ("bash", "zsh", "fish")
Files = Literal["", "files", "folders"]
# Whose value is a name of ours, by the name that the parsers keep it under.
NAMES_OF = {
    "model": "networks",
    "models": "networks",
    "network": "networks",
    "networks": "networks",
    "as_name": "networks",
    "pattern": "networks",
    "recipe": "recipes",
    "data": "data",
    "name": "studies",
    "to": "programs",
    "device": "devices",
}
FILE_WORDS = ("FILE", "PATH", "PATHS", "RUN", "MODEL", "OUT")
DEVICES = ("auto", "cpu", "cuda", "mps")
# `reslab.weights.LAYOUTS`, whose module needs torch; a test holds them together.
PROGRAMS = (
    "torchvision", "timm", "cadene", "cifar-models", "akamaster", "kuangliu", "fb.resnet.torch",
    "keras", "transformers",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Value:
    """What may stand for a value.

    Args:
        label: what it is called, e.g. "NETWORK".
        words: names to choose from.
        files: whether files or folders may stand there too.
    """

    label: str
    words: tuple[str, ...] = ()
    files: Files = ""


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag.

    Args:
        names: "--out" and "-o", the long name first.
        help: what it does.
        value: what follows it; None for a switch.
    """

    names: tuple[str, ...]
    help: str
    value: Value | None


@dataclasses.dataclass(frozen=True)
class Command:
    """A command, e.g. `train` or `weights import`.

    Args:
        words: "train", or "weights" and "import".
        help: what it does.
        flags: its flags.
        positionals: what stands between the flags, in order.
        repeats: whether the last of them may stand any number of times.
    """

    words: tuple[str, ...]
    help: str
    flags: tuple[Flag, ...]
    positionals: tuple[Value, ...]
    repeats: bool


def add_arguments(parser: Arguments) -> None:
    """Declare the arguments of `reslab completion`."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    from reslab.cli import completion_scripts as scripts

    write = {"bash": scripts.bash, "zsh": scripts.zsh, "fish": scripts.fish}[args.shell]
    print(write(commands(), groups()), end="")
    return 0


def groups() -> dict[str, str]:
    """Return the commands that have commands of their own, with their help."""
    from reslab.cli.main import VERBS, actions_of

    return {verb: text for verb, text in VERBS.items() if actions_of(verb)}


def commands() -> list[Command]:
    """Read every command from its parser."""
    from reslab.cli.main import VERBS, actions_of, build_parser, build_parsers

    names = known_names()
    found = []
    for verb, text in VERBS.items():
        parsers = build_parsers(verb)
        for name, parser in parsers.items():
            found.append(_command((verb, name), actions_of(verb)[name].help, parser, names))
        if not parsers:
            found.append(_command((verb,), text, build_parser(verb), names))
    return found


def known_names() -> dict[str, tuple[str, ...]]:
    """Return the names that users write, by what they name; no torch is imported for them."""
    from reslab import networks, studies
    from reslab.data.open import NAMES
    from reslab.training.recipes import RECIPES

    return {
        "networks": ("auto", *networks.list_models()),
        "recipes": ("auto", *RECIPES.names()),
        "data": tuple(NAMES),
        "studies": tuple(studies.SHIPPED),
        "programs": PROGRAMS,
        "devices": DEVICES,
    }


def _command(
    words: tuple[str, ...],
    text: str,
    parser: Parser,
    names: Mapping[str, tuple[str, ...]],
) -> Command:
    flags, positionals, repeats = [], [], False
    actions = parser.arguments.actions
    last = [action for action in actions if not action.option_strings][-1:]
    for action in actions:
        if action.option_strings:
            flags.append(_flag(action, names))
        else:
            positionals.append(_value(action, names))
            repeats = action.nargs in ("+", "*")
            if repeats and action not in last:
                # `eval MODEL... DATA`: any place may hold either.
                positionals[-1] = dataclasses.replace(positionals[-1], files="files")
    return Command(words, text, tuple(flags), tuple(positionals), repeats)


def _flag(action: argparse.Action, names: Mapping[str, tuple[str, ...]]) -> Flag:
    options = sorted(action.option_strings, key=lambda option: not option.startswith("--"))
    return Flag(
        names=tuple(options),
        help=_plain(action),
        value=None if is_switch(action) else _value(action, names),
    )


def _value(action: argparse.Action, names: Mapping[str, tuple[str, ...]]) -> Value:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices is not None:
        return Value(metavar, tuple(str(choice) for choice in action.choices))
    key = NAMES_OF.get(action.dest, "")
    if metavar == "PROGRAM":
        key = "programs"
    if action.metavar == "MODEL" or (key == "studies" and metavar != "NAME"):
        key = ""
    words = names.get(key, ())
    if action.dest in ("network", "networks", "pattern", "as_name"):
        words = words[1:]  # "auto" is a choice of `train` and `plan`
    files: Files = ""
    if metavar == "DIR":
        files = "folders"
    elif key in ("data", "studies") or action.type is Path or (not words and metavar in FILE_WORDS):
        files = "files"
    return Value(metavar, words, files)


def _plain(action: argparse.Action) -> str:
    if not action.help or action.help == argparse.SUPPRESS:
        return ""
    choices = ", ".join(map(str, action.choices or ()))
    return action.help.replace("%(choices)s", choices).replace("%%", "%")
