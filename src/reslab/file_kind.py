"""What a file is, told by its first bytes: for a message that helps where another was expected.

A file that is no weights, or no image, is named as what it is (an HTML page, a pointer of Git LFS,
an archive that was cut off), with what to do about it. Nothing in a file is run, unpacked or
unpickled.
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
from typing import Any, NamedTuple

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
_TO_JPEG = "convert it to JPEG or PNG"
_TO_16_BIT_PNG = "export its pixels as 16-bit PNG"
_TO_FRAMES = "extract its frames"
_DOWNLOAD_IMAGE = "download the image itself"
# Names inside archives that are worth naming.
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".th", ".bin", ".ckpt", ".h5", ".keras")

HEAD_BYTES = 64 * 1024  # enough to tell any kind
_JSON_BYTES_MAX = 64 * 1024 * 1024  # the index of a network of a thousand layers has 0.1 MB
_SAFETENSORS_HEADER_BYTES_MAX = 100_000_000  # the format's own limit
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
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


class _Magic(NamedTuple):
    """What a file is that has some bytes near its beginning.

    Args:
        offset: where they stand.
        start: the bytes.
        name: of the kind, see `FileKind`.
        what: for messages, with its article.
        image: what to do for who expected an image; None where images may begin so, or their
            readers tell more.
        weights: the same for who expected weights.
    """

    offset: int
    start: bytes
    name: str
    what: str
    image: str | None = None
    weights: str | None = None


# First bytes of files that say no more of themselves.
_MAGIC = (
    # images that are read, but are no weights
    _Magic(0, b"\xff\xd8\xff", "image", "a JPEG image", weights=""),
    _Magic(0, PNG_MAGIC, "image", "a PNG image", weights=""),
    _Magic(0, b"GIF8", "image", "a GIF image", weights=""),
    _Magic(0, b"II*\x00", "image", "a TIFF image", weights=""),
    _Magic(0, b"MM\x00*", "image", "a TIFF image", weights=""),
    _Magic(8, b"WEBP", "image", "a WebP image", weights=""),
    # images that are not read
    _Magic(0, b"\xff\x0a", "image", "a JPEG XL image", _TO_JPEG),
    _Magic(4, b"JXL \r\n\x87\n", "image", "a JPEG XL image", _TO_JPEG),
    _Magic(0, b"II\xbc", "image", "a JPEG XR image", _TO_JPEG),
    _Magic(0, b"II+\0", "image", "a BigTIFF file that Pillow does not read", _TO_JPEG),
    _Magic(0, b"MM\0+", "image", "a BigTIFF file that Pillow does not read", _TO_JPEG),
    _Magic(128, b"DICM", "image", "a DICOM file", _TO_16_BIT_PNG),
    _Magic(0, b"SIMPLE  =", "image", "a FITS file", _TO_16_BIT_PNG),
    _Magic(0, b"\x76\x2f\x31\x01", "image", "an OpenEXR image", _TO_JPEG),
    _Magic(0, b"#?RADIANCE", "image", "a Radiance HDR image", _TO_JPEG),
    _Magic(0, b"8BPS", "image", "a Photoshop document", _TO_JPEG),
    _Magic(0, b"gimp xcf", "image", "a GIMP document", _TO_JPEG),
    _Magic(0, b"\x00\x00\x01\x00", "image", "a Windows icon", _TO_JPEG),
    # documents and videos
    _Magic(0, b"%PDF-", "pdf", "a PDF document", _TO_JPEG, ""),
    _Magic(0, b"%!PS", "postscript", "a PostScript document", _TO_JPEG),
    _Magic(0, b"\x1a\x45\xdf\xa3", "video", "a video", _TO_FRAMES),
    _Magic(4, b"ftyp", "video", "a video", _TO_FRAMES),
    _Magic(8, b"AVI ", "video", "a video", _TO_FRAMES),
    # archives
    _Magic(0, b"PK\x03\x04", "zip", "a zip archive", "unpack it"),
    _Magic(0, b"\x1f\x8b", "gzip", "a gzip archive", "unpack it", UNPACK),
    _Magic(0, b"BZh", "bzip2", "a bzip2 archive", weights=UNPACK),
    _Magic(0, b"\xfd7zXZ\x00", "xz", "an xz archive", weights=UNPACK),
    _Magic(0, b"\x28\xb5\x2f\xfd", "zstd", "a zstd archive", weights=UNPACK),
    _Magic(0, b"7z\xbc\xaf\x27\x1c", "7z", "a 7z archive", "unpack it", UNPACK),
    _Magic(0, b"Rar!\x1a\x07", "rar", "a RAR archive", "unpack it", UNPACK),
    # arrays, weights and programs
    _Magic(0, b"\x89HDF\r\n\x1a\n", "hdf5", "an HDF5 file", _TO_JPEG, ""),
    _Magic(0, b"\x93NUMPY", "npy", "one NumPy array (.npy), without names", _TO_JPEG, CONVERT),
    _Magic(0, b"GGUF", "gguf", "a GGUF file of a language model", weights=""),
    _Magic(4, b"TFL3", "tflite", "a TensorFlow Lite model", weights=CONVERT),
    _Magic(0, b"\x7fELF", "program", "a program (ELF)", weights=""),
    _Magic(0, b"MATLAB 5.0", "matlab", "a MATLAB file", weights=CONVERT),
    _Magic(0, b"\x12\x01" + bytes(6), "mxnet", "weights of MXNet", weights=CONVERT),
    # what lies in place of a file, or beside it
    _Magic(
        0,
        b"version https://git-lfs",
        "lfs pointer",
        "a Git LFS pointer, not the image",
        "run: git lfs pull",
    ),
    _Magic(
        0,
        b"\x00\x05\x16\x07",
        "apple double",
        "what macOS keeps beside a file, not the image",
        "remove it",
    ),
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
            head = file.read(HEAD_BYTES)
        size = path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if not head:
        return FileKind("empty", "an empty file (0 bytes)", AGAIN)
    if not any(head):
        what = f"a file of {size:,} bytes that begins with {len(head):,} zeros"
        return FileKind("zeros", f"{what}: its download was never finished", AGAIN)
    for magic in _MAGIC:
        if magic.weights is not None and head.startswith(magic.start, magic.offset):
            return FileKind(magic.name, magic.what, magic.weights)
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


# --- files that cannot be decoded as images -------------------------------------------------------

_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_IMAGE_TEXTS = (
    (b"<!doctype html", "an HTML page", _DOWNLOAD_IMAGE),
    (b"<html", "an HTML page", _DOWNLOAD_IMAGE),
    (b"<svg", "an SVG drawing", _TO_JPEG),
    (b"<?xml", "an XML document", _DOWNLOAD_IMAGE),
)
_JPEG_FRAMES = {
    0xC3: "a lossless JPEG",
    0xC7: "a lossless JPEG",
    0xCB: "a lossless JPEG",
    0xF7: "a JPEG-LS image",
    0xC5: "a hierarchical JPEG",
    0xC6: "a hierarchical JPEG",
}
_STANDALONE = frozenset({0x01, 0xD8, *range(0xD0, 0xD8)})
_EIGHT_BITS = 8


def is_heif(head: bytes) -> bool:
    """Tell whether a file is HEIC, which phones take photographs in, or another HEIF image."""
    brands = {head[8:12], *(head[i : i + 4] for i in range(16, min(len(head), 64), 4))}
    return head[4:8] == b"ftyp" and head[8:12] != b"avif" and bool(brands & _HEIF_BRANDS)


def describe_image(head: bytes) -> tuple[str, str] | None:
    """Say what a file is and what to do; None for what could have been an image.

    Args:
        head: its first HEAD_BYTES, or all of it.
    """
    if is_heif(head):
        return "a HEIC image", f"pip install 'reslab[heif]', or {_TO_JPEG}"
    for magic in _MAGIC:
        if magic.image is not None and head.startswith(magic.start, magic.offset):
            return magic.what, magic.image
    if head.startswith(b"\xff\xd8"):
        found = _jpeg_frame(head)
        return None if found is None else (found, "convert it to an ordinary JPEG or PNG")
    return _image_text(head)


def _image_text(head: bytes) -> tuple[str, str] | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1024].lower()
    for magic, what, remedy in _IMAGE_TEXTS:
        if start.startswith(magic):
            return ("an SVG drawing", _TO_JPEG) if b"<svg" in start else (what, remedy)
    if head.startswith((PNG_MAGIC, b"P", b"GIF8", b"BM", b"RIFF")):
        return None
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return ("a text file", "") if text.strip() and text.replace("\n", "").isprintable() else None


def _jpeg_frame(head: bytes) -> str | None:
    """Name what a JPEG file's frame header says, where no decoder here reads it."""
    position = 2
    while head[position : position + 1] == b"\xff" and position + 4 <= len(head):
        marker = head[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _JPEG_FRAMES:
            return _JPEG_FRAMES[marker]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits = head[position + 4 : position + 5]
            return None if bits in (b"", bytes([_EIGHT_BITS])) else f"a JPEG of {bits[0]} bits"
        position += 2 + int.from_bytes(head[position + 2 : position + 4], "big")
    return None
