"""`reslab check` and `reslab shapes` as their users meet them."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reslab.cli.main import main

COUNT = 60


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    out = tmp_path / "drawn"
    assert main(["shapes", str(out), "--num", str(COUNT), "--size", "32", "--classes", "3"]) == 0
    return out


def test_a_sound_folder(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["check", str(drawn)]) == 0
    printed = capsys.readouterr()
    assert "60 images, 3 classes (60 decoded)" in printed.out
    assert printed.out.rstrip().endswith("nothing was found that would spoil training")
    assert printed.err == ""


def test_json_alone_is_on_stdout(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    next((drawn / "circle").iterdir()).write_bytes(b"")
    assert main(["check", str(drawn), "--json"]) == 3
    value = json.loads(capsys.readouterr().out)
    assert value["ok"] is False
    assert value["classes"] == ["circle", "square", "triangle"]
    assert [f["kind"] for f in value["findings"]] == ["unreadable"]


def test_errors_are_listed_and_a_plan_is_written(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in sorted((drawn / "circle").iterdir())[:4]:
        path.write_bytes(path.read_bytes()[:200])
    shutil.copy(next((drawn / "square").iterdir()), drawn / "triangle" / "x.jpg")
    plan = tmp_path / "plan.sh"
    assert main(["check", str(drawn), "--plan", str(plan)]) == 3
    printed = capsys.readouterr()
    assert "unreadable" in printed.out
    assert "4 files, each is truncated: circle/" in printed.out
    assert "label-conflict" in printed.out
    assert "not fit for training: 2 errors" in printed.out
    assert str(plan) in printed.err
    text = plan.read_text()
    assert text.count("\naside circle/") == 4
    assert main(["check", str(drawn), "--plan", str(plan)]) == 2
    assert plan.read_text() == text


def test_quick_and_without_near_duplicates(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(drawn), "--quick"]) == 0
    assert "(file headers only)" in capsys.readouterr().out
    assert main(["check", str(drawn), "--no-near-duplicates", "--workers", "1"]) == 0


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["check", "digts"], 2, "did you mean 'digits'"),
        (["check", "digits", "--quik"], 2, "--quick"),
        (["check", "digits", "--workers", "0"], 2, "--workers: must be 1 or more"),
        (["check", "digits", "--plan", "p.sh"], 2, "--plan needs a folder"),
        (["shapes", "out", "--classes", "1"], 2, "classes must be between 2 and 12"),
        (["shapes", "out", "--layout", "deep"], 2, "invalid choice"),
    ],
)
def test_misuse(
    words: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == code
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert not list(tmp_path.iterdir())


def test_shapes_refuses_what_is_not_empty(drawn: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shapes", str(drawn), "--num", "20"]) == 2
    assert "not an empty folder" in capsys.readouterr().err
    assert sum(1 for _ in drawn.rglob("*.jpg")) == COUNT


def test_odd_names_are_printed_whatever_the_terminal_can_show(drawn: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(drawn) + b"/circle/\xff\nname.jpg"))
    odd.write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "-c", "from reslab.cli.main import entry; entry()", "check", str(drawn)],
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert b"circle/\\xff\\nname.jpg is empty" in done.stdout


def test_a_folder_that_is_not_utf_8_is_named_and_cut_off(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "su\udcff"
    assert main(["shapes", str(odd), "--num", "20", "--size", "32", "--classes", "2"]) == 0
    next((odd / "circle").iterdir()).write_bytes(b"")
    capsys.readouterr()
    assert main(["check", str(odd)]) == 3
    printed = capsys.readouterr().out
    assert printed.startswith(f"{tmp_path}/su\\xff: 20 images, 2 classes")
    (line,) = [line for line in printed.splitlines() if "is empty" in line]
    assert str(tmp_path) not in line
