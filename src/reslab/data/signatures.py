"""What a file that cannot be decoded is, by its first bytes: for a message that helps."""

from __future__ import annotations

from reslab.data.png import MAGIC as _PNG

NEEDED_BYTES = 64 << 10
_CONVERT = "convert it to JPEG or PNG"
_HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
_DOWNLOAD = "download the image itself"
# offset, bytes -> what it is, what to do
_KNOWN: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\xff\x0a", "a JPEG XL image", _CONVERT),
    (4, b"JXL \r\n\x87\n", "a JPEG XL image", _CONVERT),
    (0, b"II\xbc", "a JPEG XR image", _CONVERT),
    (0, b"II+\0", "a BigTIFF file that Pillow does not read", _CONVERT),
    (0, b"MM\0+", "a BigTIFF file that Pillow does not read", _CONVERT),
    (128, b"DICM", "a DICOM file", "export its pixels as 16-bit PNG"),
    (0, b"SIMPLE  =", "a FITS file", "export its pixels as 16-bit PNG"),
    (0, b"\x76\x2f\x31\x01", "an OpenEXR image", _CONVERT),
    (0, b"#?RADIANCE", "a Radiance HDR image", _CONVERT),
    (0, b"8BPS", "a Photoshop document", _CONVERT),
    (0, b"gimp xcf", "a GIMP document", _CONVERT),
    (0, b"%PDF", "a PDF document", _CONVERT),
    (0, b"%!PS", "a PostScript document", _CONVERT),
    (0, b"\x00\x00\x01\x00", "a Windows icon", _CONVERT),
    (0, b"PK\x03\x04", "a zip archive", "unpack it"),
    (0, b"\x1f\x8b", "a gzip file", "unpack it"),
    (0, b"Rar!", "a RAR archive", "unpack it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (0, b"\x93NUMPY", "a numpy array", _CONVERT),
    (0, b"\x89HDF", "an HDF5 file", _CONVERT),
    (0, b"version https://git-lfs", "a Git LFS pointer, not the image", "run: git lfs pull"),
    (0, b"\x1a\x45\xdf\xa3", "a video", "extract its frames"),
    (4, b"ftyp", "a video", "extract its frames"),
    (8, b"AVI ", "a video", "extract its frames"),
    (0, b"\x00\x05\x16\x07", "what macOS keeps beside a file, not the image", "remove it"),
)
_TEXTS = (
    (b"<!doctype html", "an HTML page", _DOWNLOAD),
    (b"<html", "an HTML page", _DOWNLOAD),
    (b"<svg", "an SVG drawing", _CONVERT),
    (b"<?xml", "an XML document", _DOWNLOAD),
)
_FRAMES = {
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


def describe(head: bytes) -> tuple[str, str] | None:
    """Say what a file is and what to do; None for what could have been an image.

    Args:
        head: its first NEEDED_BYTES, or all of it.
    """
    if is_heif(head):
        return "a HEIC image", f"pip install 'reslab[heif]', or {_CONVERT}"
    for offset, magic, what, remedy in _KNOWN:
        if head[offset : offset + len(magic)] == magic:
            return what, remedy
    if head.startswith(b"\xff\xd8"):
        found = _frame(head)
        return None if found is None else (found, "convert it to an ordinary JPEG or PNG")
    return _text(head)


def _text(head: bytes) -> tuple[str, str] | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1024].lower()
    for magic, what, remedy in _TEXTS:
        if start.startswith(magic):
            return ("an SVG drawing", _CONVERT) if b"<svg" in start else (what, remedy)
    if head.startswith((_PNG, b"P", b"GIF8", b"BM", b"RIFF")):
        return None
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return ("a text file", "") if text.strip() and text.replace("\n", "").isprintable() else None


def _frame(head: bytes) -> str | None:
    """Name what a JPEG file's frame header says, where no decoder here reads it."""
    position = 2
    while head[position : position + 1] == b"\xff" and position + 4 <= len(head):
        marker = head[position + 1]
        if marker == 0xFF or marker in _STANDALONE:
            position += 1 if marker == 0xFF else 2
            continue
        if marker in _FRAMES:
            return _FRAMES[marker]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            bits = head[position + 4 : position + 5]
            return None if bits in (b"", bytes([_EIGHT_BITS])) else f"a JPEG of {bits[0]} bits"
        position += 2 + int.from_bytes(head[position + 2 : position + 4], "big")
    return None
