"""The model on disk: the same after a round trip, and never believed when it is damaged."""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import torch as safetensors_torch

from reslab import artifact, durable
from reslab.artifact import MODEL_JSON, WEIGHTS, Artifact
from reslab.data.preprocess import Preprocess
from reslab.errors import CheckpointError
from reslab.networks import entry
from reslab.networks.network import build
from reslab.networks.resnet import ResNetSpec, StageSpec, StemSpec

TINY = ResNetSpec(
    name="tiny",
    num_classes=3,
    in_chans=1,
    img_size=8,
    stem=StemSpec(width=4, kernel=3, stride=1, max_pool=False),
    stages=(StageSpec(width=4, depth=1, stride=1), StageSpec(width=6, depth=1, stride=2)),
    shortcut="B",
)
CLASSES = ("cat", "naïve ☃", "odd\udcff")


def make(*, mean_image: bool = False, **changes: Any) -> Artifact:
    draw = np.random.default_rng(5)
    network = build(TINY)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():  # batch norm's statistics too
                value.copy_(torch.from_numpy(draw.random(value.shape, np.float32)))
            assert name
    preprocess = Preprocess(
        img_size=8,
        resize_size=10,
        in_chans=1,
        mean=(0.1,),
        std=(1 / 3,),
        mean_image=draw.random((10, 10, 1), np.float32) if mean_image else None,
    )
    fields: dict[str, Any] = {
        "metrics": {"test": {"accuracy_pct": 98.7}},
        "provenance": {"data": "photos", "seed": 3},
        "temperature": 1.25,
        **changes,
    }
    return Artifact(network=network.eval(), classes=CLASSES, preprocess=preprocess, **fields)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    artifact.save(make(mean_image=True), tmp_path / "run" / "model")
    return tmp_path / "run" / "model"


def assert_same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    a, b = one.state_dict(), other.state_dict()
    assert list(a) == list(b)
    for name in a:
        assert a[name].dtype == b[name].dtype
        assert torch.equal(a[name], b[name]), name


@pytest.mark.parametrize("mean_image", [False, True])
def test_a_round_trip_changes_nothing(tmp_path: Path, mean_image: bool) -> None:
    before = make(mean_image=mean_image)
    artifact.save(before, tmp_path / "model")
    after = artifact.load(tmp_path / "model")
    assert_same_weights(before.network, after.network)
    assert after.network.spec == before.network.spec
    assert after.preprocess == before.preprocess
    if mean_image:
        np.testing.assert_array_equal(after.preprocess.mean_image, before.preprocess.mean_image)
    else:
        assert after.preprocess.mean_image is None
    for field in ("classes", "metrics", "provenance", "temperature"):
        assert getattr(after, field) == getattr(before, field)
    assert not after.network.training
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(before.network(x), after.network(x))


def test_a_loaded_network_can_learn(saved: Path) -> None:
    network = artifact.load(saved).network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    before = [p.detach().clone() for p in network.parameters()]
    network(torch.randn(4, 1, 8, 8)).square().sum().backward()
    optimizer.step()
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))


def test_weights_in_any_memory_format_are_saved_as_they_are(tmp_path: Path) -> None:
    before = make()
    channels_last = before.network.to(memory_format=torch.channels_last)
    artifact.save(dataclasses.replace(before, network=channels_last), tmp_path / "model")
    assert_same_weights(before.network, artifact.load(tmp_path / "model").network)


@pytest.mark.parametrize("name", ["plain20", "resnet20", "resnet18", "resnet50_v15"])
def test_catalogue_networks_come_back_whole(tmp_path: Path, name: str) -> None:
    """No parameter or buffer may stay on the meta device that they are assembled on."""
    spec = dataclasses.replace(entry(name).spec, num_classes=3)
    before = build(spec).eval()
    preprocess = Preprocess(img_size=spec.img_size, resize_size=spec.img_size)
    artifact.save(Artifact(before, ("a", "b", "c"), preprocess), tmp_path / "model")
    after = artifact.load(tmp_path / "model").network
    assert {v.device.type for v in [*after.parameters(), *after.buffers()]} == {"cpu"}
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(before(x), after(x))


def test_json_that_other_programs_read(saved: Path) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    odd = make(metrics={"val": {"nll": float("inf"), "curve": [1.0, float("nan")]}})
    artifact.save(odd, saved)
    text = (saved / MODEL_JSON).read_bytes().decode("utf-8", "surrogateescape")
    value = json.loads(text, parse_constant=refuse)
    assert value["metrics"] == {"val": {"nll": None, "curve": [1.0, None]}}
    assert "naïve ☃" in text


def test_every_path_to_a_model_leads_there(saved: Path) -> None:
    for path in (saved, saved.parent, saved / MODEL_JSON, saved / WEIGHTS, str(saved)):
        assert artifact.load(path).classes == CLASSES
    saved.rename(saved.parent / ".model.aside")  # killed between the two renames of a save
    for path in (saved, saved.parent):
        assert artifact.load(path).classes == CLASSES


