"""Round trips, damage, logs and the lock; faults are in test_durable_faults.py."""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reslab import durable
from reslab.errors import CheckpointError, MachineError, UsageError

NOBODY = 65534
FILES = {"model.json": b'{"a": 1}\n', "weights": bytes(range(256)) * 20, "empty": b""}


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    durable.save_directory(tmp_path / "deep" / "er" / "model", FILES)
    assert durable.read_directory(tmp_path / "deep" / "er" / "model") == FILES
    assert os.listdir(tmp_path / "deep" / "er") == ["model"]


def test_the_manifest_holds_sizes_and_hashes_that_sha256sum_accepts(tmp_path: Path) -> None:
    durable.save_directory(tmp_path / "model", FILES)
    manifest = json.loads((tmp_path / "model" / durable.MANIFEST).read_bytes())["files"]
    lines = "".join(f"{entry['sha256']}  {name}\n" for name, entry in manifest.items())
    subprocess.run(["sha256sum", "-c"], input=lines, text=True, cwd=tmp_path / "model", check=True)
    assert {name: entry["size"] for name, entry in manifest.items()} == {
        name: len(data) for name, data in FILES.items()
    }


def test_buffers_of_any_item_size_are_written_as_bytes(tmp_path: Path) -> None:
    numbers = memoryview(bytearray(range(64))).cast("f", shape=[4, 4])
    durable.save_directory(tmp_path / "model", {"a": numbers, "b": bytearray(b"xy")})
    assert durable.read_directory(tmp_path / "model") == {"a": bytes(range(64)), "b": b"xy"}


def test_a_second_save_replaces_every_file(tmp_path: Path) -> None:
    durable.save_directory(tmp_path / "model", FILES)
    durable.save_directory(tmp_path / "model", {"other": b"1"})
    assert durable.read_directory(tmp_path / "model") == {"other": b"1"}
    assert sorted(os.listdir(tmp_path / "model")) == [durable.MANIFEST, "other"]


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(UsageError, match=r"holds other things.*holiday\.jpg"):
        durable.save_directory(tmp_path / "photos", FILES)
    assert (tmp_path / "photos" / "holiday.jpg").read_bytes() == b"precious"
    (tmp_path / "file").write_bytes(b"precious")
    with pytest.raises(UsageError, match="is a file"):
        durable.save_directory(tmp_path / "file", FILES)


def test_a_damaged_folder_of_the_same_names_is_replaced(tmp_path: Path) -> None:
    durable.save_directory(tmp_path / "model", FILES)
    (tmp_path / "model" / durable.MANIFEST).write_bytes(b"{")
    durable.save_directory(tmp_path / "model", FILES)
    assert durable.read_directory(tmp_path / "model") == FILES


def test_a_link_to_a_folder_stays_a_link(tmp_path: Path) -> None:
    durable.save_directory(tmp_path / "real", FILES)
    (tmp_path / "link").symlink_to("real")
    durable.save_directory(tmp_path / "link", {"new": b"1"})
    assert (tmp_path / "link").is_symlink()
    assert durable.read_directory(tmp_path / "link") == {"new": b"1"}
    assert durable.read_directory(tmp_path / "real") == {"new": b"1"}


