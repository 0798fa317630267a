"""What the first versions of reslab recorded of their data."""

from __future__ import annotations

import hashlib

from reslab.data.dataset import Dataset, FileImages


def first_fingerprint(dataset: Dataset) -> str:
    """Return what `Dataset.fingerprint` returned before it went by content.

    It is written out here on its own: of paths, sizes and times of change.
    """
    assert isinstance(dataset.images, FileImages)
    files = hashlib.sha256()
    for path in dataset.images.paths:
        status = (dataset.images.root / path).stat()
        files.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    whole = hashlib.sha256(files.hexdigest().encode())
    whole.update("\0".join(dataset.classes).encode())
    whole.update(dataset.labels.tobytes())
    return whole.hexdigest()
