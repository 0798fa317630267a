"""Runs that begin from a trained shallower network, deepened."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from running import Finished, train_in

from reslab import api, artifact
from reslab.data.loader import eval_batches
from reslab.data.open import open_dataset
from reslab.errors import UsageError
from reslab.evaluate import protocol
from reslab.runs.config import Config
from reslab.training.choose import choose
from reslab.training.config import Request
from reslab.training.distributed import World
from reslab.training.inputs import fitted_images
from reslab.training.observe import Silent
from reslab.training.recipes import RECIPES, Situation
from reslab.training.recipes import choose as choose_recipe
from reslab.training.source import initial_spec, kept_settings, load_pretrained, load_source

SHORT = ("--steps", "6", "--batch-size", "64")


@pytest.fixture(scope="module")
def plain(launcher, tmp_path_factory) -> Finished:
    """Return a plain20 after a few steps on digits, with the paper's mean image."""
    folder = tmp_path_factory.mktemp("plain")
    flags = ("--model", "plain20", "--steps", "16", "--normalization", "pixel-mean", "--seed", "3")
    return train_in(launcher, folder, "digits", flags, {}).succeeded()


@pytest.fixture(scope="module")
def deepened(launcher, tmp_path_factory, plain) -> Finished:
    """Return the run that deepened it, with many checkpoints kept aside."""
    folder = tmp_path_factory.mktemp("deepened")
    flags = ("--model", "plain32", "--deepen-from", str(plain.path), *SHORT)
    return train_in(launcher, folder, "digits", (*flags, "--save-every", "0.01s"), {}).succeeded()


def logits(network: torch.nn.Module, run: Path) -> torch.Tensor:
    config = Config.from_json(json.loads((run / "config.json").read_text()))
    dataset = open_dataset("digits")
    preprocess, fitted = fitted_images(
        config,
        protocol.with_recorded_splits(dataset, run, artifact.load(run)),
        torch.device("cpu"),
        World(),
        decoding=Silent().decoding,
        note=Silent().note,
    )
    batches = eval_batches(fitted, np.arange(200), preprocess, 200, torch.device("cpu"))
    with torch.inference_mode():
        return torch.cat([network.eval()(images) for images, _ in batches])


def test_the_run_begins_with_the_very_logits_of_the_trained_network(plain, deepened):
    from reslab.networks.network import build

    config = Config.from_json(deepened.read("config.json"))
    network = build(config.spec)
    load_pretrained(network, config, lambda: torch.rand(64, 1, 8, 8))
    before = logits(artifact.load(plain.path).network, plain.path)
    after = logits(network, deepened.path)
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5)
    assert before.std() > 0.1


def test_a_deepened_run_records_and_keeps_what_belongs_to_it(plain, deepened):
    config = deepened.read("config.json")
    assert config["request"]["deepen_from"] == str(plain.path)
    assert config["spec"]["name"] == "plain32"
    assert [stage["depth"] for stage in config["spec"]["stages"]] == [5, 5, 5]
    recipe = config["recipe"]
    assert (recipe["name"], recipe["freeze"], recipe["zero_init_residual"]) == (
        "deepened",
        0,
        False,
    )
    assert recipe["normalization"] == "pixel-mean"
    assert "recipe: deepened (a deepened network continues its task)" in deepened.err
    # Seed 0 instead of 3, but the images that the shallower one was tested on stay the test.
    assert deepened.read("split.json") == plain.read("split.json")
    assert "split as in" in deepened.err
    model = artifact.load(deepened.path)
    assert model.network.spec.name == "plain32"
    assert float(deepened.rows()[0]["train_loss"]) < float(plain.rows()[0]["train_loss"])


