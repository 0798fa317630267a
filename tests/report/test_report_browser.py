"""The page in a real browser: nothing overflows, the script runs, colors have contrast."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from make_run import digits, make_run, many_classes, two_classes

from reslab.data.dataset import Dataset
from reslab.display.theme import DARK, LIGHT, Theme
from reslab.report import write_report

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome", "chrome")
     if (path := shutil.which(name))),
    None,
)  # fmt: skip
needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="needs a browser: apt-get install chromium"
)
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--virtual-time-budget=2000", "--dump-dom",
)  # fmt: skip

MEASURE = """
const found = {width: innerWidth, scroll: 0, out: [], broken: 0};
document.querySelectorAll("details").forEach((d) => { d.open = true; });
const isClipped = (e) => e !== document.body
  && (getComputedStyle(e).overflowX !== "visible" || isClipped(e.parentElement));
document.querySelectorAll("body *").forEach((e) => {
  const box = e.getBoundingClientRect();
  if (box.width && (box.right > innerWidth + 0.5 || box.left < -0.5)
      && e.className !== "skip" && !e.closest("svg") && !isClipped(e.parentElement))
    found.out.push(e.tagName + "." + e.className);
});
found.scroll = document.documentElement.scrollWidth;
document.querySelectorAll("img").forEach((i) => { if (!i.naturalWidth) found.broken += 1; });
document.querySelector("table.sortable th.n button").click();
const keys = [...document.querySelectorAll("table.sortable tbody tr")]
  .map((row) => Number(row.cells[1].dataset.key));
found.sorted = keys.every((key, i) => !i || keys[i - 1] <= key);
const plot = document.querySelector("svg[data-values]");
const left = plot.getBoundingClientRect().left;
plot.dispatchEvent(new PointerEvent("pointermove", {clientX: left + 2, bubbles: true}));
found.where = document.querySelector("figure .where").textContent;
found.cursor = plot.querySelectorAll(".cursor").length;
found.columns = getComputedStyle(document.querySelector(".pair")).gridTemplateColumns;
found.paper = getComputedStyle(document.body).backgroundColor;
const result = parent.document.createElement("pre");
result.className = "found";
result.textContent = JSON.stringify(found);
parent.document.body.append(result);
"""


def dump(page: Path, profile: Path, *flags: str) -> str:
    """Return the document as it is after its scripts have run."""
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", *flags, page.as_uri()],
        capture_output=True,
        timeout=180,
        check=True,
    )
    return done.stdout.decode()


def measure(views: list[tuple[Path, int]], tmp_path: Path, *flags: str) -> dict[int, list[dict]]:
    """Measure pages in frames of given widths: a headless window has at least 500 pixels.

    The frames hold copies without the page's policy and with a script of the test's own.
    """
    frames = []
    for page, width in views:
        text = page.read_text(encoding="utf-8")
        text, count = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
        assert count == 1
        text = text.replace("</body>", f"<script>addEventListener('load', () => {{{MEASURE}}})"
                            "</script></body>")  # fmt: skip
        style = f"width:{width}px;height:900px;border:0"
        frames.append(f'<iframe style="{style}" srcdoc="{html.escape(text)}"></iframe>')
    outer = tmp_path / "frames.html"
    outer.write_text(f"<!DOCTYPE html><body>{''.join(frames)}</body>", encoding="utf-8")
    dom = dump(outer, tmp_path / "profile", *flags)
    results: dict[int, list[dict]] = {width: [] for _, width in views}
    for found in re.findall(r'<pre class="found">(.*?)</pre>', dom, re.DOTALL):
        value = json.loads(html.unescape(found))
        results[value["width"]].append(value)
    assert sum(len(one) for one in results.values()) == len(views), dom[-1000:]
    return results


def check(found: dict) -> None:
    assert found["out"] == []
    assert found["scroll"] <= found["width"]
    assert found["broken"] == 0
    assert found["sorted"]
    assert found["where"] == "epoch 1"
    assert found["cursor"] == 1


@pytest.fixture(scope="module")
def page(finished_run: Path, digits_dataset: Dataset, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("browser") / "report.html"
    return write_report(finished_run, digits_dataset, out=out)


@needs_browser
def test_phone_and_desktop(page: Path, tmp_path: Path) -> None:
    dataset = digits([f"{'Unbreakable' * 9}{i}" for i in range(10)])
    run = make_run(tmp_path / ("r" * 200), dataset, epochs=3, network="n" * 90)
    long_names = write_report(run, dataset)
    dark = "--blink-settings=preferredColorScheme=0"
    found = measure([(page, 390), (page, 1440), (long_names, 390)], tmp_path, dark)
    for one in (*found[390], *found[1440]):
        check(one)
        assert one["paper"] == "rgb(18, 20, 23)"
    assert [len(one["columns"].split()) for one in found[390]] == [1, 1]
    assert len(found[1440][0]["columns"].split()) == 2


@needs_browser
@pytest.mark.slow
def test_other_classes_and_states(tmp_path: Path) -> None:
    pages = []
    for name, dataset in (("many", many_classes()), ("two", two_classes())):
        pages.append(write_report(make_run(tmp_path / name, dataset, epochs=3), dataset))
    found = measure([(page, width) for page in pages for width in (390, 768, 1440)], tmp_path)
    for one in (one for width in found.values() for one in width):
        check(one)
        assert one["paper"] == "rgb(255, 255, 255)"


@needs_browser
def test_its_policy_lets_only_its_own_script_run(page: Path, tmp_path: Path) -> None:
    forged = tmp_path / "forged.html"
    script = "<script>document.title = 'forged'</script></body>"
    forged.write_text(page.read_text().replace("</body>", script))
    dom = dump(forged, tmp_path / "profile")
    assert dom.count('class="copy"') == 4
    assert "<title>resnet20 on digits" in dom


def luminance(colour: str) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4

    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (linear(part) for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Compute the contrast ratio of WCAG 2.1, section 1.4.3."""
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_contrast(theme: Theme) -> None:
    colors = theme.values()
    assert contrast(colors["ink"], colors["paper"]) >= 7
    for text in ("ink", "soft", "link"):
        for ground in ("paper", "sheet"):
            assert contrast(colors[text], colors[ground]) >= 4.5, (text, ground)
    assert contrast(colors["alarm"], colors["alarm-sheet"]) >= 4.5
    for curve in ("c0", "c1", "c2", "c3", "c4", "c5", "faint"):
        assert contrast(colors[curve], colors["paper"]) >= 3, curve
