"""The command itself: verbs, errors, exit codes, and where flags may stand."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

import pytest

from reslab import __version__
from reslab.cli.main import VERBS, main


def complaint(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that is refused; return its one line."""
    assert main(list(words)) == 2
    shown = capsys.readouterr()
    assert not shown.out
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("reslab: ")
    return shown.err


def test_help_names_every_verb(capsys):
    for words in ([], ["--help"], ["-h"], ["help"]):
        assert main(words) == 0
        text = capsys.readouterr().out
        assert all(f"\n  {verb} " in text for verb in VERBS)


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"reslab {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb, capsys):
    with pytest.raises(SystemExit) as leaving:
        main([verb, "--help"])
    assert leaving.value.code == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"usage: reslab {verb}")
    assert not shown.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["trian", "photos"], "did you mean 'train'?"),
        (["nonsense"], "see 'reslab --help'"),
        (["train", "--epoch", "3"], "did you mean '--epochs'?"),
        (["train", "--epoch=3"], "did you mean '--epochs'?"),
        (["train", "--schedule", "cosin", "x"], "invalid choice: 'cosin'"),
        (["eval", "--jsn", "a", "b"], "did you mean '--json'?"),
        (["show"], "NETWORK"),
        (["train", "a", "b"], "unrecognized arguments: b"),
    ],
)
def test_what_is_wrong_is_one_line(capsys, words, expected):
    assert expected in complaint(capsys, *words)


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "A", "B", "DATA"],
        ["A", "--json", "B", "DATA"],
        ["A", "B", "--json", "DATA"],
        ["A", "B", "DATA", "--json"],
        ["--json", "--", "A", "B", "DATA"],
        ["A", "--device", "cpu", "B", "--json", "DATA"],
    ],
)
def test_flags_may_stand_anywhere(words, monkeypatch):
    from reslab.cli import eval as verb

    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(verb, "run", lambda args: seen.append(args) or 0)
    assert main(["eval", *words]) == 0
    assert (seen[0].models, seen[0].data, seen[0].json) == (["A", "B"], "DATA", True)


def test_main_takes_flags_between_positional_arguments(capsys, tmp_path):
    code = main(["eval", str(tmp_path / "no"), "--json", str(tmp_path / "data")])
    assert code == 4
    assert str(tmp_path / "no") in capsys.readouterr().err


def test_after_two_dashes_nothing_is_a_flag(capsys):
    assert "unknown data set '--odd-name'" in complaint(capsys, "check", "--", "--odd-name")


def test_debug_shows_the_traceback(capsys):
    assert main(["show", "resent20", "--debug"]) == 2
    loud = capsys.readouterr().err
    assert "Traceback" in loud
    assert loud.splitlines()[-1].startswith("reslab: ")


def test_an_error_within_is_one_line_with_a_way_to_report_it(capsys, monkeypatch):
    from reslab.cli import show

    def fail(args: object) -> int:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(show, "run", fail)
    assert main(["show", "resnet20"]) == 1
    line = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: nobody thought of this" in line
    assert "--debug" in line
    with pytest.raises(ZeroDivisionError):
        main(["show", "resnet20", "--debug"])


def test_a_reader_that_leaves_is_no_error():
    script = f"{sys.executable} -m reslab list | head -n 1"
    found = subprocess.run(["bash", "-c", f"set -o pipefail; {script}"], capture_output=True)
    assert found.returncode == 0
    assert b"Error" not in found.stderr
    assert b"reslab:" not in found.stderr
    assert found.stdout.count(b"\n") == 1


def test_the_module_is_the_command():
    words = [sys.executable, "-m", "reslab", "shwo"]
    found = subprocess.run(words, capture_output=True, text=True)
    assert found.returncode == 2
    assert found.stderr.endswith("did you mean 'show'?\n")


@pytest.mark.parametrize("words", ["list", "list --json", "--version", "--help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_finds_no_space_is_an_error_of_the_machine(words, unbuffered):
    with open("/dev/full", "w") as full:
        found = subprocess.run(
            [sys.executable, "-m", "reslab", *words.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert found.returncode == 5
    assert found.stderr == (
        "reslab: cannot write the output: No space left on device; "
        "free some space or write to another place\n"
    )
