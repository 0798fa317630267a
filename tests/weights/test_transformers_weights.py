"""Files of Hugging Face's transformers: names, where a bottleneck subsamples, what lies beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from reslab import artifact, networks
from reslab.cli.main import main
from reslab.errors import CheckpointError
from reslab.networks.network import Network, build
from reslab.weights import LAYOUTS, MisfitError, convert, read, to_layout
from reslab.weights.importing import Request, import_file
from reslab.weights.read import Weights
from reslab.weights.transformers_config import preparation

LAYOUT = LAYOUTS["transformers"]
State = dict[str, torch.Tensor]


def hugging_face_shapes(
    depths: list[int], widths: list[int], *, bottleneck: bool, classes: int
) -> dict[str, tuple[int, ...]]:
    """Names and shapes as modeling_resnet.py makes them, written down from its constructors."""
    found: dict[str, tuple[int, ...]] = {}

    def layer(name: str, wide_in: int, wide_out: int, side: int) -> None:
        found[f"{name}.convolution.weight"] = (wide_out, wide_in, side, side)
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.normalization.{part}"] = (wide_out,)
        found[f"{name}.normalization.num_batches_tracked"] = ()

    layer("resnet.embedder.embedder", 3, 64, 7)
    wide_in = 64
    for stage, (depth, wide_out) in enumerate(zip(depths, widths, strict=True)):
        for number in range(depth):
            name = f"resnet.encoder.stages.{stage}.layers.{number}"
            subsamples = number == 0 and stage > 0
            if wide_in != wide_out or subsamples:
                layer(f"{name}.shortcut", wide_in, wide_out, 1)
            if bottleneck:
                inner = wide_out // 4
                layer(f"{name}.layer.0", wide_in, inner, 1)
                layer(f"{name}.layer.1", inner, inner, 3)
                layer(f"{name}.layer.2", inner, wide_out, 1)
            else:
                layer(f"{name}.layer.0", wide_in, wide_out, 3)
                layer(f"{name}.layer.1", wide_out, wide_out, 3)
            wide_in = wide_out
    found["classifier.1.weight"] = (classes, wide_in)
    found["classifier.1.bias"] = (classes,)
    return found


BASIC = {"widths": [64, 128, 256, 512], "bottleneck": False}
DEEP = {"widths": [256, 512, 1024, 2048], "bottleneck": True}


@pytest.mark.parametrize(
    ("ours", "depths", "kind"),
    [
        ("resnet18", [2, 2, 2, 2], BASIC),
        ("resnet34", [3, 4, 6, 3], BASIC),
        ("resnet50_v15", [3, 4, 6, 3], DEEP),
        ("resnet101_v15", [3, 4, 23, 3], DEEP),
        ("resnet152_v15", [3, 8, 36, 3], DEEP),
        ("resnet50", [3, 4, 6, 3], DEEP),
    ],
)
def test_names_and_shapes_are_those_of_its_source(ours, depths, kind):
    with torch.device("meta"):
        made = build(networks.replace(networks.entry(ours).spec, num_classes=7))
    keys, own = LAYOUT.keys(made), made.state_dict()
    assert {keys[key]: tuple(value.shape) for key, value in own.items()} == hugging_face_shapes(
        depths, classes=7, **kind
    )


@pytest.fixture(scope="module")
def resnet18() -> Network:
    torch.manual_seed(0)
    return build(networks.replace(networks.entry("resnet18").spec, num_classes=3)).eval()


CONFIG = {
    "architectures": ["ResNetForImageClassification"],
    "model_type": "resnet",
    "depths": [2, 2, 2, 2],
    "hidden_act": "relu",
    "layer_type": "basic",
    "id2label": {"0": "owl", "1": "crane", "2": "crane"},
}
# As microsoft/resnet-18 has it.
PREPROCESSOR = {
    "crop_pct": 0.875,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "ConvNextFeatureExtractor",
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "size": 224,
}


def folder(
    path: Path, state: State, config: dict[str, Any] | None = None, **preprocessor: Any
) -> Path:
    path.mkdir()
    save_file(state, path / "model.safetensors", metadata={"format": "pt"})
    if config is not None:
        (path / "config.json").write_text(json.dumps(config))
    if preprocessor:
        (path / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return path


def test_a_folder_with_descriptions_there_and_back(tmp_path, capsys, resnet18):
    state = to_layout(resnet18, LAYOUT)
    theirs = folder(tmp_path / "hf", state, CONFIG, **PREPROCESSOR)
    out = tmp_path / "model"
    assert main(["weights", "import", str(theirs), "--out", str(out)]) == 0
    said = capsys.readouterr().err
    assert "several classes are called 'crane'" in said
    assert "does not say how images are prepared" not in said
    model = artifact.load(out)
    assert model.classes == ("owl", "crane (1)", "crane (2)")
    preprocess = model.preprocess
    assert (preprocess.img_size, preprocess.resize_size) == (224, 256)
    assert (preprocess.resize, preprocess.interpolation) == ("crop", "bicubic")
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(model.network(x), resnet18(x))
    back = tmp_path / "back"
    words = ["weights", "export", str(out), "--to", "transformers", "--out", str(back)]
    assert main(words) == 0
    written = load_file(back / "model.safetensors")
    assert set(written) == set(state)
    assert all(torch.equal(written[key], state[key]) for key in state)
    config = json.loads((back / "config.json").read_text())
    assert config["depths"] == [2, 2, 2, 2]
    assert config["hidden_sizes"] == [64, 128, 256, 512]
    assert config["id2label"]["2"] == "crane (2)"
    again = import_file(Request(file=back)).artifact
    assert again.preprocess == preprocess
    assert again.classes == model.classes


def test_the_bare_network_of_a_backbone(tmp_path, resnet18):
    """ResNetModel has no classifier and no prefix; "encoder." in its names is no wrapper's."""
    state = {
        name.removeprefix("resnet."): value
        for name, value in to_layout(resnet18, LAYOUT).items()
        if not name.startswith("classifier")
    }
    found = convert(read(folder(tmp_path / "hf", state)))
    assert found.network.spec.name == "resnet18"
    assert found.network.num_classes == 0
    assert found.share.is_whole
    assert torch.equal(found.network.stem.conv.weight, resnet18.stem.conv.weight)


