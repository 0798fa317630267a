"""The page, its files and the verb, on a small network that was never trained."""

import csv
import dataclasses
import html
import json
import re
import shutil
import xml.etree.ElementTree as ET

import numpy as np
import pytest
import torch
from PIL import Image

from reslab import artifact
from reslab.analyze.probed import probe
from reslab.artifact import Artifact
from reslab.cli.main import main
from reslab.data.preprocess import Preprocess
from reslab.errors import DataError, UsageError
from reslab.look import SECTIONS, look_inside
from reslab.models import create_model
from tolerance import rounding_of

MIB = 1 << 20


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    network = create_model("resnet20", in_chans=1, img_size=8).eval()
    folder = tmp_path_factory.mktemp("models") / "digits-net"
    artifact.save(
        Artifact(
            network,
            tuple("0123456789"),
            Preprocess(img_size=8, resize_size=8, in_chans=1, mean=(0.3,), std=(0.4,)),
            metrics={"test": {"accuracy_pct": 12.5}},
            provenance={"data": "digits"},
        ),
        folder,
    )
    return folder


@pytest.fixture(scope="module")
def seen(model, tmp_path_factory):
    told = []
    folder = tmp_path_factory.mktemp("figures")
    found = look_inside(model, images=3, count=24, out=folder, notify=told.append)
    return found, folder, told


def test_the_page_is_whole_small_and_asks_for_nothing(seen):
    found, folder, told = seen
    assert found.page == folder / "look.html"
    text = found.page.read_text()
    assert found.page.stat().st_size < 4 * MIB
    assert re.findall(r'<section id="(\w+)">', text) == [
        "attribution",
        "signal",
        "ablation",
        "cost",
        "again",
    ]
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert "12.50%" in text
    assert "&gt; .full" not in text
    assert told


def test_every_figure_is_a_file_and_the_numbers_are_json(seen):
    found, folder, _ = seen
    names = {path.name for path in folder.iterdir()}
    assert {path.name for path in found.files} | {"look.html"} == names
    for figure in (f for section in found.sections for f in section.figures):
        assert figure.caption.endswith(".")
        assert f"{figure.name}.png" in names or f"{figure.name}.svg" in names or not figure.data
    for path in found.files:
        if path.suffix == ".json":
            json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(word))
        elif path.suffix == ".svg":
            root = ET.parse(path).getroot()
            assert root.get("width")
            assert "var(" not in path.read_text()
        elif path.suffix == ".csv":
            rows = list(csv.reader(path.read_text().splitlines()))
            assert len(rows) > 1
            assert len({len(row) for row in rows}) == 1
        else:
            with Image.open(path) as image:
                assert image.width <= 3000
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(model, seen, tmp_path):
    found = look_inside(model, images=3, count=24, only=["sees"], out=tmp_path)
    first = seen[0].to_json()["sees"]
    assert found.to_json()["sees"] == first
    other = look_inside(model, images=3, count=24, only=["sees"], seed=1, out=tmp_path)
    assert other.to_json()["sees"]["attention"] != first["attention"]


def test_what_grad_cam_shows_is_what_the_function_says(model, seen):
    from reslab.analyze.grad_cam import grad_cam
    from reslab.analyze.sample import open_sample

    loaded = artifact.load(model)
    sample = open_sample(loaded, model, count=24)
    for row in seen[0].to_json()["sees"]["attention"]["images"]:
        place = sample.numbers.tolist().index(row["image"])
        image = sample.images[place : place + 1]
        with torch.no_grad():
            logits = loaded.network(image)
        chances = logits.softmax(1)[0]
        bound = rounding_of(loaded.network, logits)
        assert row["said"] == loaded.classes[int(chances.argmax())]
        assert row["probability"] == pytest.approx(float(chances.max()), abs=bound)
        assert np.array(row["probability_covered"]).shape == (8, 8)
        np.testing.assert_allclose(
            np.array(row["grad_cam"]), grad_cam(loaded.network, image)[0], atol=bound
        )


