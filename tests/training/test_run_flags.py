"""What flags do to a run, seen from outside: its files, stdout and stderr."""

from __future__ import annotations

import json
import math
import unicodedata
from pathlib import Path

import pytest
import torch
from parts import make_training
from running import Finished, train_in

from reslab import artifact
from reslab.data.shapes import ShapeSettings, write_folder
from reslab.training.step import train_step


def test_stdout_is_one_document_with_the_promised_keys(digits_run):
    value = json.loads(digits_run.out)
    assert {"run_dir", "model", "test", "wall_s", "train_images_per_s"} <= set(value)
    assert set(value["test"]) == {"accuracy_pct", "ci95_pct", "num_images"}
    low, high = value["test"]["ci95_pct"]
    assert 0 <= low <= value["test"]["accuracy_pct"] <= high <= 100
    assert value["run_dir"] == str(digits_run.path)
    assert Path(value["model"]).is_dir()
    counts = digits_run.read("config.json")["dataset"]["counts"]
    assert value["test"]["num_images"] == counts["test"]
    assert value["wall_s"] > 0
    assert value["train_images_per_s"] > 0


def test_progress_off_a_terminal_is_plain_lines(digits_run):
    for line in digits_run.err.splitlines():
        assert not [c for c in line if unicodedata.category(c) == "Cc"], repr(line)
    assert "\r" not in digits_run.err
    assert any(line.startswith("epoch ") for line in digits_run.err.splitlines())


def test_people_are_told_what_was_chosen_and_where_everything_is(digits_run):
    text = digits_run.err
    assert "model: resnet20 (" in text
    assert "recipe: small-images (" in text
    assert "test accuracy" in text
    assert "95% interval" in text
    for name in ("report.html", "model"):
        assert str(digits_run.path / name) in text
        assert (digits_run.path / name).exists()
    assert f"reslab predict {digits_run.path}" in text


def test_the_run_directory_holds_what_it_should(digits_run):
    names = {path.name for path in digits_run.path.iterdir()}
    assert names >= {
        "config.json",
        "split.json",
        "check.json",
        "results.csv",
        "events.jsonl",
        "status.json",
        "report.html",
        "checkpoints",
        "evaluation",
        "model",
    }
    status = digits_run.read("status.json")
    assert status["state"] == "finished"
    assert status["step"] == status["total_steps"] == int(digits_run.rows()[-1]["step"])
    events = (digits_run.path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in events] == ["epoch", "epoch"]
    for row in digits_run.rows():
        assert all(math.isfinite(float(value)) for value in row.values())


def test_epochs_make_rows_and_steps(digits_run):
    num_train = digits_run.read("config.json")["dataset"]["counts"]["train"]
    steps = [int(row["step"]) for row in digits_run.rows()]
    assert steps == [math.ceil(num_train / 128), round(2 * num_train / 128)]
    assert {"val_loss", "ema_val_error_pct"} <= set(digits_run.rows()[0])
    assert "test_loss" not in digits_run.rows()[0]


@pytest.fixture(scope="module")
def configured(launcher, tmp_path_factory) -> Finished:
    """A run whose settings come from a file, the environment and flags."""
    folder = tmp_path_factory.mktemp("configured")
    (folder / "settings.toml").write_text(
        "epochs = 5\nbatch-size = 64\nseed = 5\nval = 0\ntrack-test = true\naccumulate = 2\n"
        'sched = "constant"\nema = 0\nquiet = true\n'
    )
    flags = ("--config", str(folder / "settings.toml"), "--lr", "0.05")
    env = {"RESLAB_EPOCHS": "1", "RESLAB_LR": "0.5", "RESLAB_ACCUMULATE": "3"}
    return train_in(launcher, folder, "digits", flags, env).succeeded()


def test_flags_come_before_the_environment_and_that_before_the_file(configured):
    config = configured.read("config.json")
    recipe = config["recipe"]
    assert recipe["batch_size"] == 128  # flag, not the file's 64
    assert recipe["lr"] == 0.05  # flag, not the environment's 0.5
    assert recipe["epochs"] == 1  # environment, not the file's 5
    assert recipe["accumulate"] == 3  # environment, not the file's 2
    assert recipe["schedule"] == "constant"
    assert config["seed"] == 5
    assert [row["lr"] for row in configured.rows()] == ["0.05"]


def test_columns_follow_the_flags(configured):
    columns = set(configured.rows()[0])
    assert not {c for c in columns if c.startswith(("val", "ema"))}
    assert {"test_loss", "test_error_pct"} <= columns
    assert "val" not in configured.read("config.json")["dataset"]["counts"]


def test_quiet_says_nothing(configured):
    assert configured.err == ""
    assert configured.out == ""