def test_what_is_no_model_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        artifact.load(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="resume the run until it is finished"):
        artifact.load(tmp_path)
    safetensors_torch.save_file({"conv1.weight": torch.ones(2)}, tmp_path / "resnet50.pth")
    with pytest.raises(CheckpointError, match="reslab weights import"):
        artifact.load(tmp_path / "resnet50.pth")


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["BOMB"],)


@pytest.mark.parametrize("forged_manifest", [False, True])
def test_a_pickle_is_never_executed(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forged_manifest: bool
) -> None:
    monkeypatch.setenv("BOMB", str(tmp_path / "exploded"))
    files = durable.read_directory(saved)
    for evil in (pickle.dumps(Bomb()), _torch_pickle()):
        for name in (WEIGHTS, MODEL_JSON):
            if forged_manifest:
                durable.save_directory(saved, {**files, name: evil})
            else:
                (saved / name).write_bytes(evil)
            with pytest.raises(CheckpointError):
                artifact.load(saved)
            durable.save_directory(saved, files)
    assert not (tmp_path / "exploded").exists()
    pickle.loads(pickle.dumps(Bomb()))
    assert (tmp_path / "exploded").exists(), "the bomb is none"


def _torch_pickle() -> bytes:
    import io

    file = io.BytesIO()
    torch.save({"state_dict": Bomb()}, file)
    return file.getvalue()


def _damaged(data: bytes, draw: random.Random) -> bytes:
    if draw.random() < 0.3:
        return data[: draw.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(draw.choice([1, 1, 8])):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize("name", [MODEL_JSON, WEIGHTS])
def test_damage_on_the_disk_is_found(saved: Path, name: str) -> None:
    whole = (saved / name).read_bytes()
    draw = random.Random(11)
    for _ in range(60):
        (saved / name).write_bytes(_damaged(whole, draw))
        with pytest.raises(CheckpointError, match=name):
            artifact.load(saved)


@pytest.mark.parametrize("name", [MODEL_JSON, WEIGHTS])
def test_forged_files_with_a_right_hash_raise_nothing_else(
    saved: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What gets past the hashes (a forger can compute them) must still be read safely."""
    files = durable.read_directory(saved)
    draw = random.Random(12)
    given: dict[str, bytes] = {}
    monkeypatch.setattr(durable, "read_directory", lambda folder: dict(given))
    # The header of the weights is where a forger would start.
    size = len(files[name]) if name == MODEL_JSON else 1200
    refused = 0
    for _ in range(400):
        head, tail = files[name][:size], files[name][size:]
        given = {**files, name: _damaged(head, draw) + tail}
        try:
            artifact.load(saved)
        except CheckpointError:
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": 2}, "upgrade reslab"),
        ({"format": 0}, "never was"),
        ({"format": "1"}, "not a readable model"),
        ({"classes": ["a", "b"]}, "names 2 classes for 3 logits"),
        ({"classes": [1, 2, 3]}, "classes"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": None}, "not a readable model"),
        ({"spec": {"kind": "transformer"}}, "unknown spec kind 'transformer'"),
        ({"preprocess": {}}, "not a readable model"),
        ({"preprocess": None}, "not a readable model"),
    ],
)
def test_values_that_cannot_be_are_refused(saved: Path, change: dict[str, Any], words: str) -> None:
    files = durable.read_directory(saved)
    value = json.loads(files[MODEL_JSON].decode("utf-8", "surrogateescape"))
    files[MODEL_JSON] = json.dumps({**value, **change}).encode()
    durable.save_directory(saved, files)
    with pytest.raises(CheckpointError, match=words):
        artifact.load(saved)


def test_weights_of_another_network_name_the_first_keys(saved: Path) -> None:
    files = durable.read_directory(saved)
    tensors = safetensors_torch.load(files[WEIGHTS])
    names = list(build(TINY).state_dict())
    gone, wrong = names[0], names[-1]
    del tensors[gone]
    tensors[wrong] = torch.zeros(7)
    tensors["extra.weight"] = torch.zeros(1)
    durable.save_directory(saved, {**files, WEIGHTS: safetensors_torch.save(tensors)})
    with pytest.raises(CheckpointError) as caught:
        artifact.load(saved)
    message = str(caught.value)
    assert str(saved) in message
    assert f"missing {gone}" in message
    assert "unexpected extra.weight" in message
    assert f"{wrong} is (7,) but the network has (3,)" in message


def test_loading_copies_values_unless_told_otherwise() -> None:
    network = build(TINY)
    tensors = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    artifact.load_weights(network, tensors, where="here")
    for value in tensors.values():
        value.fill_(1)
    assert not any(p.any() for p in network.parameters())


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)
