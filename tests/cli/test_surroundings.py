"""Commands in odd surroundings: streams, encodings, folders, limits, as real processes."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from reslab.cli.main import main

RESLAB = [sys.executable, "-c", "from reslab.cli.main import entry; entry()"]
CLASSES = ("café", "日本 猫")
# Python as it starts where the locale knows ASCII alone.
ASCII_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes with names that few encodings have; one file's name is no UTF-8."""
    root = tmp_path_factory.mktemp("data") / "ünïcode"
    draw = np.random.default_rng(0)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for number in range(12):
            pixels = draw.integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"é{number}.png")
    Image.fromarray(pixels[::-1]).save(os.fsencode(root / name) + b"/\xff\xe9.png")
    return root


@pytest.fixture(scope="module")
def usual(data: Path) -> dict[str, Any]:
    """What `check` says of the data in UTF-8."""
    answer: dict[str, Any] = json.loads(run("check", str(data), "--json").stdout)
    return answer


def run(
    *words: str, redirected: str = "", environment: dict[str, str] | None = None, cwd: object = None
) -> subprocess.CompletedProcess[bytes]:
    """Run reslab in a shell, with redirections."""
    script = f'"$@" {redirected}'
    variables = {**os.environ, **(environment or {})}
    return subprocess.run(
        ["bash", "-c", script, "bash", *RESLAB, *words],
        env=variables,
        cwd=cwd,
        capture_output=True,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("verb", "redirected"),
    [
        *(("list", one) for one in ("2>&-", ">&-", "<&-", ">&- 2>&- <&-", "2>/dev/full")),
        *(("check", one) for one in ("2>&-", ">&- 2>&- <&-")),
    ],
)
def test_a_stream_that_is_closed_is_no_reason_to_fail(data, verb, redirected):
    done = run(verb, str(data) if verb == "check" else "resnet2*", redirected=redirected)
    assert done.returncode == 0, done.stderr
    assert b"internal error" not in done.stdout + done.stderr
    assert bool(done.stdout) == (">&- " not in redirected and redirected != ">&-")


def test_what_is_opened_next_does_not_become_the_closed_stream(tmp_path):
    """Else whatever a library says would be written into a user's file."""
    script = (
        "import os, sys\n"
        "from reslab.cli import streams\n"
        "streams.open_missing()\n"
        "number = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)\n"
        "assert number > 2, number\n"
        "os.write(2, b'a library complains')\n"
        "print('said', file=sys.stderr)\n"
        "sys.exit(0 if sys.stdin.read() == '' else 1)\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "mine")]
    done = subprocess.run(["bash", "-c", '"$@" >&- 2>&- <&-', "bash", *argv])
    assert done.returncode == 0
    assert (tmp_path / "mine").read_bytes() == b""


def test_an_answer_that_cannot_be_written_is_an_error(data):
    for words in (("list", "resnet2*"), ("check", str(data)), ("check", str(data), "--json")):
        done = run(*words, redirected=">/dev/full")
        assert done.returncode == 5
        assert b"No space left" in done.stderr
        assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize("words", [("list",), ("check", "DATA"), ("check", "DATA", "--json")])
def test_a_reader_that_leaves_ends_nothing_badly(data, words):
    words = [str(data) if word == "DATA" else word for word in words]
    done = run(*words, redirected='| true; exit "${PIPESTATUS[0]}"')
    assert done.returncode == 0, done.stderr
    assert not done.stderr


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param({"PYTHONIOENCODING": "ascii"}, marks=pytest.mark.slow),
        pytest.param({"PYTHONIOENCODING": "latin-1"}, marks=pytest.mark.slow),
        ASCII_LOCALE,
    ],
    ids=["ascii", "latin-1", "locale C"],
)
def test_names_survive_an_encoding_that_lacks_them(data, usual, environment):
    assert set(usual["classes"]) == set(CLASSES)
    narrow = run("check", str(data), "--json", environment=environment)
    assert narrow.returncode == 0, narrow.stderr
    encoding = "utf-8" if "LC_ALL" in environment else environment["PYTHONIOENCODING"]
    assert json.loads(narrow.stdout.decode(encoding)) == usual
    plain = run("check", str(data), environment=environment)
    assert plain.returncode == 0, plain.stderr
    if encoding == "ascii":
        assert rb"\xfcn\xefcode" in plain.stdout


def test_a_stdout_without_a_name_for_it_gets_json_escapes(monkeypatch):
    from reslab.cli.output import emit_json

    for encoding in ("ascii", "latin-1", "utf-8"):
        kept = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding))
        emit_json({"name": "café 日本 \udcff"})
        sys.stdout.flush()
        assert json.loads(kept.getvalue()) == {"name": "café 日本 \udcff"}


def test_main_leaves_the_streams_of_its_caller_as_they_were(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", errors="strict")
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["show", "nonsense-é"]) == 2
    assert sys.stdout is stream
    assert stream.errors == "strict"
    assert sys.stderr is None