@pytest.mark.parametrize("name", [*FILES, durable.MANIFEST])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    durable.save_directory(tmp_path / "model", FILES)
    (tmp_path / "model" / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        durable.read_directory(tmp_path / "model")


@pytest.mark.parametrize("name", ["model.json", "weights", durable.MANIFEST])
def test_truncation_is_found_at_every_length(tmp_path: Path, name: str) -> None:
    durable.save_directory(tmp_path / "model", FILES)
    whole = (tmp_path / "model" / name).read_bytes()
    for length in {0, 1, len(whole) // 2, len(whole) - 2}:
        (tmp_path / "model" / name).write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=name):
            durable.read_directory(tmp_path / "model")


@pytest.mark.parametrize("name", ["model.json", "weights", durable.MANIFEST])
def test_flipped_bits_never_give_other_content(tmp_path: Path, name: str) -> None:
    durable.save_directory(tmp_path / "model", FILES)
    path = tmp_path / "model" / name
    whole = path.read_bytes()
    draw = random.Random(7)
    found = 0
    for _ in range(300):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            files = durable.read_directory(tmp_path / "model")
        except CheckpointError:
            found += 1
        else:
            assert files == FILES, "a damaged file was believed"
    # Only white space of the manifest and its format number may change unseen.
    assert found == 300 if name != durable.MANIFEST else found > 200


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "1",
        '{"format": 1}',
        '{"format": 1, "files": {"../outside": {"size": 1, "sha256": ""}}}',
        '{"format": 1, "files": {"..": {"size": 1, "sha256": ""}}}',
        '{"format": 1, "files": {"a\\u0000b": {"size": 1, "sha256": ""}}}',
        '{"format": 1, "files": {"\\ud800": {"size": 1, "sha256": ""}}}',
        '{"format": 1, "files": {"weights": 3}}',
        "[" * 100_000,
    ],
)
def test_a_forged_manifest_is_refused(tmp_path: Path, text: str) -> None:
    durable.save_directory(tmp_path / "model", FILES)
    (tmp_path / "outside").write_bytes(b"x")
    (tmp_path / "model" / durable.MANIFEST).write_text(text)
    with pytest.raises(CheckpointError):
        durable.read_directory(tmp_path / "model")


def test_a_newer_manifest_says_so(tmp_path: Path) -> None:
    durable.save_directory(tmp_path / "model", FILES)
    (tmp_path / "model" / durable.MANIFEST).write_text('{"format": 2, "files": {}}')
    with pytest.raises(CheckpointError, match="upgrade reslab"):
        durable.read_directory(tmp_path / "model")


def test_a_reader_always_sees_one_whole_version(tmp_path: Path) -> None:
    """A process saves without pause while this one reads."""
    writer = """
import sys, pathlib
from reslab import durable
for n in range(10**9):
    durable.save_directory(pathlib.Path(sys.argv[1]), {k: bytes([n % 256]) * 999 for k in "abc"})
"""
    folder = tmp_path / "model"
    durable.save_directory(folder, dict.fromkeys("abc", b"\0" * 999))
    with subprocess.Popen([sys.executable, "-c", writer, str(folder)]) as process:
        try:
            seen = set()
            for _ in range(20_000):
                files = durable.read_directory(folder)
                assert sorted(files) == ["a", "b", "c"]
                assert len(set(files.values())) == 1, "files of two versions"
                seen.add(files["a"])
                if len(seen) > 20:
                    break
            assert len(seen) > 5, "the writer did not write"
        finally:
            process.kill()


def test_write_file_replaces_and_keeps_links(tmp_path: Path) -> None:
    durable.write_file(tmp_path / "new" / "status.json", b"1")
    durable.write_file(tmp_path / "new" / "status.json", b"22")
    (tmp_path / "link").symlink_to(tmp_path / "new" / "status.json")
    durable.write_file(tmp_path / "link", b"333")
    assert (tmp_path / "new" / "status.json").read_bytes() == b"333"
    assert (tmp_path / "link").is_symlink()
    assert os.listdir(tmp_path / "new") == ["status.json"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "free some space"),
        (errno.EDQUOT, "free some space"),
        (errno.EROFS, "may write"),
        (errno.EACCES, "may write"),
        (errno.EIO, "check the disk"),
    ],
)
def test_each_errno_has_its_remedy(number: int, words: str) -> None:
    error = durable.explain(OSError(number, os.strerror(number)), Path("/mnt/run"))
    assert "/mnt/run" in error.message
    assert os.strerror(number) in error.message
    assert words in error.remedy
    assert error.exit_code == 5


