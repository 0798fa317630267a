import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from make_run import FINDINGS, digits, make_run, many_classes, two_classes, write_json
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from reslab.data.dataset import ArrayImages, Dataset
from reslab.errors import DataError
from reslab.report import write_report
from reslab.runs.run import Run

VOID = {"meta", "img", "br", "line", "circle", "path", "rect"}


class Page(HTMLParser):
    """What a browser would make of a page: elements, their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page_of(run: Path, dataset: Dataset | None = None) -> Page:
    return Page(write_report(run, dataset).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def finished(finished_run: Path, digits_dataset: Dataset, tmp_path_factory) -> Page:
    run = shutil.copytree(finished_run, tmp_path_factory.mktemp("page") / "run")
    return page_of(run, digits_dataset)


def test_headline_says_what_was_measured(finished: Page, finished_run: Path) -> None:
    test = json.loads((finished_run / "evaluation" / "test.json").read_text())
    assert "resnet20 on digits" in finished.text
    assert f"{test['accuracy_pct']:.1f}%" in finished.text
    low, high = test["ci95_pct"]
    assert f"359 images right; 95% interval {low:.1f} to {high:.1f}%" in finished.text


def test_class_numbers_are_those_of_scikit_learn(finished: Page, finished_run: Path) -> None:
    evaluation = Run.open(finished_run).splits["test"]
    said, labels = evaluation.logits.argmax(1), evaluation.labels
    cells = [a for a in finished.all("td") if a.get("class") in ("hit", "miss", "zero")]
    shown = np.array([int((a.get("title") or "0 ").split()[0]) for a in cells]).reshape(10, 10)
    assert np.array_equal(shown, confusion_matrix(labels, said))
    keys = [float(a["data-key"]) for a in finished.all("td") if "data-key" in a]
    expected = np.column_stack(precision_recall_fscore_support(labels, said))
    expected[:, :3] *= 100
    assert np.array(keys).reshape(10, 4) == pytest.approx(expected, abs=1e-4)


def test_nothing_is_loaded_from_anywhere(finished: Page) -> None:
    for tag, attributes in finished.elements:
        for name in ("src", "srcset", "data", "poster", "action", "background"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
        for name in ("href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#"), (tag, attributes)
        assert "url(" not in attributes.get("style", "")
    assert not {tag for tag, _ in finished.elements} & {"link", "iframe", "object", "embed", "base"}
    policy = next(a["content"] for a in finished.all("meta") if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_style_and_script_load_nothing(finished_run: Path, digits_dataset: Dataset) -> None:
    folder = Path(__file__).parents[2] / "src" / "reslab" / "pages" / "templates"
    for path in folder.iterdir():
        text = path.read_text()
        assert "@import" not in text
        assert "url(" not in text
        assert set(re.findall(r"https?://[^\s\"']+", text)) <= {"http://www.w3.org/2000/svg"}


def test_pictures_have_words_and_headings_have_scopes(finished: Page) -> None:
    pictures = finished.all("img")
    assert len(pictures) > 30
    assert all(a["alt"] for a in pictures)
    assert all(a.get("scope") for a in finished.all("th"))
    drawings = [a for a in finished.all("svg") if "viewbox" in a and "role" in a]
    assert len(drawings) == 7
    assert all(a["role"] == "img" and a["aria-label"] for a in drawings)
    anchors = {a["href"][1:] for a in finished.all("a")}
    assert anchors <= {a.get("id") for _, a in finished.elements}


def test_every_part_is_there(finished: Page) -> None:
    for words in (
        "30 epochs of SGD with Nesterov momentum 0.9, batches of 128",
        "fewer than 64 px a side, from scratch",
        "Images per second",
        "What was taken for what",
        "The surest mistakes",
        "The most doubtful",
        "Calibration",
        "The temperature was fitted to the validation images, not to these.",
        "epoch 6",
        FINDINGS[0]["message"],
        FINDINGS[0]["remedy"],
        "reslab train digits --out",
        "reslab eval",
        "reslab predict",
        "2.13.0+cpu",
    ):
        assert words in finished.text, words


def test_the_page_is_the_same_each_time_and_small(finished_run: Path, tmp_path: Path) -> None:
    first = write_report(finished_run, out=tmp_path / "a.html")
    second = write_report(finished_run, out=tmp_path / "b.html")
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 150_000


def test_data_is_opened_again_as_the_run_did(finished_run: Path, tmp_path: Path) -> None:
    page = Page(write_report(finished_run, out=tmp_path / "again.html").read_text())
    assert len(page.all("img")) > 30
    assert "left out" not in page.text


def test_a_page_without_its_data_says_so(copy_of_run: Callable[[], Path]) -> None:
    run = copy_of_run()
    config = json.loads((run / "config.json").read_text())
    config["data"] = str(run / "gone")
    write_json(run / "config.json", config)
    page = page_of(run)
    assert not page.all("img")
    assert "The pictures are left out: " in page.text
    assert "What was taken for what" in page.text


def test_views_of_a_run_that_began_with_smaller_images(copy_of_run: Callable[[], Path]) -> None:
    run = copy_of_run()
    config = json.loads((run / "config.json").read_text())
    config["recipe"] |= {"progressive_size": 6, "progressive_share": 0.25}
    write_json(run / "config.json", config)
    text = page_of(run).text
    assert "its first epochs took. For the first 25% of the run they were then scaled" in text
    assert "the first 25% at 6 px" in text


def test_pictures_of_other_data_are_not_shown(copy_of_run: Callable[[], Path]) -> None:
    run = copy_of_run()
    config = json.loads((run / "config.json").read_text())
    config["dataset"]["fingerprint"] = "0" * 64
    write_json(run / "config.json", config)
    page = page_of(run)
    assert not page.all("img")
    assert "have changed since the run began" in page.text


NASTY = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(2)>",
    "line\nend",
    "\udcff\udc80",
    "&amp;",
    "\u202egnp",
    "{{ 7 * 7 }}",
    "long " * 60,
    "",
    "  ",
)


class NastyNames:
    """Digits whose names a hostile archive might hold."""

    def __init__(self, images: ArrayImages) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return f"{index}/{NASTY[index % len(NASTY)]}.png"

    def read(self, index: int) -> np.ndarray:
        return self.images.read(index)

    def digests(self) -> np.ndarray:
        return self.images.digests()


def test_whatever_the_names_they_stay_text(tmp_path: Path, finished: Page) -> None:
    plain = digits(NASTY)
    assert isinstance(plain.images, ArrayImages)
    dataset = dataclasses.replace(
        plain,
        images=NastyNames(plain.images),
        name=NASTY[0],
        note=NASTY[0],
        excluded=dict.fromkeys(NASTY[:4], NASTY[1]),
    )
    findings = [
        {"kind": n, "severity": n, "message": n, "paths": [n, n], "remedy": n} for n in NASTY
    ]

    def change(config: dict) -> None:
        config["command"] = ["reslab", "train", *NASTY]
        config["data"] = NASTY[3] + NASTY[0]
        config["choices"] = [{"what": n, "chosen": n, "why": n} for n in NASTY]
        config["environment"]["cpu"] = NASTY[1]
        config["spec"]["name"] = NASTY[1]

    run = make_run(tmp_path / "run", dataset, epochs=2, change=change)
    write_json(run / "check.json", {"ok": False, "num_images": 5, "findings": findings})
    page = page_of(run, dataset)
    assert len(page.all("script")) == 1
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    assert all(a["src"].startswith("data:") for a in page.all("img"))
    assert NASTY[0] in page.text
    assert "\\xff\\x80" in page.text
    assert "line\\nend" in page.text
    assert "\\u202egnp" in page.text
    assert "\u202e" not in page.text
    assert "{{ 7 * 7 }}" in page.text


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("interrupted", "Interrupted at update 70 of 300."),
        ("running", "Still running at update 70 of 300"),
        ("diverged", "Diverged at update 70 of 300: loss or weights were no longer finite."),
        ("failed", "Failed at update 70 of 300."),
    ],
)
def test_unfinished_runs(copy_of_run: Callable[[], Path], state: str, words: str) -> None:
    run = copy_of_run()
    shutil.rmtree(run / "evaluation")
    shutil.rmtree(run / "model")
    lines = (run / "results.csv").read_text().splitlines()[:8]
    last = lines[-1].split(",")
    lines.append(f"8,80,0.1,nan,,{last[5]},{last[6]}")
    (run / "results.csv").write_text("\n".join(lines) + "\n")
    (run / "events.jsonl").write_text(
        '{"event": "epoch", "epoch": 1, "images_per_s": 10}\n'
        '{"event": "epoch", "epoch": 2, "images_per_s": null}\n'
        '{"event": "resume", "step": 40}\n{"event": "epo'
    )
    write_json(run / "status.json", {"state": state, "step": 70, "total_steps": 300, "epoch": 7})
    page = page_of(run)
    assert words in page.text
    assert "validation accuracy so far" in page.text
    assert "after epoch 8" in page.text
    assert "reslab train --resume" in page.text
    assert "Class by class" not in page.text
    assert "resumed" in page.text


def test_a_run_that_has_only_begun(copy_of_run: Callable[[], Path]) -> None:
    run = copy_of_run()
    for path in run.iterdir():
        if path.name not in ("config.json", "split.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = page_of(run)
    assert "No epoch was finished" in page.text
    assert "What it saw" in page.text
    assert len(page.all("img")) == 35


def test_a_configuration_of_little(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"reslab": "0.1.0"}')
    assert "No epoch was finished" in page_of(tmp_path).text


@pytest.mark.parametrize(
    "name",
    ["status.json", "results.csv", "events.jsonl", "check.json", "split.json", "model/model.json",
     "evaluation/test.safetensors", "evaluation/val.safetensors"],
)  # fmt: skip
@pytest.mark.parametrize("damage", ["half", "noise", "empty"])
def test_damage_is_noted_and_not_fatal(
    copy_of_run: Callable[[], Path], name: str, damage: str
) -> None:
    run = copy_of_run()
    path = run / name
    data = path.read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, 200, dtype=np.uint8).tobytes()
    path.write_bytes({"half": data[: len(data) // 2], "noise": noise, "empty": b""}[damage])
    page = page_of(run, digits()) if name != "split.json" else page_of(run)
    assert "resnet20 on digits" in page.text
    if name.endswith(("safetensors", "status.json", "check.json", "model.json")):
        assert "What could not be read" in page.text
        assert Path(name).name in page.text


def test_not_a_run_directory(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is not a run directory \(it has no config.json\)"):
        write_report(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("cost", {"params": "many"}),
        ("dataset", {"counts": 3}),
        ("recipe", {"lr": []}),
    ],
)
def test_a_configuration_of_other_types_is_a_data_error(
    copy_of_run: Callable[[], Path], section: str, value: object
) -> None:
    run = copy_of_run()
    config = json.loads((run / "config.json").read_text())
    write_json(run / "config.json", config | {section: value})
    with pytest.raises(DataError, match="no report can be made of"):
        write_report(run)


def test_averaged_weights_are_what_the_summary_speaks_of(copy_of_run: Callable[[], Path]) -> None:
    run = copy_of_run()
    header, *rows = (run / "results.csv").read_text().splitlines()
    values = [f"{9 - 0.125 * i}" for i in range(len(rows))]
    lines = [f"{header},ema_val_error_pct"]
    lines += [f"{row},{value}" for row, value in zip(rows, values, strict=True)]
    (run / "results.csv").write_text("\n".join(lines) + "\n")
    page = page_of(run)
    assert "validation error of the averaged weights at 5.38%" in page.text
    assert "validation, averaged weights" in page.text


def test_two_classes(tmp_path: Path) -> None:
    dataset = two_classes()
    page = page_of(make_run(tmp_path / "run", dataset, epochs=4), dataset)
    assert len([a for a in page.all("td") if a.get("class") in ("hit", "miss", "zero")]) == 4


def test_a_hundred_classes(tmp_path: Path) -> None:
    dataset = many_classes()
    path = write_report(make_run(tmp_path / "run", dataset, epochs=8), dataset)
    page = Page(path.read_text())
    assert "The confusion matrix as a map" in page.text
    assert "The most frequent mistakes" in page.text
    assert len([a for a in page.all("td") if "data-key" in a]) == 400
    assert path.stat().st_size < 500_000
