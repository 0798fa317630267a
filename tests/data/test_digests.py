"""The digests of files: what they are, and when a file is read again."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from reslab.data.dataset import _File, file_digests
from reslab.errors import DataError

NAMES = tuple(f"{folder}/{number:02d}.png" for folder in "ab" for number in range(50))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of files that are old enough to be known again, with a cache of its own."""
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for name in NAMES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(rng.bytes(int(rng.integers(0, 3000))))
    time.sleep(0.06)
    return tmp_path / "photos"


def expected(root: Path) -> list[bytes]:
    return [hashlib.sha256((root / name).read_bytes()).digest()[:16] for name in NAMES]


def read_now(root: Path) -> tuple[list[bytes], int]:
    """Return the digests, and how many files were read for them."""
    told: list[int] = [0]
    found = file_digests(root, NAMES, lambda done, total: told.append(total))
    return [row.tobytes() for row in found], told[-1]


def test_a_digest_is_that_of_the_bytes_and_files_are_read_once(root: Path) -> None:
    assert read_now(root) == (expected(root), len(NAMES))
    assert read_now(root) == (expected(root), 0)


def test_a_file_that_changed_is_read_again_whatever_its_time_says(root: Path) -> None:
    read_now(root)
    path = root / NAMES[70]
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found, _ = read_now(root)
    assert found == expected(root)
    assert found[70] == hashlib.sha256(bytes(before.st_size)).digest()[:16]


def test_files_that_come_and_go_cost_the_others_nothing(root: Path) -> None:
    read_now(root)
    (root / NAMES[3]).write_bytes(b"new")
    (root / NAMES[4]).unlink()
    names = NAMES[:4] + NAMES[5:]
    found = file_digests(root, names)
    wanted = [hashlib.sha256((root / name).read_bytes()).digest()[:16] for name in names]
    assert [row.tobytes() for row in found] == wanted


def test_what_is_kept_may_be_damaged_or_impossible(root: Path, tmp_path: Path) -> None:
    read_now(root)
    (kept,) = (tmp_path / "cache" / "digests").iterdir()
    data = bytearray(kept.read_bytes())
    data[-1] ^= 1
    kept.write_bytes(data)
    assert read_now(root) == (expected(root), len(NAMES))
    kept.unlink()
    kept.mkdir()
    assert read_now(root) == (expected(root), len(NAMES))


def test_a_file_that_just_changed_is_not_known_again() -> None:
    """It could change once more within one tick of the clock, and have the same time."""
    second = 1_000_000_000
    file = _File("", b"", 0, ctime_ns=5 * second + 123)
    assert file.is_young(5 * second + 1_000_000)
    assert not file.is_young(5 * second + 100_000_000)
    coarse = _File("", b"", 0, ctime_ns=5 * second)
    assert coarse.is_young(6 * second)
    assert not coarse.is_young(8 * second)


def test_what_cannot_be_read_is_named(root: Path) -> None:
    (root / NAMES[1]).unlink()
    with pytest.raises(DataError, match=r"a/01\.png cannot be read: No such file"):
        file_digests(root, NAMES)
    os.mkfifo(root / NAMES[1])
    with pytest.raises(DataError, match=r"a/01\.png cannot be read: it is no file"):
        file_digests(root, NAMES)
