"""The one door: names, paths, archives, and data sets that must be fetched."""

import functools
import gzip
import hashlib
import http.server
import io
import os
import shutil
import struct
import tarfile
import tempfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pictures import write_pictures

from reslab.data.open import NAMES, collect_dataset, open_dataset
from reslab.data.sources import archive as archives
from reslab.data.sources import named
from reslab.data.sources.named import Published, cache_folder, fetch, open_published
from reslab.errors import DataError, MachineError, UsageError


def test_digits() -> None:
    dataset = open_dataset("digits")
    assert len(dataset.images) == 1797
    assert dataset.classes == tuple("0123456789")
    assert dataset.images.read(0).shape == (8, 8)
    pixels = np.stack([dataset.images.read(i) for i in range(1797)])
    assert (pixels.min(), pixels.max()) == (0, 255)
    assert sorted(set(pixels.ravel().tolist()))[:4] == [0, 16, 32, 48]  # 17 steps of 255 / 16
    shares = np.bincount(dataset.labels[dataset.split("test")]) / np.bincount(dataset.labels)
    assert np.abs(shares - 0.2).max() < 0.005
    assert open_dataset("digits").split("test").tolist() == dataset.split("test").tolist()


@pytest.mark.parametrize(
    ("word", "hint"),
    [("digit", "did you mean 'digits'"), ("fashion_mnist", "'fashion-mnist'"), ("zzz", "path of")],
)
def test_unknown_names(word: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint) as caught:
        open_dataset(word)
    assert caught.value.exit_code == 2


