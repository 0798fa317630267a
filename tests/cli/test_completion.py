"""Tab completion, asked of the shells themselves."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reslab.cli.main import build_parser, build_parsers, main

# The line as it is typed, what must be offered, and what must not.
CASES = [
    (["tr"], {"train"}, {"eval"}),
    (["weights", ""], {"import", "export", "push", "pull"}, {"train", "run"}),
    (["weights", "im"], {"import"}, {"export"}),
    (["weights", "import", "--al"], {"--allow-partial"}, {"--json"}),
    (["study", "report", "--"], {"--scale", "--data", "--out", "--json"}, {"--seeds", "--retry"}),
    (["study", "run", "degr"], {"degradation"}, {"depth"}),
    (["train", "--mod"], {"--model"}, {"--momentum"}),
    (["train", "--model", "resnet2"], {"resnet20", "resnet20_b"}, {"resnet50", "digits"}),
    (["train", "-o", "runs/x", "--recipe", "small"], {"small-images"}, {"fast"}),
    (["train", "--optimizer", ""], {"sgd", "adamw", "muon"}, {"digits"}),
    (["train", "fash"], {"fashion-mnist"}, {"resnet20"}),
    (["train", "--flip", "pho"], {"photos"}, {"fashion-mnist"}),
    (["train", "--resume", "pho"], {"photos"}, set()),
    (["show", "resnet5"], {"resnet50", "resnet56"}, {"auto"}),
    (["completion", ""], {"bash", "zsh", "fish"}, {"train"}),
]


def script_of(shell: str, capsys: pytest.CaptureFixture[str], folder: Path) -> Path:
    """Write what `reslab completion SHELL` prints, beside a folder to be completed."""
    assert main(["completion", shell]) == 0
    path = folder / f"completion.{shell}"
    path.write_text(capsys.readouterr().out)
    (folder / "photos").mkdir()
    return path


def check(words: list[str], found: set[str], wanted: set[str], unwanted: set[str]) -> None:
    names = {name.rstrip("/ ") for name in found}
    assert wanted <= names, (words, sorted(names))
    assert not unwanted & names, (words, sorted(unwanted & names))


def test_bash_completes(capsys, tmp_path):
    script = script_of("bash", capsys, tmp_path)
    lines = [f"source {script}"]
    for words, _, _ in CASES:
        typed = " ".join(f"'{word}'" for word in ("reslab", *words))
        lines.append(f"COMP_WORDS=({typed}); COMP_CWORD={len(words)}; COMPREPLY=(); _reslab")
        # What is left empty is left to bash: -o default completes the names of files.
        lines.append('[ ${#COMPREPLY[@]} = 0 ] && COMPREPLY=($(compgen -f -- "${COMP_WORDS[-1]}"))')
        lines.append('(IFS=" "; echo "${COMPREPLY[*]}")')
    # Only what is typed at a prompt may change compopt's options.
    found = subprocess.run(
        ["bash", "--norc", "-c", "\n".join(lines)], capture_output=True, text=True, cwd=tmp_path
    )
    answers = found.stdout.splitlines()
    assert len(answers) == len(CASES), found.stderr
    for (words, wanted, unwanted), answer in zip(CASES, answers, strict=True):
        check(words, set(answer.split()), wanted, unwanted)


def test_bash_completes_at_a_prompt(capsys, tmp_path):
    script = script_of("bash", capsys, tmp_path)
    (tmp_path / "my photos").mkdir()
    started = ["bash", "--norc", "--noprofile", "-i"]
    ready = f"PS1=; bind 'set bell-style none'; source {script}"
    cases = [
        ("weights imp", "<reslab><weights><import>"),
        ("train --model=mobilenet_v1_sh", "<reslab><train><--model=mobilenet_v1_shallow>"),
        ("train --out=my", "<reslab><train><--out=my photos/>"),
        ("train my", "<reslab><train><my photos/>"),
        ("predict my", "<reslab><predict><my photos/>"),
        ("train --epochs ph", "<reslab><train><--epochs><ph>"),
    ]
    found = at_a_prompt(started, ready, [typed for typed, _ in cases], tmp_path)
    for (typed, becomes), shown in zip(cases, found, strict=True):
        assert becomes in shown, typed


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish: apt-get install fish")
def test_fish_completes(capsys, tmp_path):
    script = script_of("fish", capsys, tmp_path)
    for words, wanted, unwanted in CASES:
        typed = " ".join(("reslab", *words))
        asked = subprocess.run(
            ["fish", "--no-config", "-c", f"source {script}; complete -C '{typed}'"],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path)},
        )
        assert not asked.stderr
        check(words, {line.split("\t")[0] for line in asked.stdout.splitlines()}, wanted, unwanted)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh: apt-get install zsh")
def test_zsh_completes(capsys, tmp_path):
    script = script_of("zsh", capsys, tmp_path)
    ready = f"PS1=; autoload -Uz compinit; compinit -u -D; source {script}"
    cases = [
        ("tra", "<reslab><train>"),
        ("weights imp", "<reslab><weights><import>"),
        ("weights import --allo", "<reslab><weights><import><--allow-partial>"),
        ("study run degr", "<reslab><study><run><degradation>"),
        ("train --model mobilenet_v1_sh", "<reslab><train><--model><mobilenet_v1_shallow>"),
        ("train --model=mobilenet_v1_sh", "<reslab><train><--model=mobilenet_v1_shallow>"),
        ("train -o x --recipe small", "<reslab><train><-o><x><--recipe><small-images>"),
        ("train fash", "<reslab><train><fashion-mnist>"),
        ("train pho", "<reslab><train><photos"),
        ("show mobilenet_v1_sh", "<reslab><show><mobilenet_v1_shallow>"),
    ]
    found = at_a_prompt(["zsh", "-f", "-i"], ready, [typed for typed, _ in cases], tmp_path)
    for (typed, becomes), shown in zip(cases, found, strict=True):
        assert becomes in shown, typed


def at_a_prompt(command: list[str], ready: str, lines: list[str], folder: Path) -> list[str]:
    """Type lines, each with a tab, into a shell on a terminal; return the words they become."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(folder)
        settings = {"TERM": "dumb", "HOME": str(folder), "INPUTRC": "/dev/null"}
        os.execvpe(command[0], command, {**os.environ, **settings})
    found = []
    try:
        # The marks are typed in pieces, so that their echo is not taken for what they print.
        os.write(terminal, f"{ready}; stty -echo cols 200; echo RE''ADY\n".encode())
        read_until(terminal, "READY")
        for number, line in enumerate(lines):
            # Ctrl-A and `printf` print the words of the line as it stands after the tab.
            end = f"\x01printf '<%s>' LI''NE{number} \x05; echo\n"
            os.write(terminal, f"reslab {line}\t{end}".encode())
            found.append(read_until(terminal, rf"<LINE{number}>(.*?)\r?\n"))
    finally:
        os.close(terminal)
        os.waitpid(process, 0)
    return found


