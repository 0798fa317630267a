"""Data sets by name: published ones, looked for and fetched, and scikit-learn's digits."""

from __future__ import annotations

import dataclasses
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from reslab.data.dataset import ArrayImages, Dataset
from reslab.data.sources.cifar import open_cifar_archive, open_cifar_folder
from reslab.data.sources.idx import FASHION_CLASSES, holds_both_splits, open_idx_folder
from reslab.display.names import shown
from reslab.durable import cache as durable_cache
from reslab.durable import write_file
from reslab.errors import DataError, MachineError

Notify = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Published:
    """One published data set.

    Args:
        folder: where it lies in the cache (an archive: where it lies unpacked).
        files: (file name, MD5 as published) of everything to fetch.
        urls: folders to fetch from, tried in this order.
        others: further places where other tools put it; relative ones are in the cache.
    """

    folder: str
    files: tuple[tuple[str, str], ...]
    urls: tuple[str, ...]
    others: tuple[str, ...] = ()


_TORONTO = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
PUBLISHED = {
    "fashion-mnist": Published(
        "fashion-mnist",
        (
            ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
            ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
            ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
            ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
        ),
        ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
        ("/usr/share/datasets/fashion-mnist", "FashionMNIST/raw"),
    ),
    "mnist": Published(
        "mnist",
        (
            ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
        ),
        (
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        ("MNIST/raw",),
    ),
    "cifar10": Published(
        "cifar-10-batches-py",
        (("cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"),),
        _TORONTO,
    ),
    "cifar100": Published(
        "cifar-100-python",
        (("cifar-100-python.tar.gz", "eb9058c3a382ffc7106e4002c42a8d85"),),
        _TORONTO,
    ),
}


def cache_folder(cache: Path | None = None) -> Path:
    """Return where data sets are kept: the argument, $RESLAB_DATA, or the user's cache."""
    if cache is not None:
        return cache
    named = os.environ.get("RESLAB_DATA")
    return Path(os.path.expanduser(named)) if named else durable_cache.cache_folder("data")


def _homes(cache: Path | None) -> list[Path]:
    """Return where published data sets may lie already; what is fetched goes into the first.

    The last is where older versions kept them, whatever $RESLAB_CACHE said.
    """
    homes = [cache_folder(cache)]
    home = os.path.expanduser("~")
    if cache is None and not os.environ.get("RESLAB_DATA") and os.path.isabs(home):
        homes.append(Path(home) / ".cache" / "reslab" / "data")
    return homes


def open_published(name: str, cache: Path | None = None, notify: Notify | None = None) -> Dataset:
    """Open a published data set; what this machine lacks of it is fetched into the cache.

    Args:
        name: a key of PUBLISHED.
        cache: see `cache_folder`.
        notify: called with a line for people before something is fetched.

    Raises:
        MachineError: it cannot be fetched; the remedy says where to put the files.
        DataError: the files are damaged.
    """
    published = PUBLISHED[name]
    homes = _homes(cache)
    if name in ("mnist", "fashion-mnist"):
        parts = (published.folder, *published.others)
        places = [home / part for home in homes for part in parts]
        found = next((place for place in places if holds_both_splits(place)), None)
        if found is None:
            found = fetch(published, places[0], notify)[0].parent
        dataset = open_idx_folder(found)
        if (dataset.classes == FASHION_CLASSES) != (name == "fashion-mnist"):
            raise DataError(f"{shown(found)} does not hold {name}", remedy="empty that folder")
        return dataclasses.replace(dataset, name=name)
    for home in homes:
        if (home / published.folder).is_dir():
            return open_cifar_folder(home / published.folder)
    archive = published.files[0][0]
    home = next((home for home in homes if (home / archive).is_file()), homes[0])
    return open_cifar_archive(fetch(published, home, notify)[0])


def fetch(published: Published, into: Path, notify: Notify | None = None) -> list[Path]:
    """Fetch the files of a data set that are not there yet; each is kept only if its MD5 fits."""
    paths = []
    for file_name, md5 in published.files:
        path = into / file_name
        if not path.is_file():
            write_file(path, _fetch_one(file_name, md5, published.urls, path, notify))
        paths.append(path)
    return paths


def _fetch_one(
    file_name: str, md5: str, urls: Sequence[str], path: Path, notify: Notify | None
) -> bytes:
    reasons = []
    for base in urls:
        url = base + file_name
        if notify is not None:
            notify(f"fetching {url}")
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                data: bytes = answer.read()
        # URLError and HTTPError are OSErrors; a connection cut half-way is an HTTPException
        except (OSError, ValueError, http.client.HTTPException) as error:
            reasons.append(f"{url}: {getattr(error, 'reason', None) or error}")
            continue
        if hashlib.md5(data).hexdigest() == md5:
            return data
        reasons.append(f"{url}: its MD5 is not {md5}")
    raise MachineError(
        f"{file_name} cannot be fetched ({'; '.join(reasons)})",
        remedy=f"put the file at {path} yourself",
    )


# --- digits ---------------------------------------------------------------------------------------


def open_digits() -> Dataset:
    """Scale the values 0..16 to 0..255; the test split is 20% of each class, always the same."""
    from sklearn.datasets import load_digits

    from reslab.data.split import complete_splits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    flat = Dataset(
        name="digits",
        classes=tuple(str(digit) for digit in range(10)),
        images=ArrayImages(pixels, label="digits"),
        labels=bunch.target.astype(np.int64),
        splits={},
    )
    return complete_splits(flat, val_fraction=0.0, seed=0)
