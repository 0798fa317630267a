"""The one door: names, paths, archives, and data sets that must be fetched."""

import functools
import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pictures import write_pictures

from reslab.data.open import NAMES, open_dataset
from reslab.data.sources import archive as archives
from reslab.data.sources import download
from reslab.data.sources.download import Published, cache_folder, fetch, open_published
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
        with zipfile.ZipFile(file, "w") as packed:
            for path in sorted(source.rglob("*")):
                packed.write(path, path.relative_to(source.parent))
    else:
        with tarfile.open(file, "w:gz" if kind == "tar.gz" else "w") as packed_tar:
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


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(">HBB", 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.tobytes())


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Serve a folder over HTTP on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}/", folder
        httpd.shutdown()
        thread.join()


def published(url: str, folder: Path) -> Published:
    arrays = {
        "train-images-idx3-ubyte.gz": np.zeros((4, 3, 3), dtype=np.uint8),
        "train-labels-idx1-ubyte.gz": np.array([0, 1, 0, 1], dtype=np.uint8),
    }
    for name, array in arrays.items():
        (folder / name).write_bytes(idx(array))
    sums = tuple((n, hashlib.md5((folder / n).read_bytes()).hexdigest()) for n in arrays)
    return Published("mnist", sums, (f"{url}gone/", url))


def test_fetching_falls_back_checks_and_keeps(
    server: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = server
    monkeypatch.setitem(download.PUBLISHED, "mnist", published(url, folder))
    told: list[str] = []
    dataset = open_published("mnist", tmp_path / "cache", told.append)
    assert dataset.labels.tolist() == [0, 1, 0, 1]
    assert len(told) == 4  # two files, the first place has neither
    for path in folder.iterdir():
        path.unlink()
    assert open_published("mnist", tmp_path / "cache").name == "mnist"


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
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "reslab" / "data"


def test_every_name_is_documented_and_checksums_look_right() -> None:
    assert set(NAMES) == {"digits", "shapes", "mnist", "fashion-mnist", "cifar10", "cifar100"}
    for entry in download.PUBLISHED.values():
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
