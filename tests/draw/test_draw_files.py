"""The written files: well-formed, the same bytes each time, as a browser shows them."""

from __future__ import annotations

import functools
import html
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image, ImageFont

from reslab import models
from reslab.display.theme import DARK, LIGHT, mix
from reslab.draw import Drawing, draw, render, text
from reslab.draw.png import BROWSERS, png
from reslab.errors import MachineError

SVG = "{http://www.w3.org/2000/svg}"
CHROMIUM = next((path for name in BROWSERS if (path := shutil.which(name))), None)
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="needs a browser: apt-get install chromium"
)
LIBERATION = Path("/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf")


@functools.cache
def drawing() -> Drawing:
    names = ("resnet20_b", "googlenet", "highway10")
    return draw([models.named_spec(name) for name in names], folded=True)


def test_svg_is_well_formed_and_holds_what_is_drawn():
    made = drawing()
    root = ElementTree.fromstring(render(made, ".svg"))
    assert root.tag == f"{SVG}svg"
    assert root.attrib["viewBox"].split()[2:] == [root.attrib["width"], root.attrib["height"]]
    written = [one.text for one in root.iter(f"{SVG}text")]
    for column in made.columns:
        for node in column.nodes:
            assert node.text in written or node.look == "dot"
    titles = [one.text or "" for one in root.iter(f"{SVG}title")]
    boxes = sum(len(column.nodes) + len(column.arcs) for column in made.columns)
    assert len(titles) == boxes
    assert "head.classifier: fc 10 → 10, 650 parameters" in titles


def test_svg_stands_alone():
    written = render(drawing(), ".svg").decode()
    assert "http" not in written.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"<script|url\(|@import|href", written)


def test_what_users_write_is_escaped():
    title = '<b>"R&D"</b>'
    made = draw([models.named_spec("five_block_plain")], title=title)
    root = ElementTree.fromstring(render(made, ".svg"))
    assert title in [one.text for one in root.iter(f"{SVG}text")]
    assert b"<b>" not in render(made, ".html")


def test_the_same_networks_give_the_same_bytes():
    again = drawing.__wrapped__()
    for suffix in (".svg", ".html"):
        assert render(drawing(), suffix) == render(again, suffix)


@pytest.mark.slow
def test_the_same_bytes_in_another_process(tmp_path):
    made = []
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.svg"
        script = "from reslab.cli.main import entry; entry()"
        words = ["draw", "googlenet", "highway10", "resnet152", "-o", str(out)]
        subprocess.run(
            [sys.executable, "-c", script, *words], check=True, env={"PYTHONHASHSEED": seed}
        )
        made.append(out.read_bytes())
    assert made[0] == made[1]


def test_dark_and_light():
    light, dark = (render(drawing(), ".svg", dark=d).decode() for d in (False, True))
    assert LIGHT.paper in light
    assert DARK.paper not in light
    assert DARK.paper in dark
    assert LIGHT.paper not in dark
    page = render(drawing(), ".html").decode()
    assert "prefers-color-scheme: dark" in page
    assert "prefers-color-scheme" not in render(drawing(), ".html", dark=True).decode()


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_is_readable_on_every_colour(theme):
    for color in theme.levels:
        assert contrast(theme.ink, mix(color, theme.paper, theme.level_fill)) >= 7
    assert contrast(theme.soft, theme.paper) >= 4.5
    assert contrast(theme.soft, theme.sheet) >= 4.5


@pytest.mark.skipif(
    not LIBERATION.exists(), reason="needs Liberation Sans: apt-get install fonts-liberation"
)
def test_widths_are_those_of_the_font():
    font = ImageFont.truetype(str(LIBERATION), 1000)
    printable = [chr(code) for code in range(32, 127)]
    for character in (*printable, "×", "σ"):
        assert text.width(character, 1000) == pytest.approx(font.getlength(character), abs=3)
    for line in ("3×3 conv, 128, /2", "auxiliary classifier", "output size: 56"):
        assert text.width(line, 1000) == pytest.approx(font.getlength(line), rel=0.02)


def picture(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


@needs_browser
def test_png_has_two_pixels_a_unit():
    made = draw([models.named_spec("resnet20")])
    image = picture(render(made, ".png"))
    assert abs(image.width - 2 * made.width) <= 2
    assert abs(image.height - 2 * made.height) <= 2
    node = made.columns[0].nodes[0]
    inside = image.getpixel((round(2 * node.x) + 10, round(2 * (node.y + node.height / 2))))
    color = LIGHT.levels[node.level]
    assert "#{:02x}{:02x}{:02x}".format(*inside) == mix(color, LIGHT.paper, LIGHT.level_fill)
    assert image.getpixel((2, 2)) == (255, 255, 255)


MEASURE = """
const rows = [...document.querySelectorAll("svg g > rect")].map((rect) => {
  const text = rect.nextElementSibling;
  const outer = rect.getBoundingClientRect(), inner = text.getBoundingClientRect();
  return [text.textContent, inner.left - outer.left, outer.right - inner.right,
    inner.top - outer.top, outer.bottom - inner.bottom];
});
const sizes = {rows: rows, page: document.documentElement.scrollWidth,
  svg: document.querySelector("svg").getBoundingClientRect().width};
const result = document.createElement("pre");
result.id = "found"; result.textContent = JSON.stringify(sizes);
document.body.append(result);
"""


@needs_browser
def test_in_a_browser_all_text_is_inside_its_box(tmp_path):
    page = render(drawing(), ".html").decode()
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    page = page.replace("</body>", f"<script>{MEASURE}</script></body>")
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    assert CHROMIUM is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *flags, f"--user-data-dir={tmp_path}/profile", path.as_uri()],
        capture_output=True,
        timeout=180,
        check=True,
    )
    match = re.search(r'<pre id="found">(.*?)</pre>', done.stdout.decode(), re.DOTALL)
    assert match is not None
    found = json.loads(html.unescape(match[1]))
    labelled = [n for c in drawing().columns for n in c.nodes if n.look != "dot"]
    tags = [arc for column in drawing().columns for arc in column.arcs if arc.text]
    assert len(found["rows"]) == len(labelled) + len(tags)
    for label, left, right, top, bottom in found["rows"]:
        assert min(left, right) >= 2, label
        assert abs(left - right) < 2, label
        assert min(top, bottom) >= 0, label
    assert found["svg"] == pytest.approx(drawing().width, abs=1)


def test_what_a_browser_cannot_draw_is_said_before():
    renderer = "a PNG needs" if CHROMIUM is None else "too large for a PNG"
    with pytest.raises(MachineError, match=renderer):
        png("<svg/>", 300, 20_000)


def test_without_a_browser_there_is_a_remedy(monkeypatch):
    if importlib.util.find_spec("cairosvg") or any(Path(name).exists() for name in BROWSERS):
        pytest.skip("this machine makes PNGs without a browser on the path")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MachineError, match=r"write \.svg or \.html") as caught:
        png("<svg/>", 10, 10)
    assert caught.value.exit_code == 5
