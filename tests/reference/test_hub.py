"""Push and pull through huggingface_hub itself, against a server on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import hub_server
import pytest
import torch
from peers import peer
from safetensors.torch import save_file

from reslab import artifact, networks
from reslab.data.preprocess import Preprocess
from reslab.networks.network import build
from reslab.weights import LAYOUTS, to_layout

pytestmark = pytest.mark.slow
REPO = "someone/small-net"
METRICS = {
    "test": {
        "accuracy_pct": 92.125, "top5_pct": 99.5, "top_k": 5, "ci95_pct": [91.5, 92.7],
        "num_images": 10000, "ece_pct": 1.25,
    },
    "test_last_weights": {"accuracy_pct": 91.0},
}  # fmt: skip
PROVENANCE = {
    "reslab": "0.1.0",
    "command": ["reslab", "train", "/home/someone/secret"],
    "data": "/home/someone/secret",
    "seed": 3,
    "dataset": {
        "name": "pets", "counts": {"train": 900, "test": 100}, "fingerprint": "abc",
        "excluded": {"/home/someone/secret/x.jpg": "truncated"},
    },
    "recipe": {"name": "small-images", "epochs": 30.0, "lr": 0.1},
}  # fmt: skip


@pytest.fixture
def hub() -> Iterator[hub_server.Hub]:
    peer("huggingface_hub")
    with hub_server.running() as server:
        yield server


@pytest.fixture
def model(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    spec = networks.replace(networks.entry("resnet20").spec, num_classes=3)
    artifact.save(
        artifact.Artifact(
            network=build(spec).eval(),
            classes=("cat", "dog", "naïve | ☃"),
            preprocess=Preprocess(img_size=32, resize_size=36, resize="crop"),
            metrics=METRICS,
            provenance=PROVENANCE,
        ),
        tmp_path / "run" / "model",
    )
    return tmp_path / "run"


def reslab(
    hub: hub_server.Hub,
    home: Path,
    *words: object,
    code: int = 0,
    script: str | None = None,
    token: str = hub_server.TOKEN,
) -> tuple[str, str]:
    """Run the real command, or a script, with the hub's address in its environment."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_TOKEN": token,
        "HF_HOME": str(home / "hf"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    program = ["-m", "reslab"] if script is None else ["-c", script]
    done = subprocess.run(
        [sys.executable, *program, *map(str, words)],
        env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def test_push_and_pull(hub, model, tmp_path):
    shown, _ = reslab(hub, tmp_path, "weights", "push", model, REPO, "--licence", "apache-2.0")
    assert shown.strip().endswith(REPO)
    files = hub.repositories[REPO]
    assert set(files) == {"README.md", "manifest.json", "model.json", "model.safetensors"}
    assert not any(b"secret" in data for data in files.values())
    card = files["README.md"].decode()
    for line in (
        'license: "apache-2.0"',
        "| test | 10,000 | 92.12 % | 91.50 to 92.70 % | 99.50 % (top 5) | 1.25 % |",
        "| data | pets (train 900, test 100 images) |",
        "| images excluded | 1 |",
        "reslab weights pull someone/small-net",
    ):
        assert line in card, line
    out = tmp_path / "pulled"
    shown, _ = reslab(hub, tmp_path, "weights", "pull", REPO, "--out", out, "--json")
    assert json.loads(shown) == {
        "path": str(out), "network": "resnet20", "classes": ["cat", "dog", "naïve | ☃"]
    }  # fmt: skip
    before, after = artifact.load(model), artifact.load(out)
    assert after.network.spec == before.network.spec
    assert (after.classes, after.preprocess) == (before.classes, before.preprocess)
    assert after.metrics == before.metrics
    for key, value in before.network.state_dict().items():
        assert torch.equal(after.network.state_dict()[key], value)
    # Once more: the repository is there already, and its newest state is pulled.
    reslab(hub, tmp_path, "weights", "push", model, REPO)
    assert "None was stated" in hub.repositories[REPO]["README.md"].decode()


CREATE = """
import sys, torch, reslab
torch.manual_seed(0)
network = reslab.create_model(sys.argv[1], pretrained=sys.argv[2]).eval()
print(network(torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)).flatten().tolist())
"""


def logits(network: torch.nn.Module) -> list[float]:
    with torch.no_grad():
        x = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
        return network.eval()(x).flatten().tolist()


def test_create_model_from_a_hub(hub, model, tmp_path):
    reslab(hub, tmp_path, "weights", "push", model, REPO, "--private")
    assert hub.private == {REPO}
    shown, _ = reslab(hub, tmp_path, "resnet20", f"hf-hub:{REPO}", script=CREATE)
    assert json.loads(shown) == pytest.approx(logits(artifact.load(model).network), rel=1e-5)


def test_create_model_from_a_repository_of_timm(hub, tmp_path):
    network = build(networks.replace(networks.entry("resnet18").spec, num_classes=4)).eval()
    save_file(to_layout(network, LAYOUTS["timm"]), tmp_path / "m.safetensors")
    hub.repositories["timm/resnet18.test"] = {
        "model.safetensors": (tmp_path / "m.safetensors").read_bytes(),
        "config.json": json.dumps({"architecture": "resnet18"}).encode(),
        "huge.msgpack": b"never fetched",
    }
    shown, _ = reslab(hub, tmp_path, "resnet18", "hf-hub:timm/resnet18.test", script=CREATE)
    assert json.loads(shown) == pytest.approx(logits(network), rel=1e-4, abs=1e-5)
    assert not any("huge" in line for line in hub.log)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["pull", "someone/nothing"], 2, "there is no repository someone/nothing"),
        (["pull", "timm/other"], 4, "holds no model of reslab"),
        (["pull", "timm/other", "--revision", "v9"], 2, "has no such revision"),
    ],
)
def test_what_a_hub_does_not_have(hub, tmp_path, words, code, message):
    hub.repositories["timm/other"] = {"config.json": b"{}"}
    _, complaint = reslab(
        hub, tmp_path, "weights", *words, "--out", tmp_path / "o", code=code
    )  # fmt: skip
    assert message in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_damage_on_the_way_is_seen(hub, model, tmp_path):
    reslab(hub, tmp_path, "weights", "push", model, REPO)
    weights = bytearray(hub.repositories[REPO]["model.safetensors"])
    weights[-1] ^= 1
    hub.repositories[REPO]["model.safetensors"] = bytes(weights)
    _, complaint = reslab(
        hub, tmp_path, "weights", "pull", REPO, "--out", tmp_path / "o", code=4
    )  # fmt: skip
    assert "does not match its hash" in complaint


def test_no_right_to_write(hub, model, tmp_path):
    words = ["weights", "push", model, REPO]
    _, complaint = reslab(hub, tmp_path, *words, token="hf_of_someone_else", code=2)
    assert "hf auth login" in complaint
    assert complaint.count("\n") == 1
    assert hub.repositories == {}


def test_no_hub_there(hub, model, tmp_path):
    hub.shutdown()
    hub.server_close()
    for words in (["push", model, REPO], ["pull", REPO, "--out", tmp_path / "o"]):
        _, complaint = reslab(hub, tmp_path, "weights", *words, code=5)
        assert "cannot be reached" in complaint
        assert complaint.count("\n") == 1
