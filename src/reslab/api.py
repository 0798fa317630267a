"""The Python API: the verbs of the command line as functions.

>>> run = reslab.train("photos/", model="resnet20", epochs=30, lr=0.05)
>>> run.test.accuracy_pct
>>> reslab.load(run.model).predict(["cat.jpg"])
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from reslab.errors import ReslabError

if TYPE_CHECKING:
    from reslab.data.collect import DataOptions
    from reslab.predict import Predictor
    from reslab.training.config import Request
    from reslab.training.finish import Result
    from reslab.training.observe import Observer
    from reslab.training.recipe import RecipeFields


def train(
    data: str | Path,
    *,
    model: str = "auto",
    recipe: str = "auto",
    overrides: Mapping[str, Any] | None = None,
    out: Path | str | None = None,
    seed: int = 0,
    time_s: float | None = None,
    device: str = "auto",
    start: Path | str | None = None,
    deepen_from: Path | str | None = None,
    data_options: DataOptions | None = None,
    label_from_name: str | None = None,
    progress: bool | None = None,
    observer: Observer | None = None,
    **fields: Unpack[RecipeFields],
) -> Result:
    """Train a network on images: the command ``reslab train`` as a function.

    Fields of the recipe are keywords too: ``reslab.train("photos", epochs=5, lr=0.1)``.

    Args:
        data: a folder, a CSV, an archive or the name of a data set.
        model: a network's name, or "auto".
        recipe: a recipe's name, or "auto".
        overrides: recipe fields with other values, e.g. ``{"epochs": 30, "lr": 0.05}``.
        out: the run directory; None for the next free one under runs/.
        seed: of initialisation, order and augmentation.
        time_s: time budget, seconds.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        start: a trained model to start from.
        deepen_from: a trained model to start from, deepened to `model`.
        data_options: how the data are to be read: the columns of a table, labels in file names.
        label_from_name: that field of `data_options`: a regular expression whose first group (or
            the one named ``label``) is the label in an image's path below `data`.
        progress: show how it goes as the command does: a bar and lines in a notebook, on stderr
            elsewhere; None for "in a notebook".
        observer: who watches instead.
        fields: recipe fields, as in `overrides`: epochs, lr, batch_size, img_size, ...

    Returns:
        Where the run and its model are, and how well the model does on the test split.

    Raises:
        ReslabError: each kind of failure has a class of its own in `reslab.errors`.
    """
    from reslab.data.collect import DataOptions
    from reslab.training.config import Request

    options = data_options or DataOptions()
    if label_from_name is not None:
        options = dataclasses.replace(options, label_from_name=label_from_name)
    request = Request(
        data=str(data),
        model=model,
        recipe=recipe,
        overrides=_overrides(train, fields, overrides),
        out=None if out is None else Path(out),
        seed=seed,
        time_s=time_s,
        device=device,
        start=None if start is None else Path(start),
        deepen_from=None if deepen_from is None else Path(deepen_from),
        data_options=options,
    )
    request = dataclasses.replace(request, command=_command(request))
    watcher = observer or _watcher(progress)
    return _told(train_request(request, watcher), watcher, told=observer is None)


def _overrides(
    function: Callable[..., Result], fields: Mapping[str, Any], overrides: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Turn the keywords of a call into recipe overrides."""
    from reslab.training.keywords import overrides_of

    own = [name for name in inspect.signature(function).parameters if name != "fields"]
    return overrides_of(fields, overrides, function=f"reslab.{function.__name__}", arguments=own)


def _watcher(progress: bool | None) -> Observer | None:
    """Return who tells the user how a run goes; None for silence, and in all but one process."""
    from reslab.display.notebook import NotebookBar, in_notebook
    from reslab.display.progress import Bar, Lines, on_terminal
    from reslab.display.stderr import note

    notebook = in_notebook()
    if not (notebook if progress is None else progress) or os.environ.get("RANK", "0") != "0":
        return None
    if notebook:
        return NotebookBar()
    return Bar() if on_terminal() else Lines(note)


def _told(result: Result, watcher: Observer | None, *, told: bool) -> Result:
    """Say how a run ended, as the command does."""
    if watcher is not None and told and result.writes:
        for line in result.lines():
            watcher.note(line)
    return result


def _command(request: Request) -> tuple[str, ...]:
    """Return a command that makes the call of `train` that led to a request."""
    from reslab.data.collect import DataOptions

    words = [repr(request.data)]
    for field in dataclasses.fields(request)[1:]:
        value = getattr(request, field.name)
        if value in (None, {}, field.default, DataOptions()):
            continue
        if field.name == "data_options":
            words.append(f"data_options=reslab.{value!r}")
        else:
            words.append(f"{field.name}={(str(value) if isinstance(value, Path) else value)!r}")
    return "python", "-c", f"import reslab\n\nreslab.train({', '.join(words)})"


def train_request(request: Request, observer: Observer | None = None) -> Result:
    """Train as a request says, and write the run's report."""
    from reslab.training import job

    return _with_report(job.start(request, observer), observer)


def resume(
    run_dir: Path | str,
    *,
    overrides: Mapping[str, Any] | None = None,
    device: str | None = None,
    data: str | Path | None = None,
    progress: bool | None = None,
    observer: Observer | None = None,
    **fields: Unpack[RecipeFields],
) -> Result:
    """Go on with a run exactly where it stands; see `reslab.training.job.resume`.

    Args:
        run_dir: the run directory.
        overrides: recipe fields; only the length may differ.
        device: another device than the run began on.
        data: where the images are now, if they were moved or copied.
        progress: as for `train`.
        observer: who watches instead.
        fields: recipe fields, as in `overrides`: ``reslab.resume("runs/photos", epochs=60)``.
    """
    from reslab.training import job

    place = None if data is None else str(data)
    changes = _overrides(resume, fields, overrides)
    watcher = observer or _watcher(progress)
    result = _with_report(job.resume(Path(run_dir), changes, watcher, device, place), watcher)
    return _told(result, watcher, told=observer is None)


def load(
    path: Path | str,
    *,
    device: str = "auto",
    runtime: str = "eager",
    precision: str = "fp32",
    notify: Callable[[str], None] | None = None,
) -> Predictor:
    """Load a trained model from a run or a model folder, ready to predict.

    Args:
        path: a run or a model folder.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        runtime: "eager", "compiled", "openvino", "onnxruntime", or "auto" for what is done
            first and agrees with torch.
        precision: "fp32", "bf16", "fp16", or "auto" for bf16 where labels stay.
        notify: told in a line which runtime was chosen.
    """
    from reslab.predict import load as load_predictor

    return load_predictor(path, device=device, runtime=runtime, precision=precision, notify=notify)


def _with_report(result: Result, observer: Observer | None) -> Result:
    """Write the page of a finished run; a failure to draw must not lose the training."""
    from reslab.report import write_report

    if result.writes:
        try:
            write_report(result.run_dir)
        except ReslabError as error:
            if observer is not None:
                observer.note(f"the report could not be written: {error}")
    return result