@pytest.fixture(scope="module")
def bottlenecks() -> State:
    """The tensors of ResNet-50, whichever convolution subsamples."""
    return {
        name: torch.ones(shape)
        for name, shape in hugging_face_shapes([3, 4, 6, 3], classes=3, **DEEP).items()
    }


def weights(state: State, **config: Any) -> Weights:
    return Weights(Path("model.safetensors"), state, config=config)


@pytest.mark.parametrize(
    ("config", "name", "side"),
    [
        ({"model_type": "resnet"}, "resnet50_v15", "3x3"),
        ({"model_type": "resnet", "downsample_in_bottleneck": False}, "resnet50_v15", "3x3"),
        ({"model_type": "resnet", "downsample_in_bottleneck": True}, "resnet50", "1x1"),
    ],
)
def test_where_a_bottleneck_subsamples_is_read(bottlenecks, config, name, side):
    found = convert(weights(bottlenecks, **config))
    assert found.network.spec.name == name
    assert found.network.spec.stride_on == side
    assert found.notes == ()


def test_where_a_bottleneck_subsamples_is_said_where_it_is_not_told(bottlenecks):
    found = convert(weights(bottlenecks))
    assert found.network.spec.stride_on == "3x3"
    assert any("--as resnet50)" in note for note in found.notes)
    asked = convert(weights(bottlenecks), name="resnet50")
    assert asked.network.spec.stride_on == "1x1"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hidden_act": "gelu"}, "its activation is 'gelu'"),
        ({"downsample_in_first_stage": True}, "the first stage subsamples"),
        ({"model_type": "rt_detr_resnet"}, "it is a rt_detr_resnet"),
    ],
)
def test_a_description_of_another_function(resnet18, config, message):
    state = to_layout(resnet18, LAYOUT)
    with pytest.raises(CheckpointError, match=f"{message}.*--as resnet18 takes it"):
        convert(weights(state, **config))
    found = convert(weights(state, **config), name="resnet18")
    assert any(message in note for note in found.notes)


def test_another_stride_than_was_asked_for_is_said(bottlenecks):
    found = convert(weights(bottlenecks, downsample_in_bottleneck=True), name="resnet50_v15")
    assert any("a bottleneck's 1x1 convolution subsamples" in note for note in found.notes)


def test_its_mobilenet_is_named():
    state = {
        "mobilenet_v1.conv_stem.convolution.weight": torch.ones(32, 3, 3, 3),
        "mobilenet_v1.layer.0.convolution.weight": torch.ones(32, 1, 3, 3),
        "classifier.weight": torch.ones(1001, 1024),
    }
    with pytest.raises(MisfitError, match=r"MobileNet v1 \(ReLU6.*1001.*background") as caught:
        convert(weights(state, model_type="mobilenet_v1"))
    assert "config.json says mobilenet_v1" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, (224, 256, "crop", "bicubic")),
        ({"size": {"shortest_edge": 384}}, (384, 384, "squash", "bicubic")),
        ({"size": {"shortest_edge": 160}, "crop_pct": 0.8}, (160, 200, "crop", "bicubic")),
        ({"crop_pct": None, "resample": 2}, (224, 256, "crop", "bilinear")),
        (
            {
                "feature_extractor_type": None,
                "image_processor_type": "ViTImageProcessor",
                "size": {"height": 224, "width": 224},
            },
            (224, 224, "squash", "bicubic"),
        ),
        (
            {
                "image_processor_type": "BitImageProcessor",
                "size": {"shortest_edge": 256},
                "crop_size": {"height": 224, "width": 224},
                "do_center_crop": True,
            },
            (224, 256, "crop", "bicubic"),
        ),
    ],
)
def test_how_its_processors_prepare_images(resnet18, changes, expected):
    found, notes = preparation({**PREPROCESSOR, **changes}, resnet18.spec)
    assert found is not None
    assert (found.img_size, found.resize_size, found.resize, found.interpolation) == expected
    assert notes == ()


def test_what_its_processors_cannot_mean_is_said(resnet18):
    for changes in ({"do_rescale": False}, {"rescale_factor": 1 / 127.5}, {"size": {"width": 3}}):
        found, notes = preparation({**PREPROCESSOR, **changes}, resnet18.spec)
        assert found is None
        assert "nothing usable" in notes[0]
    found, notes = preparation({**PREPROCESSOR, "resample": 1}, resnet18.spec)
    assert "'lanczos' is not known" in notes[0]
    found, _ = preparation({**PREPROCESSOR, "do_normalize": False}, resnet18.spec)
    assert found is not None
    assert (found.mean, found.std) == ((0.0,) * 3, (1.0,) * 3)