def test_the_loss_of_whoever_listens_does_not_stop_the_work(tmp_path):
    """A note that cannot be written, as after the end of a terminal, is dropped."""
    script = (
        "import os, sys\n"
        "from reslab.cli import streams\n"
        "from reslab.display.stderr import note\n"
        "with streams.usable():\n"
        "    for _ in range(3): note('x' * 100000)\n"
        "print('done')\n"
    )
    argv = [sys.executable, "-c", script]
    done = subprocess.run(
        ["bash", "-c", '"$@" 2> >(true); wait', "bash", *argv], capture_output=True
    )
    assert done.stdout == b"done\n"


def test_a_deleted_working_folder_is_named(tmp_path):
    script = 'mkdir gone; cd gone; rmdir ../gone; exec "$@"'
    argv = ["bash", "-c", script, "bash", *RESLAB]
    done = subprocess.run([*argv, "shapes", "here"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 5
    assert b"cd to a folder that exists" in done.stderr
    assert subprocess.run([*argv, "--help"], cwd=tmp_path, capture_output=True).returncode == 0


@pytest.mark.parametrize("start", ["module", "empty PYTHONPATH"])
def test_no_file_of_the_working_folder_is_run(tmp_path, start):
    for name in ("queue", "signal", "copy", "random", "json", "numpy", "torch", "PIL", "rich"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('not the library')")
    argv = [sys.executable, "-m", "reslab"] if start == "module" else RESLAB
    environment = {**os.environ, "PYTHONPATH": "" if start == "module" else ":"}
    done = subprocess.run(
        [*argv, "list", "--json"], cwd=tmp_path, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)


def test_help_stays_where_docstrings_are_gone():
    done = run("train", "--help", environment={"PYTHONOPTIMIZE": "2"})
    assert done.returncode == 0
    assert b"--epochs" in done.stdout


def test_a_library_that_cannot_be_loaded_is_named():
    limited = ["bash", "-c", 'ulimit -v 300000; "$@"', "bash", *RESLAB, "show", "resnet20"]
    done = subprocess.run(limited, capture_output=True)
    assert done.returncode == 5
    assert b"a library cannot be loaded: " in done.stderr
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EMFILE, "Too many open files", "a.png"), "a.png: Too many open files"),
        (PermissionError(errno.EACCES, "Permission denied", "x"), "x: Permission denied"),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), "ulimit -u"),
        (RuntimeError("can't start new thread"), "ulimit -u"),
        (ImportError("libgomp.so.1: cannot open shared object file"), "libgomp"),
    ],
)
def test_what_the_machine_refuses_is_no_internal_error(capsys, monkeypatch, error, expected):
    from reslab.cli import show

    def fail(args: object) -> int:
        raise error

    monkeypatch.setattr(show, "run", fail)
    assert main(["show", "resnet20"]) == 5
    line = capsys.readouterr().err
    assert expected in line
    assert "internal error" not in line
    assert line.count("\n") == 1


def test_an_error_of_the_system_that_names_nothing_is_a_fault_of_ours(capsys, monkeypatch):
    from reslab.cli import show

    def fail(args: object) -> int:
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(show, "run", fail)
    assert main(["show", "resnet20"]) == 1
    assert "internal error: OSError: [Errno 9] Bad file descriptor" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "digits", "--seed", "9" * 30], "too large"),
        (["train", "digits", "--batch-size", "9" * 15], "batch_size must be 16,777,216 or less"),
        (["train", "digits", "--img-size", "99999"], "or less, received"),
        (["predict", "x", "y", "--batch-size", "9" * 30], "too large"),
        (["look", "x", "y", "--seed", "-1"], "must be 0 or more"),
        (["plan", "--images", "9" * 15, "--model", "resnet20"], "more than there are"),
        (["train", ""], "the name of the data is empty"),
        (["check", " "], "the name of the data is empty"),
    ],
)
def test_numbers_and_names_that_nobody_means_are_refused(capsys, words, expected):
    assert main(words) == 2
    line = capsys.readouterr().err
    assert expected in line
    assert line.count("\n") == 1


def test_variables_without_a_value_are_not_set_and_wrong_ones_are_named(monkeypatch, capsys):
    monkeypatch.setenv("RESLAB_EPOCHS", "")
    monkeypatch.setenv("RESLAB_BATCH_SIZE", "many")
    assert main(["train", "digits"]) == 2
    assert "RESLAB_BATCH_SIZE: 'many' is no whole number" in capsys.readouterr().err
    monkeypatch.setenv("RESLAB_BATCH_SIZE", " ")
    monkeypatch.setenv("RESLAB_LR", "fast")
    assert main(["train", "digits"]) == 2
    assert "RESLAB_LR: 'fast' is no number" in capsys.readouterr().err


def test_a_home_that_nobody_has_is_no_obstacle():
    environment = {"HOME": "", "PATH": os.environ["PATH"]}
    done = run("check", "~nobody-has-this-name/x", environment=environment)
    assert done.returncode == 2
    assert b"internal error" not in done.stderr
