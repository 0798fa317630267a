"""The command `reslab`: finds the verb, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from reslab.cli import streams
from reslab.cli.actions import Action, action_first, listing, refuse_flags_of_others
from reslab.cli.arguments import Parser
from reslab.errors import MachineError, ReslabError, UsageError, nearest
from reslab.import_path import without_working_folder

VERBS = {
    "train": "train a network on a folder of images or a named data set",
    "plan": "predict the time and memory of a training, and propose the fastest settings that fit",
    "eval": "measure one or several models, with intervals and per-class numbers",
    "predict": "label images, folders or a list of paths",
    "check": "find problems in a data set before training",
    "report": "write a run's report again",
    "compare": "compare runs: paired test, curves, cost, settings",
    "study": "answer a question with many runs and statistics over seeds",
    "list": "list the networks",
    "show": "show a network layer by layer",
    "weights": "import, export, push and pull weights",
    "look": "look inside a trained network: what it sees, and what each layer does",
    "draw": "draw networks side by side, as SVG, PNG or HTML",
    "shapes": "draw a seeded data set of geometric shapes into a folder",
    "completion": "print the script for tab completion in bash, zsh or fish",
}

EXAMPLES = """examples:
  reslab train photos/                train on photos/<class>/*.jpg, choose the rest
  reslab train fashion-mnist --model resnet20 --time 15m
  reslab check photos/                what is wrong with these images?
  reslab predict runs/photos-1 *.jpg  label new images
"""


def whole_number(text: str) -> int:
    """Turn a flag's text into a number that 64 bits hold; one beyond is a slip of the finger."""
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise argparse.ArgumentTypeError(f"{text} is too large")
    return number


def build_parser(verb: str) -> Parser:
    """Build the parser of one verb without commands of its own; nothing heavy is imported."""
    module = importlib.import_module(f"reslab.cli.{verb}")
    action = Action("", module.add_arguments, module.run, module.__doc__ or "")
    return _parser(f"reslab {verb}", action)


def actions_of(verb: str) -> Mapping[str, Action]:
    """Return the commands of a verb that is a group of them, e.g. weights; none for others."""
    module = importlib.import_module(f"reslab.cli.{verb}")
    actions: Mapping[str, Action] = getattr(module, "ACTIONS", {})
    return actions


def build_parsers(verb: str) -> dict[str, Parser]:
    """Build the parser of each command of a group."""
    return {
        name: _parser(f"reslab {verb} {name}", action) for name, action in actions_of(verb).items()
    }


def _parser(prog: str, action: Action) -> Parser:
    first = f"{action.help[:1].upper()}{action.help[1:]}." if action.help else ""
    parser = Parser(
        prog=prog,
        description="\n\n".join(filter(None, (first, action.details.strip("\n")))),
    )
    parser.register("type", int, whole_number)
    action.add_arguments(parser.arguments)
    parser.arguments.add_argument(
        "--debug", action="store_true", help="show the traceback of an error"
    )
    parser.set_defaults(run=action.run)
    return parser


def build_group_parser(verb: str) -> Parser:
    """Build the parser that prints the help of a group of commands."""
    return Parser(
        prog=f"reslab {verb}",
        usage=f"reslab {verb} COMMAND [options]",
        description=importlib.import_module(f"reslab.cli.{verb}").__doc__,
        epilog=listing(verb, actions_of(verb)),
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    with streams.usable():
        return _answer(words)


def _answer(words: list[str]) -> int:
    debug = "--debug" in words
    try:
        with _full_disk_named():
            code = _dispatch(words)
            sys.stdout.flush()
        return code
    except ReslabError as error:
        if debug:
            traceback.print_exc()
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): that is no error of ours.
        streams.discard(sys.stdout)
        return 0
    except MemoryError:
        _complain("out of memory; use a smaller --batch-size or --img-size")
        return MachineError.exit_code
    except Exception as error:
        if debug:
            raise
        named = _named(error)
        if named is not None:
            _complain(str(named))
            return named.exit_code
        _complain(
            f"internal error: {type(error).__name__}: {error}; "
            "run again with --debug and report what it prints"
        )
        return 1


# What to do where the system refuses something that no code of ours has named.
_REMEDIES = {
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENFILE: "allow more open files (ulimit -n)",
    errno.EAGAIN: "allow more processes (ulimit -u), or use fewer --workers",
    errno.ENOMEM: "free some memory, or use a smaller --batch-size",
    errno.EIO: "check the disk",
    errno.EROFS: "write to another place",
    errno.ENAMETOOLONG: "use a shorter name",
}


def _named(error: Exception) -> MachineError | None:
    """Say what the machine refused, where that is what an error is about; None for a fault of ours.

    A file that cannot be opened, a thread that cannot be started, a library that cannot be loaded.
    """
    if isinstance(error, OSError) and error.strerror:
        remedy = _REMEDIES.get(error.errno or 0)
        if isinstance(error.filename, str | bytes):
            what = f"{os.fsdecode(error.filename)}: {error.strerror}"
            return MachineError(what, remedy=remedy or "check that it is there and may be used")
        # Without a file's name only what the machine lacks makes a clear line: "Bad file
        # descriptor" is a fault of ours.
        return MachineError(error.strerror, remedy=remedy) if remedy else None
    if isinstance(error, ImportError) and not (error.name or "").startswith("reslab"):
        return MachineError(
            f"a library cannot be loaded: {error}",
            remedy="install it again, or let the process have more memory (ulimit -v)",
        )
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return MachineError(str(error), remedy=_REMEDIES[errno.EAGAIN])
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return MachineError(str(error), remedy="set HOME, or write the path in full")
    return None


@contextlib.contextmanager
def _full_disk_named() -> Iterator[None]:
    """Raise MachineError where a file, or what is printed (`> FILE`), finds no space."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        streams.discard(sys.stdout)
        raise MachineError(
            f"cannot write {error.filename or 'the output'}: {error.strerror}",
            remedy="free some space or write to another place",
        ) from error


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        from reslab import __version__

        print(f"reslab {__version__}")
        return 0
    verb, rest = words[0], words[1:]
    if verb not in VERBS:
        known = ", ".join(VERBS)
        hint = nearest(verb, VERBS) or "see 'reslab --help'"
        raise UsageError(f"unknown command '{verb}' (known: {known})", remedy=hint)
    if actions_of(verb):
        return _dispatch_action(verb, rest)
    return _run(build_parser(verb), rest)


def _dispatch_action(verb: str, words: Sequence[str]) -> int:
    """Run a command of a group, or print the group's help where none is named."""
    if not words or words[0] in ("-h", "--help"):
        build_group_parser(verb).print_help()
        if words:
            raise SystemExit(0)  # as argparse ends the help of any other command
        return 0
    parsers = build_parsers(verb)
    name, *rest = action_first(verb, words, parsers)
    refuse_flags_of_others(verb, name, rest, parsers)
    return _run(parsers[name], rest)


def _run(parser: Parser, words: Sequence[str]) -> int:
    _refuse_to_work_nowhere()
    rest = list(words)
    parser.check_flags(rest)
    # Flags may stand between the positional arguments (reslab eval A --json DATA); after "--"
    # nothing is a flag, which the intermixed form forgets.
    args = parser.parse_args(rest) if "--" in rest else parser.parse_intermixed_args(rest)
    code: int = args.run(args)
    return code


def _refuse_to_work_nowhere() -> None:
    """Refuse a working folder that was deleted: MKL would end the process at its first product."""
    try:
        os.getcwd()
    except OSError as error:
        raise MachineError(
            f"the working folder cannot be used: {error.strerror}",
            remedy="it was deleted or moved; cd to a folder that exists",
        ) from error


def _overview() -> str:
    verbs = "\n".join(f"  {verb:<10} {text}" for verb, text in VERBS.items())
    return (
        "usage: reslab COMMAND [options]\n\n"
        "A workbench for deep residual networks: train, compare and understand.\n\n"
        f"commands:\n{verbs}\n\n{EXAMPLES}\n"
        "'reslab COMMAND --help' lists the options of a command."
    )


def _complain(text: str) -> None:
    line = " ".join(text.split())
    print(f"reslab: {line}".encode(errors="backslashreplace").decode(), file=sys.stderr, flush=True)


def entry() -> NoReturn:
    """Leave the process with the exit code of the command."""
    streams.open_missing()
    _forget_working_folder()
    _speak_utf8()
    sys.exit(main())


def _forget_working_folder() -> None:
    """Import nothing from the working folder, which `python -m` and an empty PYTHONPATH put first.

    A file there that is called queue.py would be run in place of Python's own.
    """
    sys.path[:] = without_working_folder(sys.path)


def _speak_utf8() -> None:
    """Start again with UTF-8 names where the locale has ASCII alone (LC_ALL=C with PYTHONUTF8=0).

    The name of a folder would be another one there, and a class called café another class.
    """
    if sys.getfilesystemencoding().lower() in ("ascii", "us-ascii") and sys.executable:
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])