def test_without_its_data_the_page_says_so(model, tmp_path, monkeypatch):
    copied = tmp_path / "alone"
    shutil.copytree(model, copied)
    loaded = artifact.load(copied)
    gone = Artifact(loaded.network, loaded.classes, loaded.preprocess, provenance={"data": "/gone"})
    artifact.save(gone, copied)
    monkeypatch.chdir(tmp_path)
    found = look_inside(copied)
    text = (tmp_path / "look.html").read_text()
    assert "What needs images is left out" in text
    assert [figure.name for figure in found.sections[0].figures] == ["filters"]
    assert found.to_json()["lesions"]["missing"]
    older = look_inside(copied, only=["sees", "lesions"])
    assert [section.name for section in older.sections] == ["attribution", "ablation"]
    with pytest.raises(UsageError, match="/gone"):
        look_inside(copied, "/gone")


def test_what_a_run_wrote_down_while_it_learned(model, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(model, run / "model")
    (run / "config.json").write_text("{}")
    network, draw = artifact.load(model).network, torch.Generator().manual_seed(0)
    images = torch.randn(4, 1, 8, 8, generator=draw)
    lines = [probe(network, images, torch.arange(4), step=10 * n, epoch=n / 2) for n in range(9)]
    (run / "probe.jsonl").write_text("".join(json.dumps(one.to_json()) + "\n" for one in lines))
    found = look_inside(run, only=("signal",), count=8, images=1)
    figures = {figure.name: figure for figure in found.sections[0].figures}
    series = figures["gradients-while-learning"].body.series
    assert [one.label for one in series] == [
        f"epoch {n}" for n in ("0", "1", "1.5", "2.5", "3", "4")
    ]
    assert [one.style for one in series] == ["thin"] * 5 + ["bold"]
    assert series[0].y == [step.gradient_norm for step in lines[0].signal.steps]
    assert "activations-while-learning" in figures
    assert "Gradient by depth while it learned" in found.page.read_text()


def test_a_surface_of_two_models_on_one_scale(model, tmp_path):
    from reslab.look.loss_landscape import loss_landscape
    from reslab.look.model_and_images import open_model_and_images

    subject = open_model_and_images(model, count=8, images=1)
    section = loss_landscape(subject, lambda _text: None, against=str(model), points=3)
    figure, path = section.figures
    assert list(figure.data) == ["resnet20", f"resnet20 ({model})"]
    assert figure.body.wide
    assert path.name == "linear-path"
    losses = [point["loss"] for point in path.data["interpolated"]["points"]]
    bound = rounding_of(subject.model.network, max(losses))
    assert path.data["interpolated"]["barrier"] == pytest.approx(0, abs=bound)  # to itself
    torch.manual_seed(1)
    other = create_model("resnet20", in_chans=1, img_size=8, num_classes=3)
    preprocess = subject.model.preprocess
    artifact.save(Artifact(other, ("a", "b", "c"), preprocess), tmp_path / "other")
    deeper = create_model("resnet32", in_chans=1, img_size=8).eval()
    artifact.save(Artifact(deeper, subject.model.classes, preprocess), tmp_path / "deeper")
    section = loss_landscape(
        subject, lambda _text: None, against=str(tmp_path / "deeper"), points=3
    )
    assert [figure.name for figure in section.figures] == ["loss-surface"]  # no line to walk
    with pytest.raises(DataError, match="same images"):
        loss_landscape(subject, lambda _text: None, against=str(tmp_path / "other"), points=3)


def test_one_kind_of_probability(model):
    from reslab.look.attribution import _attention
    from reslab.look.model_and_images import open_model_and_images

    subject = open_model_and_images(model, count=8, images=1)
    warm = dataclasses.replace(subject.model, temperature=3.0)
    figure = _attention(dataclasses.replace(subject, model=warm))
    (row,) = figure.data["images"]
    with torch.no_grad():
        logits = warm.network(subject.images)
    said = warm.classes.index(row["said"])
    bound = rounding_of(warm.network, logits)
    assert row["probability"] == pytest.approx(float((logits / 3).softmax(1)[0, said]), abs=bound)
    covered = subject.images.clone()
    covered[0, :, :3, :3] = 0  # a patch of 3 around the second pixel of the second row
    with torch.no_grad():
        chance = float((warm.network(covered) / 3).softmax(1)[0, said])
    assert row["probability_covered"][1][1] == pytest.approx(chance, abs=bound)


def test_a_dead_network_has_a_page_and_files(model, tmp_path):
    loaded = artifact.load(model)
    with torch.no_grad():
        for module in loaded.network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.zero_()
                module.bias.fill_(-1)
    artifact.save(loaded, tmp_path / "dead")
    found = look_inside(tmp_path / "dead", count=12, images=1, only=["sees"], out=tmp_path / "out")
    names = [figure.name for figure in found.sections[0].figures]
    assert "t-sne" in names
    assert not [name for name in names if name.startswith("units-")]
    missing = found.sections[0].missing
    assert len(missing) == 4
    assert all("is left out: none of them responds" in line for line in missing)
    assert missing[0] in found.page.read_text()
    assert (tmp_path / "out" / "t-sne.json").is_file()


@pytest.mark.slow
def test_the_surface_of_a_run_of_another_seed(model, tmp_path):
    from reslab.look.loss_landscape import loss_landscape
    from reslab.look.model_and_images import open_model_and_images
    from reslab.look.pictures import seen_by

    subject = open_model_and_images(model, count=8, images=1)
    mine = subject.model.preprocess
    other = dataclasses.replace(mine, mean=(0.35,), std=(0.41,))
    raw = subject.images * 0.4 + 0.3
    torch.testing.assert_close(seen_by(subject.images, mine, other), (raw - 0.35) / 0.41)
    network = subject.model.network
    artifact.save(Artifact(network, subject.model.classes, other), tmp_path / "other")
    section = loss_landscape(subject, lambda _text: None, against=str(tmp_path / "other"), points=3)
    surface, line = section.figures
    losses = [one["loss"][1][1] for one in surface.data.values()]
    assert losses[0] != losses[1]
    assert "normalised as resnet20 takes them" in line.caption
    smaller = dataclasses.replace(mine, resize_size=10)
    artifact.save(Artifact(network, subject.model.classes, smaller), tmp_path / "smaller")
    with pytest.raises(DataError, match="same images"):
        loss_landscape(subject, lambda _text: None, against=str(tmp_path / "smaller"), points=3)


def test_the_command_on_the_page_makes_it_again(model, tmp_path):
    out = tmp_path / "its figures"
    chosen = {"images": 2, "count": 9, "time_limit_s": 90.0, "seed": 3, "out": out}
    page = look_inside(model, only=["cost"], **chosen).page
    command = html.unescape(re.search(r"<pre>(.*?)</pre>", page.read_text())[1])
    assert command == (
        f"reslab look {model} --only cost --time 90s --images 2 --count 9 --seed 3 --out '{out}'"
    )


def test_a_time_without_a_surface_is_refused(model, tmp_path, capsys):
    words = ["look", str(model), "--only", "cost", "--time", "10s", "--out", str(tmp_path)]
    assert main(words) == 2
    assert capsys.readouterr().err == (
        "reslab: --time is for loss surfaces, and none is drawn; add --landscape\n"
    )
    assert not list(tmp_path.iterdir())


def test_the_verb(model, tmp_path, capsys):
    words = [str(model), "--only", "cost", "--count", "8", "--out", str(tmp_path)]
    assert main(["look", *words]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'look.html'}\n"
    assert main(["look", *words, "--json"]) == 0
    value = json.loads(capsys.readouterr().out)
    assert sum(value["cost"]["parameters"]["counts"]) == 269_434
    assert main(["look", str(model), "--only", "cots"]) == 2
    assert "'cost'" in capsys.readouterr().err
    assert main(["look", str(tmp_path / "none")]) == 4
    assert main(["look", str(model), "--images", "0"]) == 2
    assert set(SECTIONS) == {"attribution", "signal", "ablation", "cost", "landscape"}