def test_it_is_resumed_exactly_also_without_the_model_it_began_from(deepened, resume, tmp_path):
    run = Path(shutil.copytree(deepened.path, tmp_path / "again"))
    newest = max((run / "checkpoints").glob("step-*"))
    assert newest.name != min((run / "checkpoints").glob("step-*")).name
    shutil.rmtree(newest)
    for folder in ("model", "evaluation"):
        shutil.rmtree(run / folder)
    config = json.loads((run / "config.json").read_text())
    config["request"]["deepen_from"] = str(tmp_path / "gone")
    (run / "config.json").write_text(json.dumps(config))
    again = resume(run).succeeded()
    for name in ("model/model.safetensors", f"checkpoints/{newest.name}/network.safetensors"):
        assert (run / name).read_bytes() == (deepened.path / name).read_bytes()
    assert again.rows() == deepened.rows()


def test_other_classes_get_a_new_head(plain, tmp_path):
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(24):
        folder = tmp_path / "photos" / ("light" if number % 2 else "dark")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 128, (8, 8), dtype=np.uint8) + 127 * (number % 2)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    result = api.train(
        tmp_path / "photos",
        model="plain32",
        deepen_from=plain.path,
        out=tmp_path / "run",
        overrides={"epochs": 1, "batch_size": 8},
        device="cpu",
    )
    spec = artifact.load(result.model).network.spec
    assert (spec.name, spec.num_classes, spec.in_chans, spec.img_size) == ("plain32", 2, 1, 8)


def source_of(path: Path, **request: object) -> Request:
    return Request(data="digits", deepen_from=path, **request)  # type: ignore[arg-type]


def test_what_the_user_says_about_images_counts(plain):
    request = source_of(plain.path, model="plain56", overrides={"resize": "pad"})
    source = load_source(request)
    kept = {"normalization": "pixel-mean", "resize": "squash", "bit_depth": 16}
    assert kept_settings(request, source) == kept
    spec = initial_spec(request, source)
    assert spec is not None
    assert (spec.name, spec.img_size, spec.in_chans) == ("plain56", 8, 1)
    chosen = choose(request, open_dataset_with_train(), spec)
    assert chosen.recipe.resize == "pad"
    assert chosen.recipe.name == "deepened"


def open_dataset_with_train():
    from reslab.data.split import complete_splits

    return complete_splits(open_dataset("digits"), val_fraction=0.1, seed=0)


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({}, "needs the name of the deeper network; add --model plain32 or plain44"),
        ({"model": "resnet56"}, "has shortcut 'A', the trained network 'none'"),
        ({"model": "plain20"}, "blocks in its stages"),
        ({"model": "plain57"}, "did you mean"),
    ],
)
def test_what_it_cannot_be_deepened_to(plain, request_, words):
    request = source_of(plain.path, **request_)
    with pytest.raises(UsageError, match=words):
        initial_spec(request, load_source(request))


def test_parts_that_stay_fixed_see_images_as_they_know_them(plain, train):
    known = plain.read("model/model.json")["preprocess"]
    fixed = train("digits", "--start", str(plain.path), "--freeze", "-1", *SHORT).succeeded()
    found = fixed.read("model/model.json")["preprocess"]
    assert found["std"] == known["std"] == [1.0]
    assert found["mean"] == pytest.approx(known["mean"], abs=1e-4)


def test_there_has_to_be_a_model_whose_normalisation_it_is(train):
    train("digits", "--normalization", "start").refused(2, "add --start MODEL")


def test_one_model_to_start_from(plain, train):
    flags = ("--model", "plain32", "--start", str(plain.path), "--deepen-from", str(plain.path))
    train("digits", *flags).refused(2, "either --start or --deepen-from")
    stem = ("--model", "plain32", "--deepen-from", str(plain.path), "--stem", "imagenet")
    train("digits", *stem).refused(2, "leave --stem out")


def test_the_recipe_is_gentler_than_from_scratch_and_lets_all_learn():
    for img_size in (32, 64):
        situation = Situation(10_000, img_size, 10, pretrained=True, deepened=True)
        name, why = choose_recipe(situation)
        assert (name, bool(why)) == ("deepened", True)
        recipe, scratch = (RECIPES[one](situation) for one in (name, "small-images"))
        assert recipe.lr < scratch.lr
        assert recipe.epochs <= scratch.epochs
        assert (recipe.freeze, recipe.zero_init_residual) == (0, False)
        assert recipe.augment == scratch.augment
