"""SVG to PNG, by a browser that is installed or by cairosvg."""

from __future__ import annotations

import importlib
import importlib.util
import math
import tempfile
from pathlib import Path

from reslab import child
from reslab.errors import MachineError

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
SHARPNESS = 2.0  # pixels a drawing unit
MOST_PIXELS = 16_000  # a side; browsers draw no taller picture
_PATIENCE_S = 120


def renderer() -> str:
    """Return the browser that turns SVG into PNG, or "cairosvg".

    Raises:
        MachineError: there is neither.
    """
    for name in BROWSERS:
        found = child.program(name)
        if found:
            return found
    if importlib.util.find_spec("cairosvg") is not None:
        return "cairosvg"
    raise MachineError(
        "a PNG needs Chromium, Chrome or the package cairosvg, and none was found",
        remedy="write .svg or .html, or 'pip install cairosvg'",
    )


def png(svg: str, width: float, height: float) -> bytes:
    """Turn an SVG document of that size into a PNG with two pixels a unit.

    Raises:
        MachineError: no program for it, the program failed, or the drawing is too large.
    """
    by = renderer()
    scale = min(SHARPNESS, MOST_PIXELS / max(width, height))
    if scale < 1:
        raise MachineError(
            f"a drawing of {width:.0f}x{height:.0f} units is too large for a PNG",
            remedy="fold it with --fold, or write .svg or .html",
        )
    if by == "cairosvg":
        made: bytes = importlib.import_module("cairosvg").svg2png(svg.encode(), scale=scale)
        return made
    return _screenshot(by, svg, width, height, scale)


def _screenshot(browser: str, svg: str, width: float, height: float, scale: float) -> bytes:
    """Let a browser draw a file and take its picture."""
    with tempfile.TemporaryDirectory(prefix="reslab-draw-") as folder:
        page, picture = Path(folder) / "drawing.svg", Path(folder) / "drawing.png"
        page.write_text(svg, encoding="utf-8")
        command = [
            browser,
            *_FLAGS,
            f"--user-data-dir={folder}/profile",
            f"--force-device-scale-factor={scale:g}",
            f"--window-size={math.ceil(width)},{math.ceil(height)}",
            f"--screenshot={picture}",
            page.as_uri(),
        ]
        try:
            code, _ = child.run(command, timeout_s=_PATIENCE_S, inherit_stderr=False)
            reason = f"it ended with code {code}"
            if code == 0 and picture.is_file():
                return picture.read_bytes()
        except TimeoutError:
            reason = f"it took more than {_PATIENCE_S} s"
        except child.ChildEnded as error:
            reason = str(error)
        raise MachineError(
            f"{Path(browser).name} made no picture: {reason}", remedy="write .svg or .html"
        )
