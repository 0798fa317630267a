"""What a file is, told by its first bytes: weights, or what people download in their place.

A file that is no weights is named as what it is (an HTML page, a pointer of Git LFS, an archive
that was cut off), with what to do about it. Nothing in a file is run, unpacked or unpickled.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import struct
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from reslab.errors import CheckpointError

# Kinds that weights are read from.
READ = ("torch", "torch legacy", "safetensors", "hdf5", "keras", "index")
# Kinds whose description needs no addition.
_SAYS_ENOUGH = (
    "empty",
    "zeros",
    "cut off",
    "damaged",
    "lfs pointer",
    "annex pointer",
    "dvc pointer",
)
AGAIN = "download or copy it again"
UNPACK = "unpack it, and name the file of weights inside"
CONVERT = "save its state_dict() as safetensors in the program that wrote it"
# Names inside archives that are worth naming.
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".bin", ".ckpt", ".h5", ".keras")

_HEAD_BYTES = 64 * 1024
_JSON_BYTES_MAX = 64 * 1024 * 1024  # the index of a network of a thousand layers has 0.1 MB
_SAFETENSORS_HEADER_BYTES_MAX = 100_000_000  # the format's own limit
_TORCH_LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LEVELDB_TABLE_END = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"


@dataclasses.dataclass(frozen=True)
class FileKind:
    """What a file is.

    Args:
        name: a short name; one of `READ` where weights can be read from it.
        what: for messages, with its article: "an HTML page ('404 Not Found')".
        remedy: what to do to get weights, a short imperative phrase; may be empty.
    """

    name: str
    what: str
    remedy: str = ""

    @property
    def holds_weights(self) -> bool:
        """Whether weights can be read from such a file."""
        return self.name in READ


def refusal(path: Path, kind: FileKind) -> CheckpointError:
    """Build the error for a file that no weights can be read from: what it is, what to do."""
    enough = kind.name in _SAYS_ENOUGH or " not " in kind.what
    message = f"{path} is {kind.what}" + ("" if enough else ", not weights")
    return CheckpointError(message, remedy=kind.remedy)


# First bytes of files that say no more of themselves.
_MAGIC: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"\x89HDF\r\n\x1a\n", FileKind("hdf5", "an HDF5 file")),
    (0, b"GGUF", FileKind("gguf", "a GGUF file of a language model")),
    (4, b"TFL3", FileKind("tflite", "a TensorFlow Lite model", CONVERT)),
    (
        0,
        b"\x93NUMPY",
        FileKind("npy", "one NumPy array (.npy), without names", CONVERT),
    ),
    (0, b"\x1f\x8b", FileKind("gzip", "a gzip archive", UNPACK)),
    (0, b"BZh", FileKind("bzip2", "a bzip2 archive", UNPACK)),
    (0, b"\xfd7zXZ\x00", FileKind("xz", "an xz archive", UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", FileKind("zstd", "a zstd archive", UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", FileKind("7z", "a 7z archive", UNPACK)),
    (0, b"Rar!\x1a\x07", FileKind("rar", "a RAR archive", UNPACK)),
    (0, b"\xff\xd8\xff", FileKind("image", "a JPEG image")),
    (0, b"\x89PNG\r\n\x1a\n", FileKind("image", "a PNG image")),
    (0, b"GIF8", FileKind("image", "a GIF image")),
    (0, b"II*\x00", FileKind("image", "a TIFF image")),
    (0, b"MM\x00*", FileKind("image", "a TIFF image")),
    (8, b"WEBP", FileKind("image", "a WebP image")),
    (0, b"%PDF-", FileKind("pdf", "a PDF document")),
    (0, b"\x7fELF", FileKind("program", "a program (ELF)")),
    (0, b"MATLAB 5.0", FileKind("matlab", "a MATLAB file", CONVERT)),
    (0, b"\x12\x01\x00\x00\x00\x00\x00\x00", FileKind("mxnet", "weights of MXNet", CONVERT)),
)
# What programs that are not read call their files; for binary files that say nothing.
_BY_SUFFIX = {
    ".caffemodel": "weights of Caffe",
    ".weights": "weights of Darknet",
    ".params": "weights of MXNet",
    ".pb": "a graph of TensorFlow",
    ".t7": "a file of Lua Torch",
    ".msgpack": "weights of Flax",
    ".pdiparams": "weights of PaddlePaddle",
    ".onnx": "an ONNX model",
    ".mlmodel": "a Core ML model",
}


def kind_of(path: Path) -> FileKind:
    """Tell what a file is by its content; its name decides only where the content says nothing.

    Raises:
        CheckpointError: there is no such file, or it cannot be read.
    """
    refuse_broken_link(path)
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
        size = path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if not head:
        return FileKind("empty", "an empty file (0 bytes)", AGAIN)
    if not any(head):
        what = f"a file of {size:,} bytes that begins with {len(head):,} zeros"
        return FileKind("zeros", f"{what}: its download was never finished", AGAIN)
    for offset, magic, kind in _MAGIC:
        if head.startswith(magic, offset):
            return kind
    return (
        _safetensors(path, head, size)
        or _zip(path, head, size)
        or _pickle(head)
        or _tar(path, head)
        or _onnx(path, head)
        or _text(path, head, size)
        or _unknown(path, head, size)
    )


def refuse_broken_link(path: Path) -> None:
    """Say where a symbolic link leads that leads nowhere.

    Raises:
        CheckpointError: it does; pointers of git-annex and caches of hubs are such links.
    """
    if not path.is_symlink() or path.exists():
        return
    target = os.readlink(path)
    if "annex/objects" in target:
        raise CheckpointError(
            f"{path} is a git-annex pointer, and the file itself is not here",
            remedy=f"run 'git annex get {path.name}' in its repository",
        )
    raise CheckpointError(f"{path} is a link to {target}, which does not exist", remedy=AGAIN)


def _safetensors(path: Path, head: bytes, size: int) -> FileKind | None:
    if len(head) < 9 or head[8:9] != b"{":
        return None
    (header_bytes,) = struct.unpack("<Q", head[:8])
    if not 2 <= header_bytes <= _SAFETENSORS_HEADER_BYTES_MAX:
        return None
    expected = 8 + header_bytes
    if expected <= size:
        try:
            with open(path, "rb") as file:
                file.seek(8)
                header = json.loads(file.read(header_bytes))
            ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
            expected += max(ends, default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return FileKind("damaged", "a damaged safetensors file (its header)", AGAIN)
    if size < expected:
        least = "at least " if size < 8 + header_bytes else ""
        return FileKind(
            "cut off",
            f"a safetensors file that was cut off: {size:,} bytes of {least}{expected:,} are there",
            AGAIN,
        )
    return FileKind("safetensors", "a safetensors file")


def _zip(path: Path, head: bytes, size: int) -> FileKind | None:
    if head.startswith(b"PK\x05\x06"):
        return FileKind("zip", "an empty zip archive", AGAIN)
    if not head.startswith(b"PK\x03\x04"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        torch = b"/data.pkl" in head[:512] or b"/constants.pkl" in head[:512]
        what = "a torch checkpoint" if torch else "a zip archive (as torch's files are)"
        return FileKind(
            "cut off",
            f"{what} that was cut off or damaged: {size:,} bytes, without the table of contents "
            "that its end should be",
            AGAIN,
        )
    return _kind_of_zip(names)


def _kind_of_zip(names: Sequence[str]) -> FileKind:
    """Tell archives apart by the names inside."""
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner or any(name.startswith("code/__torch__") for name in inner):
        return FileKind(
            "torchscript",
            "a TorchScript program (torch.jit), not weights alone",
            "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth'), where you trust it",
        )
    if "archive_format" in inner:
        return FileKind(
            "torch export",
            "a program of torch.export, not weights alone",
            "torch.save(torch.export.load(FILE).state_dict, 'weights.pth'), where you trust it",
        )
    if ".data/extern_modules" in inner:
        return FileKind("torch package", "a torch.package archive of code", CONVERT)
    if "data.pkl" in inner:
        return FileKind("torch", "a torch checkpoint")
    if "model.weights.h5" in names:
        return FileKind("keras", "a Keras model")
    if names and all(name.endswith(".npy") for name in names):
        return FileKind(
            "npz",
            f"{len(names)} NumPy arrays (.npz)",
            "safetensors.numpy.save_file(dict(numpy.load(FILE)), 'weights.safetensors')",
        )
    if "[Content_Types].xml" in names:
        return FileKind("office", "a document of an office program")
    return FileKind("zip", f"a zip archive{_members(names)}", _unpack(names))


def _members(names: Sequence[str]) -> str:
    files = [name for name in names if not name.endswith("/")]
    if not files:
        return " without files"
    rest = f" and {len(files) - 2} more" if len(files) > 2 else ""
    return f" (of {', '.join(map(_quoted, files[:2]))}{rest})"


def _unpack(names: Sequence[str]) -> str:
    inside = [name for name in names if PurePosixPath(name).suffix.lower() in WEIGHTS_SUFFIXES]
    return f"unpack it, and name {_quoted(inside[0])}" if inside else ""


def _pickle(head: bytes) -> FileKind | None:
    if head.startswith(_TORCH_LEGACY):
        return FileKind("torch legacy", "a torch checkpoint of the old format")
    binary = head[0] == 0x80 and len(head) > 1 and head[1] in (2, 3, 4, 5)
    if not binary and not head.startswith((b"(dp", b"(lp", b"ccopy_reg\n", b"ccollections\n")):
        return None
    arrays = " of NumPy arrays" if b"numpy" in head else ""
    return FileKind(
        "pickle",
        f"a Python pickle{arrays} that torch.save did not write; pickles can run code and are "
        "never loaded",
        "save the arrays as safetensors in the program that wrote it, where you trust it",
    )


def _tar(path: Path, head: bytes) -> FileKind | None:
    if head[257:262] != b"ustar":
        return None
    names: list[str] = []
    try:
        with tarfile.open(path, "r:") as archive:
            for _ in range(1000):
                member = archive.next()
                if member is None:
                    break
                names.append(member.name)
    except (tarfile.TarError, OSError, EOFError, ValueError):
        return FileKind("cut off", "a tar archive that was cut off or damaged", AGAIN)
    if {"storages", "tensors"} <= set(names):
        return FileKind("torch tar", "a torch checkpoint of before 2017 (a tar archive)", CONVERT)
    remedy = _unpack(names) or "unpack it, and look for weights inside"
    return FileKind("tar", f"a tar archive{_members(names)}", remedy)


def _onnx(path: Path, head: bytes) -> FileKind | None:
    # A protobuf: field 1 (the format's version, a small number), then the producer or the graph.
    is_message = head[0] == 0x08 and len(head) > 2 and head[1] < 32
    if is_message and (path.suffix.lower() == ".onnx" or head[2] in (0x12, 0x1A, 0x3A, 0x42)):
        return FileKind(
            "onnx", "an ONNX model, whose weights have other names and may be fused", CONVERT
        )
    return None


def _text(path: Path, head: bytes, size: int) -> FileKind | None:
    text = _decoded(head)
    if text is None:
        return None
    start = text.lstrip("\ufeff \t\r\n")
    lower = start[:2048].lower()
    if re.match(r"version https://(git-lfs|hawser)\.github\.com/spec/", start):
        bytes_of_file = re.search(r"^size (\d+)", start, re.MULTILINE)
        of = f" to a file of {int(bytes_of_file[1]):,} bytes" if bytes_of_file else ""
        return FileKind(
            "lfs pointer",
            f"a Git LFS pointer{of}, not the file itself",
            "run 'git lfs pull' in its repository",
        )
    if re.match(r"/annex/objects/|\.{0,2}/?(\.\./)*\.git/annex/objects/", start):
        return FileKind(
            "annex pointer",
            "a git-annex pointer, not the file itself",
            f"run 'git annex get {path.name}' in its repository",
        )
    if lower.startswith("outs:") and "md5:" in lower:
        return FileKind("dvc pointer", "a DVC pointer, not the file itself", "run 'dvc pull'")
    if lower.startswith(("<!doctype html", "<html", "<head")) or "<html" in lower:
        title = re.search(r"<title[^>]*>(.*?)</title", start, re.DOTALL | re.IGNORECASE)
        shown = f" ({_quoted(title[1])})" if title and title[1].strip() else ""
        return FileKind("html", f"an HTML page{shown}", "download the file itself, not its page")
    if start.startswith("<"):
        return _xml(start)
    if start.startswith(("{", "[")):
        found = _json(path, size)
        if found is not None:
            return found
    line = next((line for line in start.splitlines() if line.strip()), "")
    what = "a script" if start.startswith("#!") else "a text"
    return FileKind("text", f"{what} of {size:,} bytes ({_quoted(line)})" if line else "a text")


def _xml(text: str) -> FileKind:
    code = re.search(r"<Code>(.*?)</Code>", text)
    if code:
        return FileKind("xml", f"an error message of a server ({_quoted(code[1])})", AGAIN)
    return FileKind("xml", "an XML text")


def _json(path: Path, size: int) -> FileKind | None:
    """Tell JSON texts apart; None for what only begins like one."""
    if size > _JSON_BYTES_MAX:
        return FileKind("json", f"a JSON text of {size:,} bytes")
    try:
        value: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return FileKind("json", "a JSON text")
    if isinstance(value.get("weight_map"), dict):
        return FileKind("index", "an index of several files of weights")
    if "spec" in value and "classes" in value:
        return FileKind(
            "reslab model", "the description of a model of reslab", "name the folder it lies in"
        )
    for key in ("error", "message", "detail", "error_message"):
        if isinstance(value.get(key), str):
            return FileKind("json", f"an error message of a server ({_quoted(value[key])})", AGAIN)
    told = value.get("model_type") or value.get("architecture")
    if isinstance(told, str):
        return FileKind(
            "config",
            f"the description of a network ({_quoted(told)}), not its weights",
            "name the file of weights beside it",
        )
    return FileKind("json", "a JSON text")


def _unknown(path: Path, head: bytes, size: int) -> FileKind:
    suffix = path.suffix.lower()
    if re.search(r"\.data-\d{5}-of-\d{5}$", path.name) or _ends_like_table(path, size):
        return FileKind("tensorflow", "a part of a TensorFlow checkpoint", CONVERT)
    if suffix in _BY_SUFFIX:
        return FileKind("foreign", f"by its name {_BY_SUFFIX[suffix]}", CONVERT)
    first = head[:8].hex(" ")
    return FileKind("unknown", f"no known kind of file ({size:,} bytes, beginning {first})")


def _ends_like_table(path: Path, size: int) -> bool:
    if size < 48:
        return False
    with open(path, "rb") as file:
        file.seek(size - 8)
        return file.read() == _LEVELDB_TABLE_END


def _decoded(head: bytes) -> str | None:
    """Return the text that bytes are, or None for binary ones."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head.decode("utf-16", "ignore")
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # not just a character cut in two at the end
            return None
        text = head[: error.start].decode("utf-8")
    control = sum(ord(character) < 32 and character not in "\t\r\n\f\x1b" for character in text)
    return None if control else text


def _quoted(text: str) -> str:
    """Show text of strangers in one line, without characters that a terminal would obey."""
    words = " ".join(text.split())
    clean = "".join(character if character.isprintable() else "?" for character in words)
    return f"'{clean[:60]}...'" if len(clean) > 60 else f"'{clean}'"