def test_paths_that_are_not_there(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", {"a": 1, "b": 1})
    with pytest.raises(UsageError, match=r"no file or folder .*did you mean 'photos'"):
        open_dataset(tmp_path / "photo")
    with pytest.raises(UsageError, match=r"no file or folder a\\x00b"):
        open_dataset("a\0b/")
    with pytest.raises(UsageError, match=r"no file or folder a\\x00b"):
        open_dataset("a\0b/c")
    with pytest.raises(UsageError, match="no file or folder ~nobody-at-all/photos"):
        open_dataset("~nobody-at-all/photos")


def test_names_that_are_too_long(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        open_dataset("x" * 300)
    with pytest.raises(UsageError, match="there is no file or folder"):
        open_dataset(tmp_path / ("x" * 300 + ".csv"))


@contextmanager
def someone_else() -> Iterator[None]:
    """Give up the rights of root for a while: root may read everything."""
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(me)


@pytest.mark.parametrize("mode", [0o000, 0o311, 0o644])
def test_a_folder_that_may_not_be_read(mode: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        folder = Path(place) / "photos"
        write_pictures(folder, {"a": 1, "b": 1})
        folder.chmod(mode)
        with someone_else(), pytest.raises(DataError, match="check its permissions") as caught:
            open_dataset(folder)
        folder.chmod(0o755)
    assert "photos" in caught.value.message
    assert "cannot be read (Permission denied)" in caught.value.message


def test_an_archive_that_may_not_be_read(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        write_pictures(tmp_path / "photos", {"a": 1, "b": 1})
        for kind in ("zip", "tar.gz"):
            file = pack(kind, tmp_path / "photos", Path(place))
            file.chmod(0o000)
            with someone_else(), pytest.raises(DataError, match=rf"{file} cannot be read"):
                open_dataset(file, cache=Path(place) / "cache")


@pytest.mark.parametrize("locked", ["test", "train/b"])
def test_a_folder_inside_that_may_not_be_read_is_named_once(locked: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        write_pictures(Path(place), {"train/a": 1, "train/b": 1, "train/c": 1, "test/a": 1})
        (Path(place) / locked).chmod(0o000)
        with someone_else():
            findings = collect_dataset(place).findings
        (Path(place) / locked).chmod(0o755)
    assert [(f.kind, f.paths) for f in findings] == [("unreadable", (f"{place}/{locked}",))]


def test_a_folder_called_like_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path / "shapes", {"a": 1, "b": 1})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"write \./shapes"):
        open_dataset("shapes")
    assert len(open_dataset("./shapes").images) == 2
    assert len(open_dataset(Path("shapes")).images) == 2
    assert len(open_dataset("shapes:num=20").images) == 20


def test_a_file_that_is_no_data_set(tmp_path: Path) -> None:
    files = write_pictures(tmp_path, {".": 1})
    with pytest.raises(DataError, match="is a single image"):
        open_dataset(files[0])
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="is no data set"):
        open_dataset(tmp_path / "notes.txt")


def pack(kind: str, source: Path, target: Path) -> Path:
    file = target / f"photos.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(source.rglob("*")):
                packed.write(path, path.relative_to(source.parent))
    else:
        compression = kind.removeprefix("tar").removeprefix(".")
        with tarfile.open(file, f"w:{compression}") as packed_tar:  # type: ignore[call-overload]
            packed_tar.add(source, arcname=source.name)
    return file


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_archives_of_image_folders(tmp_path: Path, kind: str) -> None:
    write_pictures(tmp_path / "wrap", {"train/a": 2, "train/b": 2, "test/a": 1, "test/b": 1})
    (tmp_path / "wrap" / "run.sh").write_text("echo no image")
    file, cache = pack(kind, tmp_path / "wrap", tmp_path), tmp_path / "cache"
    dataset = open_dataset(file, cache=cache)
    assert dataset.name == "photos"
    assert {name: len(held) for name, held in dataset.splits.items()} == {"train": 4, "test": 2}
    assert not list(cache.rglob("run.sh"))
    times = {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")}
    assert open_dataset(file, cache=cache).fingerprint() == dataset.fingerprint()
    assert {path: path.stat().st_mtime_ns for path in cache.rglob("*.png")} == times


def tar_with(file: Path, member: tarfile.TarInfo, data: bytes = b"") -> None:
    with tarfile.open(file, "w") as packed:
        good = tarfile.TarInfo("a/good.png")
        good.size = 4
        packed.addfile(good, io.BytesIO(b"good"))
        member.size = len(data)
        packed.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("name", ["../evil.png", "a/../../evil.png", "/tmp/reslab-evil.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_that_lead_out_write_nothing(tmp_path: Path, name: str, kind: str) -> None:
    file, cache = tmp_path / f"x.{kind}", tmp_path / "deep" / "cache"
    if kind == "zip":
        with zipfile.ZipFile(file, "w") as packed:
            packed.writestr("a/good.png", b"good")
            packed.writestr(name, b"evil")
    else:
        tar_with(file, tarfile.TarInfo(name), b"evil")
    with pytest.raises(DataError, match="not safe to unpack"):
        open_dataset(file, cache=cache)
    assert not list(tmp_path.rglob("*.png"))
    assert not Path("/tmp/reslab-evil.png").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_archives_are_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("a/link.png")
    member.type, member.linkname = kind, "/etc/passwd"
    tar_with(tmp_path / "x.tar", member)
    with pytest.raises(DataError, match="is a link or device"):
        open_dataset(tmp_path / "x.tar", cache=tmp_path / "cache")
    assert not list(tmp_path.rglob("*.png"))


def test_links_in_zip_files_are_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a/link.png")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        packed.writestr(info, "/etc/passwd")
    with pytest.raises(DataError, match="is a link or device"):
        open_dataset(tmp_path / "x.zip", cache=tmp_path / "cache")


def test_bombs_are_stopped_and_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES_ANYWAY", 1_000_000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for number in range(8):
            packed.writestr(f"a/{number}.png", bytes(900_000))
    with pytest.raises(DataError, match="unpacks to more than"):
        open_dataset(tmp_path / "x.zip", cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.png"))


def test_damaged_archives(tmp_path: Path) -> None:
    write_pictures(tmp_path / "wrap", {"a": 3, "b": 3})
    for kind in ("zip", "tar.gz"):
        file = pack(kind, tmp_path / "wrap", tmp_path)
        file.write_bytes(file.read_bytes()[:-400])
        with pytest.raises(DataError, match="is damaged"):
            open_dataset(file, cache=tmp_path / "cache")


def damage(file: Path) -> None:
    """Change a few bytes where only a reader that looks at all of the file can see it."""
    data = bytearray(file.read_bytes())
    if file.suffix == ".zip":
        with zipfile.ZipFile(file) as packed:
            last = packed.infolist()[-1]
        data[last.header_offset + 30 + len(last.filename)] = 7  # a kind of block that is none
    elif file.suffix == ".gz":
        data[-6] ^= 1  # the checksum
    elif file.suffix == ".tar":
        with tarfile.open(file) as packed_tar:
            last_header = packed_tar.getmembers()[-1].offset
        data[last_header + 150] ^= 1  # the checksum
    else:
        middle = len(data) // 2
        data[middle : middle + 9] = b"\xff" * 9
    file.write_bytes(data)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.bz2", "tar.xz"])
def test_flipped_bits_in_archives_are_found(tmp_path: Path, kind: str) -> None:
    write_pictures(tmp_path / "wrap", {"a": 2, "b": 2})
    file, cache = pack(kind, tmp_path / "wrap", tmp_path), tmp_path / "cache"
    damage(file)
    with pytest.raises(DataError, match="is damaged") as caught:
        open_dataset(file, cache=cache)
    assert "\n" not in str(caught.value)
    assert not list(cache.rglob("*.png"))


def test_a_tar_file_that_was_cut_between_two_images_is_damaged(tmp_path: Path) -> None:
    file = tar_of_bitmaps(tmp_path / "x.tar", 1, 0)
    with tarfile.open(file) as packed:
        last = packed.getmembers()[-1].offset
    file.write_bytes(file.read_bytes()[:last])
    with pytest.raises(DataError, match="is damaged"):
        open_dataset(file, cache=tmp_path / "cache")


def test_files_that_a_desktop_adds_to_archives_stay_packed(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", {"cat": 2, "dog": 2})
    file, cache = pack("zip", tmp_path / "photos", tmp_path), tmp_path / "cache"
    with zipfile.ZipFile(file, "a") as packed:
        packed.writestr("photos/.hidden/x.png", b"no image")
        for name in packed.namelist():
            if name.endswith(".png"):
                folder, _, last = name.rpartition("/")
                packed.writestr(f"__MACOSX/{folder}/._{last}", b"Mac OS X resource fork")
    dataset = open_dataset(file, cache=cache)
    assert dataset.classes == ("cat", "dog")
    assert len(dataset.images) == 4
    assert len(list(cache.rglob("*.png"))) == 4
    (next((cache / "unpacked").iterdir()) / "__MACOSX" / "photos").mkdir(parents=True)
    assert open_dataset(file, cache=cache).fingerprint() == dataset.fingerprint()


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_an_archive_is_the_same_data_set_whenever_it_is_unpacked(tmp_path: Path, kind: str) -> None:
    files = write_pictures(tmp_path / "wrap", {"a": 2, "b": 2})
    for path in files:
        os.utime(path, (1_500_000_000, 1_500_000_000))
    first = open_dataset(pack(kind, tmp_path / "wrap", tmp_path), cache=tmp_path / "cache")
    assert "2017" in str(np.datetime64(os.stat(first.images.name(0)).st_mtime_ns, "ns"))
    before = first.fingerprint()
    shutil.rmtree(tmp_path / "cache")
    assert open_dataset(tmp_path / f"photos.{kind}", cache=tmp_path / "c").fingerprint() == before


def tar_of_bitmaps(file: Path, value: int, time: float) -> Path:
    """Pack two images whose size does not depend on what they show."""
    with tarfile.open(file, "w") as packed:
        for name in ("a/0.pgm", "b/0.pgm"):
            data = b"P5 4 4 255\n" + bytes([value]) * 16
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), time
            packed.addfile(info, io.BytesIO(data))
    return file


@pytest.mark.parametrize("time", [0, -5, 2**40])
def test_archives_without_times_differ_by_their_content(tmp_path: Path, time: int) -> None:
    prints = []
    for run, value in enumerate((1, 1, 2)):
        file = tar_of_bitmaps(tmp_path / f"{run}.tar", value, time)
        prints.append(open_dataset(file, cache=tmp_path / "cache").fingerprint())
    assert prints[0] == prints[1]
    assert prints[0] != prints[2]


def test_a_zip_file_without_a_date_is_unpacked(tmp_path: Path) -> None:
    data = write_pictures(tmp_path, {".": 1})[0].read_bytes()
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as packed:
        for name in ("a/0.png", "b/0.png"):
            packed.writestr(zipfile.ZipInfo(name, (1980, 0, 0, 0, 0, 0)), data)
    dataset = open_dataset(tmp_path / "x.zip", cache=tmp_path / "cache")
    assert os.stat(dataset.images.name(0)).st_mtime_ns < 10**9


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.tobytes())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve a folder over HTTP on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            if not self.path.startswith("/cut/"):
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"the rest is missing")

    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/", folder
        httpd.shutdown()
        thread.join()


def published(url: str, folder: Path) -> Published:
    arrays = {
        "train-images-idx3-ubyte.gz": np.zeros((4, 3, 3), dtype=np.uint8),
        "train-labels-idx1-ubyte.gz": np.array([0, 1, 0, 1], dtype=np.uint8),
        "t10k-images-idx3-ubyte.gz": np.zeros((2, 3, 3), dtype=np.uint8),
        "t10k-labels-idx1-ubyte.gz": np.array([1, 0], dtype=np.uint8),
    }
    for name, array in arrays.items():
        (folder / name).write_bytes(idx(array))
    sums = tuple((n, hashlib.md5((folder / n).read_bytes()).hexdigest()) for n in arrays)
    return Published("mnist", sums, (f"{url}gone/", url))


def test_fetching_falls_back_checks_and_keeps(
    server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = server
    monkeypatch.setitem(named.PUBLISHED, "mnist", published(url, folder))
    told: list[str] = []
    dataset = open_published("mnist", tmp_path / "cache", told.append)
    assert dataset.labels.tolist() == [0, 1, 0, 1, 1, 0]
    assert len(told) == 8  # four files, the first place has none
    for path in folder.iterdir():
        path.unlink()
    assert open_published("mnist", tmp_path / "cache").name == "mnist"


@pytest.mark.parametrize("present", [1, 2, 3])
def test_an_interrupted_download_is_completed(
    server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: int
) -> None:
    url, folder = server
    wanted = published(url, folder)
    monkeypatch.setitem(named.PUBLISHED, "mnist", wanted)
    home = tmp_path / "cache" / "mnist"
    home.mkdir(parents=True)
    names = [name for name, _ in wanted.files]
    for name in names[:present]:
        (folder / name).rename(home / name)
    told: list[str] = []
    dataset = open_published("mnist", tmp_path / "cache", told.append)
    assert {name: len(held) for name, held in dataset.splits.items()} == {"train": 4, "test": 2}
    assert [line.rpartition("/")[2] for line in told[1::2]] == names[present:]


def test_files_of_mnist_are_not_taken_for_fashion_mnist(
    server: tuple[str, Path], tmp_path: Path
) -> None:
    _, folder = server
    published("http://127.0.0.1:9/", folder)
    folder.rename(tmp_path / "fashion-mnist")
    with pytest.raises(DataError, match="does not hold fashion-mnist"):
        open_published("fashion-mnist", tmp_path)


def test_a_connection_that_is_cut_goes_to_the_next_place(
    server: tuple[str, Path], tmp_path: Path
) -> None:
    url, folder = server
    wanted = published(url, folder)
    cut = Published("mnist", wanted.files, (f"{url}cut/", url))
    assert len(fetch(cut, tmp_path / "cache")) == 4
    with pytest.raises(MachineError, match=r"cannot be fetched .*IncompleteRead"):
        fetch(Published("mnist", wanted.files, (f"{url}cut/",)), tmp_path / "other")


def test_a_wrong_checksum_keeps_nothing(server: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = server
    wanted = published(url, folder)
    (folder / wanted.files[0][0]).write_bytes(b"something else")
    with pytest.raises(MachineError, match="MD5 is not") as caught:
        fetch(wanted, tmp_path / "cache")
    assert caught.value.exit_code == 5
    assert str(tmp_path / "cache" / wanted.files[0][0]) in caught.value.remedy
    assert not list(tmp_path.glob("cache/*"))


def test_no_network_says_where_to_put_the_file(tmp_path: Path) -> None:
    nowhere = Published("x", (("f.gz", "0" * 32),), ("http://127.0.0.1:9/",))
    with pytest.raises(MachineError, match=r"f\.gz cannot be fetched .*put the file at"):
        fetch(nowhere, tmp_path)


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESLAB_DATA", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert cache_folder(tmp_path) == tmp_path
    monkeypatch.delenv("RESLAB_DATA")
    monkeypatch.setenv("RESLAB_CACHE", str(tmp_path / "cache"))
    assert cache_folder() == tmp_path / "cache" / "data"
    monkeypatch.delenv("RESLAB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "reslab" / "data"


def test_every_name_is_documented_and_checksums_look_right() -> None:
    assert set(NAMES) == {"digits", "shapes", "mnist", "fashion-mnist", "cifar10", "cifar100"}
    for entry in named.PUBLISHED.values():
        assert all(len(bytes.fromhex(md5)) == 16 for _, md5 in entry.files)
        assert all(url.endswith("/") for url in entry.urls)


SHARED = Path(__file__).parents[3] / "shared" / "data" / "cifar10-jpeg.tar.gz"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason="the shared CIFAR-10-JPEG archive is missing")
def test_sixty_thousand_real_files_are_checked(tmp_path: Path) -> None:
    """Near duplicates of 60,000 images: the known ones are found, and nothing else is wrong."""
    from reslab.data.check import check_dataset

    dataset = open_dataset(SHARED, cache=tmp_path)
    assert {name: len(held) for name, held in dataset.splits.items()} == {
        "train": 50_000, "test": 10_000
    }  # fmt: skip
    report = check_dataset(dataset, deep=True, workers=2)
    kinds = {finding.kind for finding in report.findings}
    assert kinds == {"near-duplicate", "near-duplicate-across", "near-label-conflict"}
    assert report.ok