def read_until(terminal: int, pattern: str) -> str:
    """Read from a terminal until something is there; return its group, or the whole."""
    text, limit = "", time.monotonic() + 60
    while time.monotonic() < limit:
        if select.select([terminal], [], [], 0.2)[0]:
            text += os.read(terminal, 65536).decode(errors="replace")
        if match := re.search(pattern, text):
            return match[match.lastindex or 0]
    raise AssertionError(f"no {pattern} in {text!r}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_knows_every_flag_and_needs_no_torch(shell):
    code = (
        "import sys\n"
        "from reslab.cli.main import main\n"
        f"assert main(['completion', '{shell}']) == 0\n"
        "assert 'torch' not in sys.modules\n"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    parsers = [build_parser("train"), build_parser("look"), *build_parsers("weights").values()]
    for parser in parsers:
        flags = set(
            re.findall(r"^  (?:-\w(?: \w+)?, )?(--[\w-]+)", parser.format_help(), re.MULTILINE)
        )
        assert len(flags) > 4
        for flag in flags:
            assert (flag if shell != "fish" else f"-l {flag[2:]} ") in made.stdout, flag


def test_the_names_in_a_script_are_those_there_are():
    from reslab.cli.completion import PROGRAMS
    from reslab.weights import LAYOUTS

    assert set(PROGRAMS) == set(LAYOUTS)


def test_an_unknown_shell_is_refused(capsys):
    assert main(["completion", "csh"]) == 2
    assert "invalid choice: 'csh'" in capsys.readouterr().err
