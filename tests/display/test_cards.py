"""Cards of results: whole HTML, safe, from nowhere else, with the right numbers."""

from __future__ import annotations

import dataclasses
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import reslab
from reslab import networks
from reslab.display import card
from reslab.evaluate.compare import compare
from reslab.evaluate.evaluation import Evaluation
from reslab.networks.summary import measured
from reslab.training.card import curve_of

sys.path.insert(0, str(Path(__file__).parents[1] / "study"))
from synthetic import results as study_results

VOID = {"br", "hr", "img", "path", "circle"}
NASTY = (
    "<script>alert(1)</script>",
    'quote" onload="x',
    "new\nline\x07",
    "na\u00efve \u68ee",
    "\udcff",
)


class Outline(HTMLParser):
    """Checks that elements end where they should, and collects what there is."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, tag
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.seen.add(tag)

    def handle_data(self, data):
        self.text += f"{data} "


def outline(html: str) -> Outline:
    """Read a card, and check what must hold for each."""
    found = Outline()
    found.feed(html)
    found.close()
    assert not found.open
    assert not found.seen & {"script", "style", "link", "img", "iframe", "b" * 9}
    assert not {name for name in found.attributes if name.startswith("on")}
    assert not re.search(r"https?:|url\(|@import", html)
    # It takes the colour of the text around it, so that it can be read on light and dark.
    assert "color:inherit" in html
    assert not re.search(r"[^-]color:(#000|#fff|black|white)", html)
    html.encode("utf-8")
    return found


def evaluation(num_classes: int, count: int, names: tuple[str, ...] | None = None) -> Evaluation:
    draw = np.random.default_rng(1)
    labels = draw.integers(0, num_classes, count)
    logits = draw.normal(size=(count, num_classes)).astype(np.float32)
    logits[np.arange(count), labels] += 1.5
    named = names or tuple(f"class {i}" for i in range(num_classes))
    return Evaluation(logits, labels, np.arange(count), named)


@pytest.mark.parametrize("num_classes", [1, 2, 5, 12, 13, 40, 41, 300])
def test_an_evaluation_of_any_number_of_classes(num_classes):
    found = evaluation(num_classes, 600)
    html = found._repr_html_()
    text = outline(html).text
    right = int((found.logits.argmax(1) == found.labels).sum())
    assert f"{right} of 600 images right" in text
    assert f"{100 * right / 600:.1f}" in text
    cells = re.findall(r'title="(\d+) of', html)
    drawn = 2 <= num_classes <= 40
    assert len(cells) == (num_classes**2 if drawn else 0)
    assert sum(map(int, cells)) == (600 if drawn else 0)
    assert len(html) < 400_000


def test_names_of_classes_are_shown_as_they_are_and_never_run():
    found = outline(evaluation(5, 60, NASTY)._repr_html_())
    assert "<script>alert(1)</script>" in found.text
    assert "naïve 森" in found.text


def test_the_worst_classes_come_first():
    labels = np.repeat(np.arange(6), 10)
    given = labels.copy()
    given[:7], given[10:12] = 1, 0  # 3 of 10 of class 0 are right, 8 of class 1
    logits = np.eye(6, dtype=np.float32)[given]
    html = Evaluation(logits, labels, np.arange(60), tuple("abcdef"))._repr_html_()
    text = " ".join(outline(html).text.split())
    table = text[text.index("Worst classes") :]
    assert re.search(r"images a 30.0 10 b 80.0 10 c 100.0 10", table)
    assert "is was called images a b 7 b a 2" in table


def test_a_pair_and_a_study_have_cards():
    first = evaluation(4, 300)
    second = Evaluation(first.logits[:, ::-1].copy(), first.labels, first.samples, first.classes)
    text = outline(compare(first, second)._repr_html_()).text
    assert "beyond chance" in text
    assert "points" in text
    study = study_results()
    text = outline(study._repr_html_()).text
    for words in (study.study.title, "plain-110", "Training error, %", "not decidable"):
        assert words in text
    for low, high in re.findall(r"(-?[\d.]+) to (-?[\d.]+)", text):
        assert 0 <= float(low) <= float(high) <= 100


@pytest.mark.parametrize(
    "name", ["resnet20", "plain20", "alexnet", "vgg16", "googlenet", "mobilenet_v1"]
)
def test_a_network_is_measured_as_the_table_of_costs_is(name):
    names = [known for known in networks.list_models() if known.startswith(name)]
    if not names:
        pytest.fail(f"no {name}")
    spec = networks.entry(names[0]).spec
    macs, shapes = measured(spec)
    assert sum(macs.values()) == networks.info(names[0]).macs
    assert shapes["head"] == str(spec.num_classes)


def test_a_networks_card_adds_up():
    network = reslab.create_model("resnet20", num_classes=7, in_chans=1)
    found = outline(network._repr_html_())
    params = sum(p.numel() for p in network.parameters())
    assert f"{params:,} parameters" in found.text
    assert "7 classes" in found.text
    assert "64 × 8 × 8" in found.text
    assert repr(network).startswith(f"resnet20: {params:,} parameters, images of 1x32x32")


def test_a_network_that_is_too_small_for_its_size_still_shows_itself():
    network = reslab.create_model("resnet50")
    network.spec = dataclasses.replace(network.spec, img_size=1)
    assert "parameters" in outline(network._repr_html_()).text


def test_curves_are_those_of_the_run(tmp_path):
    rows = ["epoch,train_error_pct,val_error_pct", "1,80,60", "2,40,", "3,20,30", "4,10,25"]
    (tmp_path / "results.csv").write_text("\n".join(rows) + "\n")
    html = curve_of(tmp_path)
    assert html.count('stroke-linejoin="round"') == 2
    assert "training 10" in html
    assert "validation 25" in html
    for left in ("", "epoch,train_error_pct\n", "epoch,train_error_pct\n1,50\n"):
        (tmp_path / "results.csv").write_text(left)
        assert curve_of(tmp_path) == ""
    assert curve_of(tmp_path / "gone") == ""


def test_a_bar_and_an_interval_stay_on_their_rails():
    assert "width:100%" in card.bar(7.0)
    assert "width:0%" in card.bar(-1.0)
    low, high = card.around([(0.0, 100.0), (99.0, 100.0)])
    assert (low, high) == (0.0, 100.0)
    xs = [
        float(x) for x in re.findall(r'(?:M|H|cx=")([\d.]+)', card.interval(50, 0, 100, (0, 100)))
    ]
    assert 0 <= min(xs) <= max(xs) <= 150
