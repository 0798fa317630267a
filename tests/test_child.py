"""Child processes: nothing of the working folder runs in them, and none outlives its parent."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import reslab
from reslab.child import Child, ChildEnded
from reslab.errors import DataError, UsageError
from reslab.import_path import without_working_folder

PATIENCE_S = 60
# The standard library's and the packages' names that users give to files of their own.
SHADOWS = """
queue signal copy random json numpy torch PIL types enum re time string select socket token math
subprocess threading tempfile operator dataclasses statistics inspect platform sitecustomize
usercustomize reslab
"""

ECHO = """
import os, subprocess, sys
from reslab.errors import DataError, StoppedError, UsageError
def main(parent):
    for asked in parent:
        if asked == "path":
            parent.send(sys.path)
        elif asked == "where":
            import reslab
            parent.send(reslab.__file__)
        elif asked == "read":
            parent.send(sys.stdin.read())
        elif asked == "grandchild":
            command = [sys.executable, "-c", "import time; time.sleep(600)"]
            parent.send(subprocess.Popen(command).pid)
        elif asked == "refuse":
            parent.send_error(DataError("cat.jpg is damaged", remedy="remove it"))
        elif asked == "refuse for good":
            raise UsageError("there is no such network")
        elif asked == "stop":
            raise StoppedError("stopped", signal_number=15)
        elif asked == "bytes":
            parent.send(4, b"four")
        elif asked == "fail":
            print("something to say")
            raise SystemExit(3)
        else:
            parent.send(asked)
    return 0
"""


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    """A folder with a module whose children answer."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "echo_for_tests.py").write_text(ECHO)
    return tmp_path / "modules"


@pytest.fixture
def shadowed(tmp_path: Path) -> Path:
    """A working folder full of files that are called like modules, each leaving a trace."""
    work = tmp_path / "work"
    work.mkdir()
    for name in SHADOWS.split():
        (work / f"{name}.py").write_text(
            f"open({str(tmp_path / 'EXECUTED')!r}, 'a').write('{name} ')\nraise SystemExit(9)\n"
        )
    return work


