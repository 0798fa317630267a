"""Where the one cache folder is, whatever the environment lacks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from reslab.data.image_cache import image_cache_folder
from reslab.data.sources import named
from reslab.durable import cache
from reslab.durable.cache import TAG, cache_folder, cache_root, keep, make_cache_folder, recall

VARIABLES = ("RESLAB_CACHE", "RESLAB_DATA", "XDG_CACHE_HOME")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home of its own, and none of the variables."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_everything_lies_in_one_root(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def roots() -> set[Path]:
        return {
            cache_root(),
            cache_folder("plan").parent,
            image_cache_folder().parent,
            named.cache_folder().parent,
        }

    assert roots() == {home / ".cache" / "reslab"}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert roots() == {tmp_path / "xdg" / "reslab"}
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/invalid")
    assert roots() == {home / ".cache" / "reslab"}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("RESLAB_CACHE", "~/mine")
    assert roots() == {home / "mine"}
    assert cache_folder("store", tmp_path / "named") == tmp_path / "named" / "store"
    monkeypatch.setenv("RESLAB_DATA", "~/data")
    assert named.cache_folder() == home / "data"


def test_nothing_in_the_sources_makes_a_path_of_its_own() -> None:
    """Only `durable.cache` decides; `download` still looks where older versions fetched to."""
    source = Path(cache.__file__).parents[1]
    places = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if any(word in path.read_text() for word in ('".cache"', "XDG_CACHE", "~/.cache/reslab"))
    }
    assert places == {"durable/cache.py", "data/sources/named.py"}


PRINT_ROOT = """
import os
from reslab.durable.cache import make_cache_folder
os.setuid({user})
print(make_cache_folder("plan").parent)
"""


def root_in(environment: dict[str, str], user: int | None = None) -> Path:
    """Return where a process with only these variables keeps things."""
    code = PRINT_ROOT.format(user=os.geteuid() if user is None else user)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={"PYTHONPATH": str(Path(cache.__file__).parents[2]), **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return Path(done.stdout.strip())


@pytest.mark.parametrize("home", ["/nonexistent", "/", ""])
def test_without_a_home_it_is_a_private_folder_among_the_temporary_files(
    tmp_path: Path, home: str
) -> None:
    root = root_in({"HOME": home, "TMPDIR": str(tmp_path)})
    assert root == tmp_path / f"reslab-{os.geteuid()}"
    assert root.stat().st_mode & 0o777 == 0o700
    assert root_in({"HOME": home, "TMPDIR": str(tmp_path)}) == root


@pytest.mark.parametrize("kind", ["open to all", "link", "file"])
def test_a_temporary_folder_that_others_could_fill_is_not_taken(tmp_path: Path, kind: str) -> None:
    """Compiled code is loaded from the cache."""
    place = tmp_path / f"reslab-{os.geteuid()}"
    if kind == "link":
        (tmp_path / "theirs").mkdir()
        place.symlink_to(tmp_path / "theirs")
    elif kind == "file":
        place.touch()
    else:
        place.mkdir()
        place.chmod(0o777)
    root = root_in({"HOME": "/nonexistent", "TMPDIR": str(tmp_path)})
    assert root != place
    assert root.parent == tmp_path
    assert root.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_without_a_name_or_a_home_has_a_place() -> None:
    """As in a container that runs under a number that no table knows."""
    root = root_in({}, user=54321)
    try:
        assert root.name.startswith("reslab-54321")
        assert root.stat().st_uid == 54321
    finally:
        subprocess.run(["rm", "-r", "--", str(root)], check=True)


def test_a_new_root_is_marked_and_another_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_cache_folder("plan", tmp_path / "new")
    text = (tmp_path / "new" / TAG).read_text()
    assert text.startswith("Signature: 8a477f597d28d172789f06886806bc55\n")
    (tmp_path / "scratch").mkdir()
    make_cache_folder("plan", tmp_path / "scratch")
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["plan"]
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "answers"))
    keep("plan", "key", {"a": 1})
    assert recall("plan", "key") == {"a": 1}


def test_data_that_an_older_version_fetched_are_found(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They lay in ~/.cache/reslab/data, whatever $RESLAB_CACHE said."""
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
    homes = named._homes(None)
    assert homes == [tmp_path / "cache" / "data", home / ".cache" / "reslab" / "data"]
    assert named._homes(tmp_path) == [tmp_path]
    monkeypatch.setenv("RESLAB_DATA", str(tmp_path / "data"))
    assert named._homes(None) == [tmp_path / "data"]