def test_a_real_full_disk_is_a_machine_error() -> None:
    with pytest.raises(MachineError, match="No space left on device"):
        durable.append_line(Path("/dev/full"), "a row")


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    """A folder that may not be written to, by whom the tests are meanwhile: root may everywhere."""
    folder, who = Path(tempfile.mkdtemp()), os.geteuid()
    if who == 0:
        os.chown(folder, NOBODY, -1)
        os.seteuid(NOBODY)
    folder.chmod(0o500)
    yield folder
    folder.chmod(0o700)
    os.seteuid(who)
    shutil.rmtree(folder)


def test_a_read_only_folder_is_a_machine_error(read_only_folder: Path) -> None:
    with pytest.raises(MachineError, match="may write"):
        durable.save_directory(read_only_folder / "model", FILES)


def test_lines_are_appended_and_cut(tmp_path: Path) -> None:
    log = tmp_path / "results.csv"
    assert durable.truncate_lines(log, 3) == 0
    for row in ["a", "b\udcff", "c"]:
        durable.append_line(log, row, sync=row == "c")
    assert log.read_bytes() == b"a\nb\xff\nc\n"
    assert durable.truncate_lines(log, 9) == 3
    with log.open("ab") as file:
        file.write(b"torn")
    assert durable.truncate_lines(log, 9) == 3
    assert log.read_bytes() == b"a\nb\xff\nc\n"
    assert durable.truncate_lines(log, 2) == 2
    assert log.read_bytes() == b"a\nb\xff\n"
    assert durable.truncate_lines(log, 0) == 0
    assert log.read_bytes() == b""


def test_a_held_lock_names_its_holder_and_ends_with_it(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    mine = f"in use by process {os.getpid()}"
    with durable.Lock(path), pytest.raises(MachineError, match=mine):
        durable.Lock(path).__enter__()
    with durable.Lock(path):
        pass


def test_a_killed_process_frees_the_lock_even_where_its_children_live_on(tmp_path: Path) -> None:
    holder = """
import os, pathlib, sys, time
from reslab import durable
with durable.Lock(pathlib.Path(sys.argv[1])):
    if os.fork() == 0:
        print("held", flush=True)
        time.sleep(60)
        os._exit(0)
    time.sleep(60)
"""
    path = tmp_path / "lock"
    command = [sys.executable, "-c", holder, str(path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            with pytest.raises(MachineError, match=f"process {process.pid}"):
                durable.Lock(path).__enter__()
            process.kill()
            process.wait()
            with durable.Lock(path):
                pass
        finally:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("folder_too", [False, True])
def test_a_save_after_a_crash_between_the_renames_leaves_one_folder(
    tmp_path: Path, folder_too: bool
) -> None:
    durable.save_directory(tmp_path / "model", {"a": b"1"})
    (tmp_path / "model").rename(tmp_path / ".model.aside")
    if folder_too:
        durable.save_directory(tmp_path / "other", {"a": b"2"})
        (tmp_path / "other").rename(tmp_path / "model")
    assert durable.read_directory(tmp_path / "model") == {"a": b"2" if folder_too else b"1"}
    durable.save_directory(tmp_path / "model", {"a": b"3"})
    assert os.listdir(tmp_path) == ["model"]
    assert durable.read_directory(tmp_path / "model") == {"a": b"3"}


def test_recover_says_what_it_did(tmp_path: Path) -> None:
    assert durable.recover(tmp_path / "nowhere") == []
    durable.save_directory(tmp_path / "model", FILES)
    assert durable.recover(tmp_path) == []
    (tmp_path / "model").rename(tmp_path / ".model.aside")
    (tmp_path / ".next.0123abcd.partial").mkdir()
    (tmp_path / ".next.0123abcd.partial" / "weights").write_bytes(b"half")
    (tmp_path / ".log.0123abcd.partial").write_bytes(b"half")
    assert durable.recover(tmp_path) == [
        "removed unfinished .log.0123abcd.partial",
        "put back model, which a crash had left aside",
        "removed unfinished .next.0123abcd.partial",
    ]
    assert os.listdir(tmp_path) == ["model"]