def wait_until(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not what() and time.monotonic() < deadline:
        time.sleep(0.05)
    return what()


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def test_values_go_both_ways_and_prints_do_not_get_between(echo):
    with Child("echo_for_tests", path=[echo]) as child:
        for value in ({"a": [1, 2.5, None]}, "café 日本 \udcff", []):
            child.send(value)
            assert child.recv() == value
        child.send("read")
        assert child.recv() == "", "stdin holds nothing for others"
        child.send("fail")
        with pytest.raises(ChildEnded, match=r"code 3: something to say"):
            child.recv()
        with pytest.raises(ChildEnded):
            child.send("more")


def test_an_error_of_the_child_is_raised_in_the_parent(echo):
    with Child("echo_for_tests", path=[echo]) as child:
        child.send("refuse")
        with pytest.raises(DataError, match=r"^cat.jpg is damaged; remove it$"):
            child.recv()
        child.send("bytes")
        buffer = bytearray(child.recv())
        child.recv_into(memoryview(buffer))
        assert buffer == b"four"
        child.send("refuse for good")
        with pytest.raises(UsageError, match="there is no such network"):
            child.recv()
        assert (child.exit_code, child.exit_reason()) == (
            2,
            "its process ended with code 2: UsageError: there is no such network",
        )
    with Child("echo_for_tests", path=[echo]) as child:
        child.send("stop")
        with pytest.raises(ChildEnded) as ended:
            child.recv()
        assert ended.value.exit_code == 128 + 15


def test_an_answer_that_does_not_come_is_not_waited_for(echo):
    (echo / "silent_for_tests.py").write_text(
        "import time\ndef main(parent):\n    time.sleep(600)\n"
    )
    with Child("silent_for_tests", path=[echo]) as child:
        with pytest.raises(TimeoutError):
            child.recv(timeout_s=0.5)
        assert child.process.wait() == -signal.SIGKILL


@pytest.mark.parametrize("pythonpath", ["", ":", ".", "WORK", "/nowhere::relative"])
def test_no_file_of_the_working_folder_is_imported(echo, shadowed, monkeypatch, pythonpath):
    monkeypatch.chdir(shadowed)
    monkeypatch.setenv("PYTHONPATH", pythonpath.replace("WORK", str(shadowed)))
    monkeypatch.setattr(sys, "path", ["", ".", str(shadowed), *sys.path])
    with Child("echo_for_tests", path=[echo]) as child:
        child.send("path")
        places = child.recv()
    assert os.path.realpath(shadowed) not in map(os.path.realpath, places)
    assert not (shadowed.parent / "EXECUTED").exists()


@pytest.mark.parametrize(
    "module",
    [
        "reslab.data.preprocess",
        pytest.param("reslab.plan.worker", marks=pytest.mark.slow),
        pytest.param("reslab.study.worker", marks=pytest.mark.slow),
    ],
)
def test_the_processes_of_reslab_import_nothing_of_the_working_folder(
    shadowed, monkeypatch, module
):
    monkeypatch.chdir(shadowed)
    with Child(module) as child:
        child.send({})  # not what it expects: it complains of that once it has imported all
        with pytest.raises(ChildEnded, match="KeyError"):
            child.recv()
    assert not (shadowed.parent / "EXECUTED").exists()


def test_the_folders_of_python_itself_stay(monkeypatch):
    numpy_home = next(Path(place) for place in sys.path if (Path(place) / "numpy").is_dir())
    monkeypatch.chdir(numpy_home)
    assert str(numpy_home) in without_working_folder([str(numpy_home)])


def test_reslab_is_found_where_the_parent_has_found_it(echo, tmp_path):
    """Even where that is the working folder, and though another reslab is installed."""
    source = Path(reslab.__file__).parent
    (tmp_path / "copied" / "reslab").mkdir(parents=True)
    for path in source.glob("*.py"):
        shutil.copy(path, tmp_path / "copied" / "reslab")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); from reslab.child import Child; "
        "from pathlib import Path; child = Child('echo_for_tests', path=[Path(sys.argv[2])]); "
        "child.send('where'); print(child.recv())"
    )
    for place in (str(tmp_path / "copied"), ""):
        argv = [sys.executable, "-P", "-c", script, place, str(echo)]
        done = subprocess.run(argv, cwd=tmp_path / "copied", capture_output=True, text=True)
        assert done.stdout.strip() == str(tmp_path / "copied" / "reslab" / "__init__.py")


def test_a_deleted_working_folder_is_no_obstacle(echo, tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with Child("echo_for_tests", path=[echo]) as child:
        child.send(1)
        assert child.recv() == 1


PARENT = """
import json, os, sys, threading, time
sys.path.insert(0, sys.argv[1])
from reslab.child import Child
found = []
def start():
    child = Child("echo_for_tests")
    child.send("grandchild")
    found.append((child, child.recv()))
thread = threading.Thread(target=start)
thread.start()
thread.join()  # the end of a thread is not the end of the parent
child, grandchild = found[0]
child.send("still there")
assert child.recv() == "still there"
if sys.argv[2] == "forked" and os.fork() == 0:
    time.sleep(600)  # a process that has inherited the pipes
print(json.dumps([child.pid, grandchild]), flush=True)
if sys.argv[2] == "exits":
    os._exit(0)
if sys.argv[2] == "fails":
    raise SystemExit(1)
time.sleep(600)
"""


@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM", "SIGHUP", "exits", "fails", "forked"])
def test_children_and_theirs_end_with_the_parent(echo, end):
    argv = [sys.executable, "-c", PARENT, str(echo), end]
    parent = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout is not None
    try:
        child, grandchild = json.loads(parent.stdout.readline())
        if end.startswith("SIG"):
            parent.send_signal(getattr(signal, end))
        elif end == "forked":
            parent.kill()
        parent.wait()
        assert wait_until(lambda: is_gone(child) and is_gone(grandchild))
    finally:
        if end == "forked":
            os.killpg(parent.pid, signal.SIGKILL)
        parent.stdout.close()
