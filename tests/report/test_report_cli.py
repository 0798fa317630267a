import os
import subprocess
import sys
from pathlib import Path


def reslab(*words: object, folder: Path) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", "from reslab.cli.main import entry; entry()"]
    return subprocess.run(
        [*command, *(os.fsencode(str(word)) for word in words)], capture_output=True, cwd=folder
    )


def test_writes_the_page_and_prints_where(finished_run: Path, tmp_path: Path) -> None:
    out = tmp_path / os.fsdecode(b"page-\xff.html")
    done = reslab("report", finished_run, "--out", out, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == os.fsencode(out) + b"\n"
    assert out.read_text().startswith("<!DOCTYPE html>")
    assert not (finished_run / "report.html").exists()


def test_not_a_run(tmp_path: Path) -> None:
    done = reslab("report", tmp_path, folder=tmp_path)
    assert done.returncode == 3
    assert done.stdout == b""
    assert done.stderr.count(b"\n") == 1
    assert b"is not a run directory" in done.stderr
    assert list(tmp_path.iterdir()) == []
