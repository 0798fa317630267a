"""What of a file is taken, what of a network is then new, and what is refused for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from reslab import artifact, networks
from reslab.cli.main import main
from reslab.errors import CheckpointError
from reslab.networks.network import build
from reslab.training.config import Request
from reslab.training.inputs import decide
from reslab.training.observe import Silent
from reslab.weights import LAYOUTS, MisfitError, convert, read, to_layout
from reslab.weights.read import Weights
from reslab.weights.share import share_of

State = dict[str, torch.Tensor]
AKAMASTER = LAYOUTS["akamaster"]


@pytest.fixture(scope="module")
def resnet20() -> State:
    torch.manual_seed(0)
    made = build(networks.replace(networks.entry("resnet20").spec, num_classes=10))
    return to_layout(made, AKAMASTER)


@pytest.fixture(scope="module")
def resnet20_b() -> State:
    torch.manual_seed(0)
    made = build(networks.replace(networks.entry("resnet20_b").spec, num_classes=10))
    return to_layout(made, LAYOUTS["cifar-models"])


def weights(tensors: State) -> Weights:
    return Weights(Path("w.pth"), tensors)


def numbers(tensors: State, *ends: str) -> int:
    """Count the numbers in the tensors whose names end so, counters aside."""
    return sum(
        value.numel()
        for name, value in tensors.items()
        if name.endswith(ends) and not name.endswith("num_batches_tracked")
    )


def test_all_of_a_file_that_fits(resnet20):
    share = convert(weights(resnet20)).share
    everything = numbers(resnet20, "")
    assert share.is_whole
    assert share.file_values == share.taken_values == share.network_values == everything
    assert share.backbone == 1
    assert share.described("resnet20").endswith("all of resnet20 comes from it")


def test_the_numbers_of_what_was_taken(resnet20):
    """The last block is missing and a projector is there that has no place."""
    file = {name: value for name, value in resnet20.items() if not name.startswith("layer3.2")}
    file["projector.weight"] = torch.ones(7, 64)
    share = convert(weights(file), allow_partial=True).share
    fits = {name: value for name, value in file.items() if not name.startswith("projector")}
    assert not share.network_is_whole
    # The classifier, which would stand on new layers, is left out of the network.
    body = {name: value for name, value in fits.items() if not name.startswith("linear")}
    assert share.taken_values == share.filled_values == numbers(body, "")
    assert share.file_values == numbers(fits, "") + 7 * 64
    whole = {name: value for name, value in resnet20.items() if not name.startswith("linear")}
    assert share.network_values == numbers(whole, "")
    counted = [name for name in file if not name.endswith("num_batches_tracked")]
    assert share.file_tensors == len(counted)
    assert share.taken_tensors == len(counted) - 3


def parts(tensors: State, *starts: str) -> State:
    return {name: value for name, value in tensors.items() if name.startswith(starts)}


def test_less_than_half_of_the_layers_is_refused(resnet20):
    """Stages 1 and 2 of three hold a quarter of the parameters."""
    file = parts(resnet20, "conv1", "bn1", "layer1", "layer2")
    with pytest.raises(MisfitError, match=r"only 2\d\.\d% of its layers.*less than the 50%"):
        convert(weights(file), name="resnet20", layout="akamaster", allow_partial=True)
    file |= parts(resnet20, "layer3.0", "layer3.1")
    found = convert(weights(file), allow_partial=True)
    assert found.network.spec.name == "resnet20"
    assert 0.5 < found.share.backbone < 1
    assert found.network.num_classes == 0


@pytest.mark.parametrize("count", [2, 5, 18, 40, 102, 122])
def test_no_network_is_near_by_a_count_alone(count):
    """As many tensors as any network has, none of which has its names or shapes."""
    file = {f"decoder.part{n}.kernel": torch.ones(3, 5) for n in range(count)}
    with pytest.raises(MisfitError) as caught:
        convert(weights(file), allow_partial=True)
    assert "fits no network known here" in caught.value.message
    assert f"{count} tensors (decoder.part0.kernel, decoder.part1.kernel" in caught.value.message
    assert not any(name in str(caught.value) for name in ("alexnet", "resnet", "vgg", "partial"))


def test_right_names_with_wrong_shapes_are_no_network(resnet20):
    wide = {name: torch.ones([9] * value.dim()) for name, value in resnet20.items()}
    with pytest.raises(MisfitError):
        convert(weights(wide), allow_partial=True)
    with pytest.raises(MisfitError, match="no part of its layers"):
        convert(weights(wide), name="resnet20", allow_partial=True)


def test_shapes_under_other_names_are_named_and_not_taken(resnet20_b):
    renamed = {f"body.{n:03}": value for n, value in enumerate(resnet20_b.values())}
    with pytest.raises(MisfitError, match="its shapes are those of resnet20_b") as caught:
        convert(weights(renamed), allow_partial=True)
    assert "neither strides nor activations" in str(caught.value)


def test_blocks_without_projections_are_another_network(resnet20_b):
    file = {name: value for name, value in resnet20_b.items() if "downsample" not in name}
    with pytest.raises(MisfitError, match=r"its blocks have no layer2\.0\.downsample\.0\.weight"):
        convert(weights(file), name="resnet20_b", allow_partial=True)
    # One that is missing may be an accident.
    file = {name: value for name, value in resnet20_b.items() if "layer2.0.down" not in name}
    assert convert(weights(file), allow_partial=True).network.spec.name == "resnet20_b"


def test_blocks_with_more_layers_are_another_network(resnet20):
    excited = dict(resnet20)
    for block in ("layer1.0", "layer1.1", "layer2.0"):
        excited[f"{block}.se.fc1.weight"] = torch.ones(1, 16)
    with pytest.raises(MisfitError, match=r"its blocks have a layer1\.0\.se\.fc1\.weight"):
        convert(weights(excited), allow_partial=True)


def test_blocks_of_other_shapes_are_another_network(resnet20):
    """As those of grouped or wide networks, which have the names of plain ones."""
    grouped = {
        name: value[:, ::2] if name.startswith("layer") and "conv2" in name else value
        for name, value in resnet20.items()
    }
    with pytest.raises(MisfitError, match=r"layer1\.0\.conv2\.weight and its like in other shapes"):
        convert(weights(grouped), allow_partial=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value.to_sparse(), "as a sparse tensor"),
        (lambda value: value.to("meta"), "without its values"),
        (lambda value: value.to(torch.complex64), "as complex64, not as real numbers"),
        (lambda value: value > 0, "as bool, not as real numbers"),
    ],
)
def test_tensors_of_other_kinds_are_refused(resnet20, change, message):
    broken = {**resnet20, "conv1.weight": change(resnet20["conv1.weight"])}
    with pytest.raises(CheckpointError, match=rf"holds conv1\.weight {message}"):
        convert(weights(broken))


def test_zeros_are_said_or_refused(resnet20):
    one = {**resnet20, "layer1.0.conv1.weight": torch.zeros(16, 16, 3, 3)}
    notes = convert(weights(one)).notes
    assert "nothing but zeros is in layer1.0.conv1.weight" in notes
    empty = {name: torch.zeros_like(value) for name, value in resnet20.items()}
    with pytest.raises(CheckpointError, match="nothing but zeros in all 20 filters"):
        convert(weights(empty))


def test_a_transposed_classifier_is_hinted_at(resnet20):
    file = {**resnet20, "linear.weight": torch.ones(64, 10)}
    with pytest.raises(MisfitError, match=r"linear\.weight is \(64, 10\).*\(transposed\?\)"):
        convert(weights(file))


def test_missing_statistics_are_no_small_matter(resnet20):
    file = {name: value for name, value in resnet20.items() if "running_" not in name}
    with pytest.raises(MisfitError, match="the running statistics of its batch norms are missing"):
        convert(weights(file))
    found = convert(weights(file), allow_partial=True)
    assert found.network.num_classes == 0
    assert any("38 statistics of batch norms are missing" in note for note in found.notes)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_what_is_no_number_is_refused(resnet20, value, kind):
    broken = {name: tensor.to(kind, copy=True) for name, tensor in resnet20.items()}
    broken["layer1.0.conv1.weight"][0, 0, 0, 0] = value
    with pytest.raises(CheckpointError, match=r"NaN.* in layer1\.0\.conv1\.weight"):
        convert(weights(broken), allow_partial=True)


def test_a_negative_variance_is_refused(resnet20):
    broken = {name: tensor.clone() for name, tensor in resnet20.items()}
    broken["bn1.running_var"][3] = -1
    with pytest.raises(CheckpointError, match=r"negative variances in bn1\.running_var"):
        convert(weights(broken))


def test_a_classifier_that_does_not_fit_is_left_out(resnet20):
    file = {**resnet20, "linear.weight": torch.ones(10, 99)}
    with pytest.raises(MisfitError, match=r"linear\.weight is \(10, 99\)"):
        convert(weights(file))
    found = convert(weights(file), allow_partial=True)
    assert found.network.num_classes == 0
    assert found.share.backbone == 1
    assert any("the classifier does not fit, so it was left out" in note for note in found.notes)


def named(tensors: State, prefix: str) -> State:
    return {f"{prefix}{name}": value for name, value in tensors.items()}


@pytest.mark.parametrize("prefix", ["cnn.", "feature_extractor.body.", "encoder_q."])
def test_a_prefix_of_the_users_own(resnet20, prefix):
    found = convert(weights(named(resnet20, prefix)))
    assert any(f"prefix '{prefix}'" in note for note in found.notes)
    assert torch.equal(found.network.stem.conv.weight, resnet20["conv1.weight"])
    assert found.share.is_whole
    more = {**named(resnet20, prefix), "loss.centres": torch.ones(3, 2), "queue": torch.ones(4, 4)}
    with pytest.raises(MisfitError, match=r"no place for loss\.centres"):
        convert(weights(more))
    found = convert(weights(more), allow_partial=True)
    assert found.unplaced == ("loss.centres", "queue")
    assert found.network.num_classes == 10


def test_two_networks_in_one_file_have_to_be_chosen_from(tmp_path, resnet20):
    """As momentum contrast and distillation write them."""
    other = {name: value + 1 for name, value in resnet20.items()}
    both = named(named(resnet20, "encoder_q.") | named(other, "encoder_k."), "module.")
    path = tmp_path / "moco.pth.tar"
    torch.save({"epoch": 3, "state_dict": both}, path)
    with pytest.raises(CheckpointError, match="2 networks: under encoder_k, encoder_q; choose one"):
        convert(read(path), allow_partial=True)
    for key, expected in (("encoder_q", resnet20), ("encoder_k", other)):
        found = convert(read(path, key)).network
        assert torch.equal(found.stem.conv.weight, expected["conv1.weight"])


def test_the_command_says_what_it_took(tmp_path, capsys, resnet20):
    file = {name: value for name, value in resnet20.items() if not name.startswith("layer3.2")}
    save_file(file, tmp_path / "w.safetensors")
    out = tmp_path / "model"
    words = ["weights", "import", str(tmp_path / "w.safetensors"), "--out", str(out)]
    assert main(words) == 4
    assert "--allow-partial" in capsys.readouterr().err
    assert main([*words, "--allow-partial"]) == 0
    said = capsys.readouterr().err
    share = convert(read(tmp_path / "w.safetensors"), allow_partial=True).share
    new = share.network_values - share.filled_values
    assert f"{share.taken_tensors} of {share.file_tensors} tensors of the file" in said
    assert f"{new:,} of its {share.network_values:,} numbers are newly initialized" in said
    assert "newly initialized: layer3.2.conv1.weight" in said
    told = artifact.load(out).provenance["imported"]["share"]
    assert told == json.loads(json.dumps(share.to_json()))
    assert artifact.load(out).classes == ()


class Listening(Silent):
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


def test_training_says_that_its_start_is_partly_new(tmp_path, resnet20):
    for label in ("a", "b"):
        (tmp_path / "data" / label).mkdir(parents=True)
        for shade in range(10):
            Image.new("RGB", (32, 32), (shade, 0, 9)).save(tmp_path / f"data/{label}/{shade}.png")
    file = {name: value for name, value in resnet20.items() if not name.startswith("layer3.2")}
    for name, state in (("part", file), ("whole", resnet20)):
        save_file(state, tmp_path / f"{name}.safetensors")
        words = ["weights", "import", tmp_path / f"{name}.safetensors", "--allow-partial"]
        assert main([str(word) for word in (*words, "--out", tmp_path / name)]) == 0
    share = artifact.load(tmp_path / "part").provenance["imported"]["share"]
    new = share["network_values"] - share["filled_values"]
    said = {}
    for name in ("part", "whole"):
        heard = Listening()
        decide(Request(data=str(tmp_path / "data"), start=tmp_path / name), heard)
        said[name] = [line for line in heard.lines if "imported in part" in line]
    assert len(said["part"]) == 1
    assert f"{new:,} of its {share['network_values']:,} numbers" in said["part"][0]
    assert said["whole"] == []


def test_features_alone_are_a_start():
    """Of VGG's 133 million numbers, 9 million are convolutions: all layers before the head."""
    with torch.device("meta"):
        made = build(networks.entry("vgg11").spec)
        file = {k: v for k, v in made.state_dict().items() if k.startswith(("stem", "stages"))}
    share = share_of(made, file, file, file)
    assert share.backbone == 1
    assert share.filled_values == share.file_values == 9_220_480
    assert share.network_values == 132_863_336
