"""The recipe for speed: what it picks, rates of their own, a first layer made from the images."""

from __future__ import annotations

import dataclasses
import os
import signal
import time

import pytest
import torch
from parts import CPU, digits

from reslab.data.preprocess import network_input
from reslab.errors import UsageError
from reslab.networks.whitened import WhiteningConv2d
from reslab.runs.config import Config, describe_dataset
from reslab.training.build import build_training
from reslab.training.choose import choose
from reslab.training.config import Request
from reslab.training.distributed import World
from reslab.training.inputs import fitted_images
from reslab.training.observe import Silent
from reslab.training.optimizer import FACTOR, make_optimizer
from reslab.training.preprocessing import geometry
from reslab.training.recipe import Recipe
from reslab.training.recipes import RECIPES, Situation
from reslab.training.schedule import learning_rate
from reslab.training.step import Training, train_step


def fast_config(**overrides: object) -> Config:
    settings = {"precision": "fp32", "img_size": 16, "batch_size": 64, "steps": 4, **overrides}
    request = Request(data="digits", recipe="fast", overrides=settings, device="cpu")
    chosen = choose(request, digits(), None)
    spec = dataclasses.replace(chosen.spec, widths=(16, 32, 32))  # type: ignore[call-arg]
    return Config(
        request=request,
        spec=spec,
        recipe=chosen.recipe,
        choices=chosen.choices,
        dataset=describe_dataset(digits()),
        preprocess=geometry(chosen.recipe, spec.in_chans).to_json(),
        cost={},
        environment={},
    )


def make(config: Config, *, new: bool = True) -> Training:
    watcher = Silent()
    preprocess, fitted = fitted_images(
        config, digits(), CPU, World(), decoding=watcher.decoding, note=watcher.note
    )
    return build_training(config, digits(), fitted, preprocess, CPU, World(), new=new)


def test_small_images_get_the_whitened_network():
    config = fast_config()
    assert config.spec.name == "airbench94_relu"
    named = {choice.what: choice.chosen for choice in config.choices}
    assert named["model"] == "airbench94_relu"
    recipe = config.recipe
    assert recipe.name == "fast"
    assert recipe.augment.alternating_flip


@pytest.mark.parametrize(("size", "model"), [(8, "resnet20"), (12, "airbench94_relu"), (64, None)])
def test_other_sizes_get_their_own_network(size, model):
    request = Request(data="digits", recipe="fast", overrides={"img_size": size})
    chosen = choose(request, digits(), None)
    assert chosen.spec.name == (model or "resnet18_half")
    usual = choose(dataclasses.replace(request, recipe="small-images"), digits(), None).recipe
    assert chosen.recipe.epochs < 0.7 * usual.epochs


@pytest.mark.parametrize("num_train", [40, 2_000, 45_000, 1_000_000])
def test_a_whitened_network_has_numbers_for_any_data(num_train):
    recipe = RECIPES["fast"](Situation(num_train, 32, 10, whitened=True))
    usual = RECIPES["small-images"](Situation(num_train, 32, 10))
    assert recipe.bias_lr > 1
    assert 5 <= recipe.epochs < usual.epochs
    # The rest moves by the same for each image, whatever the batch.
    assert recipe.lr * recipe.head_lr / recipe.batch_size == pytest.approx(0.96 / 512)
    assert recipe.bias_lr == 64 * recipe.head_lr


def test_biases_and_norms_learn_at_their_own_rate():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2), torch.nn.Flatten(), torch.nn.Linear(2, 3)
    )
    recipe = Recipe(name="x", lr=0.1, bias_lr=8.0, momentum=0.0, weight_decay=0.0)
    optimizer = make_optimizer(network, recipe)
    before = [p.detach().clone() for p in network.parameters()]
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    for group in optimizer.param_groups:
        group["lr"] = 0.05 * group[FACTOR]
    optimizer.step()
    for parameter, old in zip(network.parameters(), before, strict=True):
        step = 0.05 * (1.0 if parameter.ndim > 1 else 8.0)
        torch.testing.assert_close(parameter.detach(), old - step)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("inf")])
def test_a_rate_that_is_none_is_refused(bad):
    with pytest.raises(UsageError, match="bias_lr must be more than 0"):
        Recipe(name="x", bias_lr=bad)


def test_the_first_layer_is_made_from_training_images_as_they_are():
    training = make(fast_config())
    layer = training.network.stem.conv
    assert isinstance(layer, WhiteningConv2d)
    loader = training.loader
    train = torch.as_tensor(digits().split("train"))
    images = network_input(loader.fitted.gather(train), loader.preprocess)  # all: there are few
    wanted = WhiteningConv2d(1, 2)
    wanted.fit(images)
    torch.testing.assert_close(layer.weight, wanted.weight)


def test_a_resumed_run_does_not_look_at_images_for_it(monkeypatch):
    made = make(fast_config()).network.stem.conv.weight
    monkeypatch.setattr(WhiteningConv2d, "fit", lambda *_: pytest.fail("asked again"))
    resumed = make(fast_config(), new=False).network.stem.conv.weight
    assert not torch.equal(made, resumed)  # until the checkpoint is loaded


@pytest.mark.slow
def test_a_stopped_run_goes_on_exactly(launcher, tmp_path):
    """The whitening is in the checkpoint, with the place in each image's turn to be mirrored."""
    words = ["--recipe", "fast", "--img-size", "12", "--batch-size", "128", "--epochs", "3"]
    words += ["--precision", "fp32", "--flip", "--device", "cpu", "--save-every", "0.05s"]
    folders = [tmp_path / "whole", tmp_path / "stopped"]
    assert launcher.run(["train", "digits", "--out", str(folders[0]), *words], tmp_path / "a") == 0
    pid = launcher.start(["train", "digits", "--out", str(folders[1]), *words], tmp_path / "b")
    deadline = time.monotonic() + 300
    while not list(folders[1].glob("checkpoints/step-*/state.json")):
        assert time.monotonic() < deadline, (tmp_path / "b").read_text()
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)
    assert launcher.wait(pid) == -signal.SIGKILL
    assert launcher.run(["train", "--resume", str(folders[1])], tmp_path / "c") == 0
    whole, resumed = (
        {
            str(path.relative_to(folder)): path.read_bytes()
            for pattern in ("model/*.safetensors", "checkpoints/*/*.safetensors", "results.csv")
            for path in sorted(folder.glob(pattern))
        }
        for folder in folders
    )
    assert any("model" in name for name in whole)
    assert whole["results.csv"] == resumed["results.csv"]
    newest = max(whole.keys() & resumed.keys())
    assert [n for n in whole if n in resumed and whole[n] != resumed[n]] == [], newest


def test_steps_leave_the_whitening_alone_and_teach_the_rest():
    training = make(fast_config())
    before = {k: v.clone() for k, v in training.network.state_dict().items()}
    losses = []
    for step in range(4):
        rate = learning_rate(training.recipe, step, training.state.plan, training.state.adaptation)
        losses.append(float(train_step(training, training.loader.batch(0), rate)[0]))
        training.state.step += 1
    assert losses[-1] < losses[0]
    network = training.network
    learning = {k for k, _ in network.named_parameters()}
    for name, value in network.state_dict().items():
        fixed = name.endswith("weight") and name not in learning
        assert torch.equal(value, before[name]) == fixed, name
