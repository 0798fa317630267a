"""`reslab weights`: from a foreign file to predictions and further training, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from reslab import artifact, create_model, networks
from reslab.cli.main import main
from reslab.data.preprocess import Preprocess
from reslab.networks.network import Network, build
from reslab.weights import LAYOUTS, to_layout
from reslab.weights.card import model_card
from reslab.weights.preparation import from_timm

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def resnet() -> Network:
    torch.manual_seed(4)
    made = build(networks.replace(networks.entry("resnet20").spec, num_classes=10))
    made(torch.randn(8, 3, 32, 32))  # statistics that are not those of a new network
    return made.eval()


@pytest.fixture
def checkpoint(tmp_path: Path, resnet: Network) -> Path:
    state = to_layout(resnet, LAYOUTS["akamaster"])
    wrapped = {"state_dict": {f"module.{k}": v for k, v in state.items()}, "best_prec1": 91.0}
    torch.save(wrapped, tmp_path / "resnet20-12fca82f.th")
    return tmp_path / "resnet20-12fca82f.th"


def run(capsys: Capture, *words: object, code: int = 0) -> tuple[str, str]:
    assert main([str(word) for word in ("weights", *words)]) == code
    shown = capsys.readouterr()
    return shown.out, shown.err


def draw_pictures(folder: Path) -> None:
    """Write ten pictures of noise for each of two classes."""
    draw = np.random.default_rng(0)
    for label in ("x", "y"):
        (folder / label).mkdir(parents=True)
        for number in range(10):
            pixels = draw.integers(0, 256, (32, 32, 3), np.uint8)
            Image.fromarray(pixels).save(folder / label / f"{number}.png")


def test_import_predict_and_train_on(tmp_path, checkpoint, resnet, capsys):
    out = tmp_path / "imported"
    shown, notes = run(capsys, "import", checkpoint, "--out", out)
    assert shown == f"{out}\n"
    assert "prefix 'module.'" in notes
    assert "CIFAR-10's classes" in notes
    assert "mean 0.485, 0.456, 0.406" in notes
    model = artifact.load(out)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(model.network(x), resnet(x))
    assert model.classes[:2] == ("airplane", "automobile")
    told = model.provenance["imported"]
    assert told["layout"] == "akamaster"
    assert told["network"] == "resnet20"
    assert len(told["sha256"]) == 64
    draw_pictures(tmp_path / "data")
    image = str(tmp_path / "data" / "x" / "0.png")
    assert main(["predict", str(out), image, "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["top"][0]["label"] in model.classes
    words = ["train", tmp_path / "data", "--start", out, "--out", tmp_path / "run"]
    words += ["--epochs", "1", "--device", "cpu", "--workers", "0"]
    assert main([str(word) for word in words]) == 0
    assert artifact.load(tmp_path / "run").network.spec.name == "resnet20"


def test_json_says_all(tmp_path, checkpoint, capsys):
    shown, _ = run(capsys, "import", checkpoint, "--out", tmp_path / "i", "--json")
    told: dict[str, Any] = json.loads(shown)
    assert told["network"] == "resnet20"
    assert told["preprocess"]["std"] == [0.229, 0.224, 0.225]
    assert told["left_out"] == told["initialised"] == []


def test_what_the_user_knows(tmp_path, checkpoint, capsys):
    (tmp_path / "names.txt").write_text("\ufeff" + "\n".join("abcdefghij") + "\n")
    out = tmp_path / "i"
    words = ["--classes", tmp_path / "names.txt", "--mean", "0.5,0.4,0.3", "--std", "1,1,1"]
    _, notes = run(capsys, "import", checkpoint, "--out", out, *words, "--img-size", "40")
    assert "name others with" not in notes
    assert "change it with" not in notes
    model = artifact.load(out)
    assert model.classes == tuple("abcdefghij")
    assert model.preprocess.mean == (0.5, 0.4, 0.3)
    assert (model.preprocess.img_size, model.network.spec.img_size) == (40, 40)


@pytest.mark.parametrize(
    ("names", "message"), [("a\nb\n", "2 class names"), ("a\n" * 10, "'a' twice")]
)
def test_class_names_that_do_not_fit(tmp_path, checkpoint, capsys, names, message):
    (tmp_path / "names.txt").write_text(names)
    words = ["import", checkpoint, "--classes", tmp_path / "names.txt", "--out", tmp_path / "i"]
    assert message in run(capsys, *words, code=2)[1]
    assert not (tmp_path / "i").exists()


def test_misfits_are_listed(tmp_path, checkpoint, capsys):
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    state |= {f"extra.{number}": torch.ones(1) for number in range(60)}
    torch.save(state, checkpoint)
    out = tmp_path / "i"
    shown, notes = run(capsys, "import", checkpoint, "--out", out, code=4)
    assert shown == ""
    assert "no place for extra.39\n" in notes
    assert "and 20 more (--json)" in notes
    shown, _ = run(capsys, "import", checkpoint, "--out", out, "--json", code=4)
    assert len(json.loads(shown)["misfits"]) == 60
    assert not out.exists()
    _, notes = run(capsys, "import", checkpoint, "--out", out, "--allow-partial")
    assert "left out: extra.0\n" in notes


def test_nothing_is_overwritten(tmp_path, checkpoint, capsys):
    (tmp_path / "i").mkdir()
    (tmp_path / "i" / "mine").write_text("")
    assert "exists already" in run(
        capsys, "import", checkpoint, "--out", tmp_path / "i", code=2
    )[1]  # fmt: skip
    out = tmp_path / "model"
    run(capsys, "import", checkpoint, "--out", out)
    target = tmp_path / "w.pth"
    target.write_text("mine")
    words = ["export", out, "--to", "akamaster", "--out", target]
    assert "exists already" in run(capsys, *words, code=2)[1]
    assert target.read_text() == "mine"


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_export(tmp_path, checkpoint, resnet, capsys, suffix):
    run(capsys, "import", checkpoint, "--out", tmp_path / "model")
    target = tmp_path / f"w{suffix}"
    words = ["export", tmp_path / "model", "--to", "akamaster", "--out", target, "--json"]
    told = json.loads(run(capsys, *words)[0])
    assert told["files"] == [str(target)]
    assert told["network"] == "resnet20"
    found = load_file(target) if suffix != ".pth" else torch.load(target, weights_only=True)
    expected = to_layout(resnet, LAYOUTS["akamaster"])
    assert set(found) == set(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def timm_folder(folder: Path, network: Network, **changes: Any) -> Path:
    folder.mkdir()
    save_file(to_layout(network, LAYOUTS["timm"]), folder / "model.safetensors")
    config = {
        "architecture": "resnet18",
        "num_classes": network.num_classes,
        "pretrained_cfg": {
            "input_size": [3, 96, 96],
            "crop_pct": 0.8,
            "interpolation": "bicubic",
            "mean": [0.1, 0.2, 0.3],
            "std": [0.4, 0.5, 0.6],
        },
        "label_names": ["owl", "elk"],
        **changes,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder / "model.safetensors"


@pytest.fixture(scope="module")
def resnet18() -> Network:
    torch.manual_seed(0)
    return build(networks.replace(networks.entry("resnet18").spec, num_classes=2)).eval()


def test_timm_says_how_images_are_prepared(tmp_path, resnet18, capsys):
    file = timm_folder(tmp_path / "timm", resnet18)
    _, notes = run(capsys, "import", file, "--out", tmp_path / "i")
    assert "note" not in notes
    model = artifact.load(tmp_path / "i")
    assert model.classes == ("owl", "elk")
    preprocess = model.preprocess
    assert (preprocess.img_size, preprocess.resize_size) == (96, 120)
    assert (preprocess.resize, preprocess.interpolation) == ("crop", "bicubic")
    assert preprocess.mean == (0.1, 0.2, 0.3)
    assert model.provenance["imported"]["layout"] == "timm"
    target = tmp_path / "back"
    run(capsys, "export", tmp_path / "i", "--to", "timm", "--out", target)
    before, after = (json.loads((f / "config.json").read_text()) for f in (file.parent, target))
    assert after["architecture"] == "resnet18"
    assert after["label_names"] == before["label_names"]
    assert before["pretrained_cfg"].items() <= after["pretrained_cfg"].items()


def described(network: Network, **changes: Any) -> tuple[Preprocess | None, tuple[str, ...]]:
    """Read a description like that of `timm_folder`, with changes."""
    told = {"input_size": [3, 96, 96], "crop_pct": 0.8, "mean": [0.5] * 3, "std": [0.2] * 3}
    return from_timm({"pretrained_cfg": {**told, **changes}}, network.spec)


@pytest.mark.parametrize(
    ("changes", "expected", "notes"),
    [
        ({"interpolation": "box"}, ("crop", "box"), []),
        ({"interpolation": "lanczos"}, ("crop", "bilinear"), ["'lanczos' is not known"]),
        ({"crop_mode": "border"}, ("pad", "bilinear"), []),
        (
            {"crop_mode": "border", "mean": [0.1, 0.2, 0.3]},
            ("pad", "bilinear"),
            ["mid-grey, not with the mean colour"],
        ),
    ],
)
def test_what_timm_does_otherwise(resnet18, changes, expected, notes):
    found, said = described(resnet18, **changes)
    assert found is not None
    assert (found.resize, found.interpolation) == expected
    assert len(said) == len(notes)
    assert all(part in note for part, note in zip(notes, said, strict=True))


def test_what_timm_cannot_mean(resnet18):
    found, said = described(resnet18, mean=[123.7, 116.3, 103.5])
    assert found is None
    assert "mean must be in 0..1" in said[0]


@pytest.mark.parametrize(
    ("changes", "mode", "mean", "parts"),
    [
        ({"resize": "pad"}, "border", [0.5] * 3, []),
        ({"resize": "pad", "mean": (0.1, 0.2, 0.3)}, "border", [0.1, 0.2, 0.3], ["mean colour"]),
        (
            {"mean_image": np.full((64, 64, 3), 0.25, np.float32), "std": (1.0,) * 3},
            "squash",
            [0.25] * 3,
            ["no mean image"],
        ),
    ],
)
def test_what_a_description_for_timm_lacks(tmp_path, resnet18, capsys, changes, mode, mean, parts):
    preprocess = Preprocess(img_size=64, resize_size=64, **changes)
    model = artifact.Artifact(resnet18, ("owl", "elk"), preprocess)
    artifact.save(model, tmp_path / "model")
    out = tmp_path / "timm"
    shown, said = run(capsys, "export", tmp_path / "model", "--to", "timm", "--out", out, "--json")
    told = json.loads((out / "config.json").read_text())["pretrained_cfg"]
    assert (told["crop_mode"], told["mean"]) == (mode, mean)
    notes = json.loads(shown)["notes"]
    assert len(notes) == len(parts)
    assert all(part in note for part, note in zip(parts, notes, strict=True))
    assert all(f"note: {note}\n" in said for note in notes)


def test_a_network_without_a_classifier(tmp_path, checkpoint, capsys):
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    torch.save({k: v for k, v in state.items() if "linear" not in k}, checkpoint)
    out = tmp_path / "i"
    _, notes = run(capsys, "import", checkpoint, "--out", out)
    assert "note: no classifier: start a training from it" in notes
    assert "reslab predict" not in notes
    assert artifact.load(out).classes == ()
    (tmp_path / "x.png").write_bytes(b"")
    assert main(["predict", str(out), str(tmp_path / "x.png"), "--device", "cpu"]) == 4
    assert "has no classifier" in capsys.readouterr().err
    draw_pictures(tmp_path / "data")
    words = ["train", tmp_path / "data", "--start", out, "--out", tmp_path / "run"]
    words += ["--epochs", "1", "--device", "cpu", "--workers", "0"]
    assert main([str(word) for word in words]) == 0
    assert artifact.load(tmp_path / "run").classes == ("x", "y")


def test_export_refuses_what_it_cannot_write(tmp_path, resnet18, capsys):
    file = timm_folder(tmp_path / "timm", resnet18)
    run(capsys, "import", file, "--out", tmp_path / "i")
    words = ["export", tmp_path / "i", "--to", "torchvision", "--out"]
    assert "name a .safetensors" in run(capsys, *words, tmp_path / "w.onnx", code=2)[1]
    assert "name a .safetensors" in run(capsys, *words, tmp_path / "folder", code=2)[1]
    words[3] = "akamaster"
    assert "has no network" in run(capsys, *words, tmp_path / "w.pth", code=2)[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["import"], "the following arguments are required"),
        (["export", "m", "n", "--to", "timm"], "unrecognized arguments: n"),
        (["export", "m"], "needs --to PROGRAM and --out FILE"),
        (["import", "f.pth", "--to", "timm"], "--to belongs to reslab weights export, not import"),
        (["pull", "a/b", "--as", "resnet20"], "--as belongs to reslab weights import"),
        (["import", "f.pth", "--mean", "a,b"], "no list of numbers"),
        (["pull", "nothing"], "write owner/name"),
        (["fetch", "x"], "unknown command 'reslab weights fetch'"),
    ],
)
def test_wrong_usage(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert message in run(capsys, *words, code=2)[1]
    assert not any(tmp_path.iterdir())


def test_a_hub_needs_a_package(tmp_path, checkpoint, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    assert "pip install 'reslab[hub]'" in run(capsys, "push", tmp_path, "a/b", code=5)[1]


def test_networks_by_name_with_foreign_weights(checkpoint, resnet, tmp_path, resnet18):
    made = create_model("resnet20", pretrained=checkpoint)
    assert made.training
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(made.eval()(x), resnet(x))
    other = create_model("resnet20", pretrained=str(checkpoint), num_classes=3, in_chans=1)
    assert other(torch.randn(2, 1, 32, 32)).shape == (2, 3)
    folder = timm_folder(tmp_path / "timm", resnet18).parent
    found = create_model("resnet18", pretrained=folder).eval()
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(found(x), resnet18(x))


def test_the_card_of_an_imported_model(tmp_path, checkpoint, capsys):
    run(capsys, "import", checkpoint, "--out", tmp_path / "i")
    card = model_card(artifact.load(tmp_path / "i"), repo="someone/small-net")
    assert card.startswith("---\nlibrary_name: reslab\n")
    assert "# small-net\n" in card
    assert "269,722 parameters" in card
    assert "akamaster/pytorch_resnet_cifar10" in card
    assert 'pretrained="hf-hub:someone/small-net"' in card
    assert "None was stated: ask its author" in card
    assert "Nothing was measured" in card


def test_the_card_shows_names_in_any_script(resnet18):
    preprocess = Preprocess(img_size=64, resize_size=64)
    model = artifact.Artifact(resnet18, ("Löwe", "猫\n"), preprocess)
    assert "Löwe, 猫\\n\n" in model_card(model, repo="a/b")