def test_a_near_miss_in_the_file_is_named(train, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text("epoch = 1\n")
    run = train("digits", "--config", str(file))
    run.refused(2, "'epoch'", "did you mean 'epochs'")
    assert not run.path.exists()
    file.write_text('epochs = "many"\n')
    train("digits", "--config", str(file)).refused(2, "epochs in", "many")
    file.write_text("flip = 3\n")
    train("digits", "--config", str(file)).refused(2, "true or false")
    file.write_text("epochs = [\n")
    train("digits", "--config", str(file)).refused(2, "no TOML")
    train("digits", env={"RESLAB_SCHED": "cosin"}).refused(2, "RESLAB_SCHED", "'cosine'")
    train("digits", env={"RESLAB_EPOCHS": "ten"}).refused(2, "RESLAB_EPOCHS", "ten")


def test_debug_shows_where_an_error_came_from(train):
    plain = train("digits", "--model", "resent20")
    assert len(plain.err.splitlines()) == 1
    loud = train("digits", "--model", "resent20", "--debug")
    assert loud.code == plain.code == 2
    assert "Traceback" in loud.err
    assert loud.err.splitlines()[-1] == plain.err.splitlines()[-1]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(train, tmp_path):
    write_folder(tmp_path / "photos", ShapeSettings(num=30, size=12, classes=3))

    def rows(name: str, seed: str) -> list[dict[str, str]]:
        flags = ("--epochs", "1", "--seed", seed, "--out", str(tmp_path / name))
        run = train(tmp_path / "photos", *flags).succeeded()
        return Finished(tmp_path / name, run.code, run.err, run.out).rows()

    first = rows("a", "3")
    assert first == rows("b", "3")
    assert first != rows("c", "4")


def test_a_time_budget_ends_the_run(train):
    run = train("digits", "--time", "6s").succeeded()
    status = run.read("status.json")
    assert status["state"] == "finished"
    assert int(run.rows()[-1]["step"]) == status["total_steps"]
    # It got away from the 200 epochs that a budget allows at most.
    assert float(run.rows()[-1]["epoch"]) < 199
    assert "what fits into 6 s" in run.err


def test_a_warm_up_waits_for_the_training_error(train):
    flags = ("--epochs", "1", "--schedule", "constant", "--lr", "0.1", "--warmup-lr", "0.01")
    # Guessing among ten classes is wrong nine times in ten: over after the first steps.
    reached = train("digits", *flags, "--warmup-until-error-pct", "95").succeeded()
    assert [row["lr"] for row in reached.rows()] == ["0.1"]


def test_a_warm_up_that_is_never_over(train):
    flags = ("--epochs", "1", "--schedule", "constant", "--lr", "0.1", "--warmup-lr", "0.01")
    waiting = train("digits", *flags, "--warmup-until-error-pct", "0.0001").succeeded()
    assert [row["lr"] for row in waiting.rows()] == ["0.01"]


def test_starting_from_a_model_takes_its_weights_over(train, digits_run):
    flags = ("--start", str(digits_run.path), "--epochs", "1", "--lr", "1e-30", "--freeze", "-1")
    run = train("digits", *flags).succeeded()
    config = run.read("config.json")
    assert config["recipe"]["name"] == "fine-tune"
    before = json.loads(digits_run.out)["test"]["accuracy_pct"]
    assert run.read("model/model.json")["metrics"]["test"]["accuracy_pct"] == before


def test_weights_are_drawn_by_the_law_asked_for(train):
    flags = ("--model", "resnet20", "--initial-weights", "gaussian", "--lr", "1e-30")
    run = train("digits", *flags, "--weight-decay", "0", "--steps", "1").succeeded()
    weight = artifact.load(run.path).network.stages.stage3.block2.branch.conv1.weight
    assert weight.std().item() == pytest.approx(0.01, rel=0.02)  # its own would be 0.059


def test_a_trained_models_weights_are_not_drawn_anew(train, digits_run):
    flags = ("--start", str(digits_run.path), "--initial-weights", "he")
    train("digits", *flags).refused(2, "has its weights")


def test_rows_several_times_an_epoch(launcher, tmp_path):
    flags = ("--steps", "16", "--batch-size", "128", "--val-fraction", "0.1", "--track-test")
    (tmp_path / "once").mkdir()
    (tmp_path / "often").mkdir()
    once = train_in(launcher, tmp_path / "once", "digits", flags, {}).succeeded()
    flags += ("--rows-per-epoch", "3")
    often = train_in(launcher, tmp_path / "often", "digits", flags, {}).succeeded()
    rows = often.rows()
    assert [int(row["step"]) for row in once.rows()] == [11, 16]
    assert [int(row["step"]) for row in rows] == [4, 7, 11, 14, 16]
    assert all(row["val_error_pct"] and row["test_error_pct"] for row in rows)
    # It is only looked at more often: the run ends with the same network.
    assert rows[-1]["test_loss"] == once.rows()[-1]["test_loss"]


def test_precision_changes_the_arithmetic():
    losses = {}
    for precision in ("fp32", "bf16"):
        training = make_training({"precision": precision})
        losses[precision] = float(train_step(training, training.loader.batch(0), 0.1)[0])
    assert losses["fp32"] != losses["bf16"]
    assert losses["fp32"] == pytest.approx(losses["bf16"], rel=0.05)


def test_float16_needs_a_gpu(train):
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    run = train("digits", "--precision", "fp16")
    run.refused(5, "fp16", "--precision")
    assert not run.path.exists()
