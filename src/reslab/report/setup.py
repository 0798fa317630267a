"""What was trained on what and how, in sentences and short lists."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from reslab.data.augment import Augment
from reslab.display import wording
from reslab.pages.standalone import Fact
from reslab.report.curves import throughput
from reslab.runs.run import Run
from reslab.settings import settings_of
from reslab.training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class Command:
    """Something to copy.

    Args:
        purpose: what it does, as a heading.
        text: the command or code.
    """

    purpose: str
    text: str


def facts(run: Run) -> list[Fact]:
    """Return the few numbers that a reader wants first."""
    cost, data, status = run.section("cost"), run.section("dataset"), run.status
    counts: Mapping[str, int] = data.get("counts", {})
    environment = run.section("environment")
    held = [
        f"{counts[s]:,} {n}" for s, n in (("val", "validation"), ("test", "test")) if counts.get(s)
    ]
    list_ = [
        Fact(
            "Parameters",
            wording.large(cost.get("params")),
            f"{wording.large(cost.get('macs'))} multiply-adds an image",
        ),
        Fact("Training images", wording.number(counts.get("train")), ", ".join(held)),
        Fact("Classes", wording.number(len(run.classes))),
    ]
    speeds = sorted(throughput(run).values())
    if status.get("wall_s") is not None:
        detail = f"{speeds[len(speeds) // 2]:,.0f} training images a second" if speeds else ""
        list_.append(Fact("Time", wording.duration(status["wall_s"]), detail))
    if status.get("step") is not None:
        epochs = f"{round(float(status.get('epoch') or 0), 1):g} epochs"
        list_.append(Fact("Updates", wording.number(status["step"]), epochs))
    if environment.get("device"):
        on_cpu = environment["device"] == "cpu"
        threads = wording.plural(int(environment.get("threads") or 1), "thread")
        detail = threads if on_cpu else ""
        if int(environment.get("processes") or 1) > 1:
            detail = f"{environment['processes']} processes{f' of {threads}' if on_cpu else ''}"
        list_.append(Fact("Device", _device(str(environment["device"])), detail))
    return list_


def _device(name: str) -> str:
    return {"cpu": "CPU", "mps": "Apple GPU"}.get(name, name)


def training_sentence(recipe: Mapping[str, Any], time_s: float | None = None) -> str:
    """Say how the network was trained, in the order in which a paper says it.

    Args:
        recipe: the recipe's fields.
        time_s: the time that set the length instead of the recipe, seconds.
    """
    if not recipe:
        return ""
    get = recipe.get
    if time_s is not None:
        length = wording.duration(time_s)
    elif get("steps"):
        length = f"{get('steps'):,} updates"
    else:
        length = wording.plural_number(get("epochs", 0), "epoch")
    if get("optimizer") == "adamw":
        name = "AdamW"
    else:
        name = "Muon" if get("optimizer") == "muon" else "SGD"
        name += " with Nesterov momentum" if get("nesterov") else " with momentum"
        name += f" {get('momentum'):g}"
    rate = f"{get('schedule')} learning rate from a peak of {get('lr'):g}"
    if get("schedule") == "constant":
        rate = f"constant learning rate of {get('lr'):g}"
    if get("warmup_steps"):
        rate += f" after a warm-up of {get('warmup_steps'):,} updates"
    parts = [
        f"{length} of {name}",
        f"batches of {get('batch_size')}",
        rate,
        f"weight decay {get('weight_decay'):g}",
    ]
    text = ", ".join(parts) + "."
    views = _views(get("augment") or {})
    text += f" Random views: {views}." if views else " No augmentation."
    extras = _extras(recipe)
    return text + (f" Besides: {extras}." if extras else "")


def _phrases(cls: type, values: Mapping[str, Any], *, without: Sequence[str] = ()) -> list[str]:
    """Say which settings of a dataclass are switched on, each as its field says it."""
    words = []
    for setting in settings_of(cls):
        value = values.get(setting.name)
        if setting.phrase and value and value != setting.default and setting.name not in without:
            words.append(setting.phrase.format(value))
    return words


def _views(augment: Mapping[str, Any]) -> str:
    # Alternating is a way to mirror: the one word replaces the other.
    other = "flip" if augment.get("alternating_flip") else "alternating_flip"
    if not augment.get("flip"):
        other = "alternating_flip"
    return wording.listed(_phrases(Augment, augment, without=(other,)))


def _extras(recipe: Mapping[str, Any]) -> str:
    views = [setting.name for setting in settings_of(Augment)]
    words = _phrases(Recipe, recipe, without=views)
    if recipe.get("progressive_share"):
        words.append(f"{early_part(recipe)} at {recipe.get('progressive_size')} px")
    if frozen := recipe.get("freeze"):
        words.append(
            "all but the classifier frozen" if frozen < 0 else f"the first {frozen} parts frozen"
        )
    return wording.listed(words)


def early_part(recipe: Mapping[str, Any]) -> str:
    """Name the share of a run that trained on smaller images."""
    return f"the first {100 * recipe['progressive_share']:.0f}%"


def commands(run: Run) -> list[Command]:
    """Return what to type to repeat the run and to use its model."""
    folder, data = shlex.quote(str(run.folder)), shlex.quote(str(run.config.get("data", "DATA")))
    words = [str(word) for word in run.config.get("command", ())]
    list_ = []
    if words:
        # A run that was started from Python has the code for it in place of a command.
        text = words[2] if words[:2] == ["python", "-c"] else command_line(words)
        list_.append(Command("Train the same network again", text))
    if run.state != "finished":
        list_.append(Command("Go on with this run", f"reslab train --resume {folder}"))
    if run.temperature is None:
        return list_
    return [
        *list_,
        Command("Measure it again", f"reslab eval {folder} {data}"),
        Command("Label new images", f"reslab predict {folder} photo.jpg"),
        Command(
            "Use it from Python",
            f"import reslab\n\nmodel = reslab.load({str(run.folder)!r})\n"
            'predictions = model.predict(["photo.jpg"])',
        ),
    ]


def command_line(words: Sequence[str]) -> str:
    """Write a command so that it can be pasted into a shell, without the path of the program."""
    first = os.path.basename(words[0])
    if first == "__main__.py":
        return f"python -m reslab {shlex.join(words[1:])}"
    return shlex.join([first, *words[1:]])
