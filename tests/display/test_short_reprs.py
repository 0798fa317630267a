"""Reprs of a few lines, whatever a result holds."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import reslab
from reslab import artifact
from reslab.data.preprocess import Preprocess
from reslab.display import short
from reslab.evaluate.compare import compare
from reslab.evaluate.evaluation import Evaluation
from reslab.networks.cost import measure
from reslab.predict import Prediction, Predictor
from reslab.predict.predictor import Predictions
from reslab.report.comparison import Comparison
from reslab.training.finish import Result

sys.path.insert(0, str(Path(__file__).parents[1] / "study"))
from synthetic import results as study_results

ARRAYS = re.compile(r"NDArray|ndarray|Tensor\b|Floats|Integers|Pixels|Indices|Counts|bytes\b")
# Not shown to anybody: parts of a computation.
INNER = {"LayerCost"}


def evaluation(num_classes: int = 200, count: int = 5000) -> Evaluation:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, num_classes, count)
    logits = draw.normal(size=(count, num_classes)).astype(np.float32)
    logits[np.arange(count), labels] += 3
    names = tuple(f"a rather long name of class {i}" for i in range(num_classes))
    return Evaluation(logits, labels, np.arange(count), names)


def values(tmp_path: Path) -> Iterator[object]:
    """Yield what the functions of the package hand back, with many images and classes."""
    found = evaluation()
    yield from (found, compare(found, found), found.per_class[0])
    yield Result(
        run_dir=tmp_path, model=tmp_path / "model", test=found, split="test", wall_s=1.0,
        train_images_per_s=2.0, data="photos", network="resnet20", writes=True,
    )  # fmt: skip
    network = reslab.create_model("resnet152", num_classes=200)
    yield from (network, reslab.create_model("vgg19"), measure(network.spec))
    pixels = Preprocess(
        img_size=224, resize_size=224, in_chans=3, resize="squash", mean=(0.5,) * 3, std=(0.2,) * 3
    )
    model = artifact.Artifact(
        network=network,
        classes=found.classes,
        preprocess=pixels,
        metrics={"test": found.to_json()},
        provenance={"dataset": {"classes": list(found.classes)}},
        temperature=1.0,
    )
    yield from (model, Predictor(model, device="cpu"))
    top = tuple((name, 1 / 200) for name in found.classes)
    yield Prediction("x" * 300, top)
    yield Predictions(Prediction(f"{i}.jpg", top[i % 9 :]) for i in range(3000))
    dataset = reslab.open_dataset("digits")
    yield from (dataset, dataset.images)
    broken = dataclasses.replace(dataset, splits={}, excluded={f"{i}.jpg": "?" for i in range(999)})
    yield reslab.check_dataset(broken, deep=False, workers=1)
    yield from (study_results(), study_results().study, study_results().outcomes[0])
    yield from (torch.nn.Sequential(network), [network, found])


def test_every_result_prints_a_few_lines(tmp_path):
    for value in values(tmp_path):
        text = repr(value)
        limit = 20 if isinstance(value, torch.nn.Sequential | list) else 9
        assert len(text.splitlines()) <= limit, text
        assert len(text) < 1500, text
        assert max(map(len, text.splitlines())) <= 320, text


def test_classes_that_hold_arrays_have_a_repr_of_their_own():
    found, long = 0, []
    for module in pkgutil.walk_packages(reslab.__path__, "reslab."):
        if module.name.endswith("__main__"):
            continue
        for name, cls in vars(importlib.import_module(module.name)).items():
            if not (inspect.isclass(cls) and dataclasses.is_dataclass(cls)):
                continue
            if cls.__module__ != module.name or name in INNER or name.startswith("_"):
                continue
            types = " ".join(str(field.type) for field in dataclasses.fields(cls))
            if ARRAYS.search(types) and not types.startswith("Callable"):
                # What `dataclass` writes is wrapped against recursion.
                found += 1
                long += [f"{module.name}.{name}"] if hasattr(cls.__repr__, "__wrapped__") else []
    assert found >= 15
    assert not long


@dataclasses.dataclass(frozen=True)
class Example:
    array: object
    words: object
    other: object = None

    __repr__ = short.short_repr


NINE = "Example(array=True, words={9 entries}, other=None)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Example(np.zeros((3, 4)), "a"), "Example(array=float64 (3, 4), words='a', other=None)"),
        (Example(torch.zeros(2), 1 / 3), "Example(array=float32 (2,), words=0.333333, other=None)"),
        (Example([1] * 1000, {}), "Example(array=[1,000 items], words={}, other=None)"),
        (Example((1, 2), {"k": [0.5]}), "Example(array=(1, 2), words={'k': [0.5]}, other=None)"),
        (Example((1,), Path("a/b")), "Example(array=(1,), words='a/b', other=None)"),
        (Example(b"12345", np.int64), "Example(array=5 bytes, words=int64, other=None)"),
        (Example(True, {i: i for i in range(9)}), NINE),
    ],
)  # fmt: skip
def test_a_short_repr_is(value, text):
    assert repr(value) == text


def test_a_long_one_is_cut():
    text = repr(Example("x" * 500, ["a" * 59] * 4, {"b" * 59: "c" * 59}))
    assert len(text.splitlines()) <= short.LINES
    assert "x" * 59 + "…" in text


def test_few_predictions_are_listed_and_many_counted():
    few = Predictions([Prediction("a.jpg", (("cat", 0.9), ("dog", 0.1)))] * 2)
    line = "Prediction('a.jpg': cat 90.0%, dog 10.0%)"
    assert repr(few) == f"[{line},\n {line}]"
    many = Predictions([*few * 4, Prediction("b.jpg", error="b.jpg is cut off")])
    assert repr(many) == "9 predictions: cat 8; 1 could not be read"
    assert many == list(many)


def test_a_comparison_of_runs_is_exported():
    assert reslab.compare_runs.__module__ == Comparison.__module__
