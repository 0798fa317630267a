"""What a study's report says, in words and rows, before it becomes a page or Markdown."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from reslab.aliases import current_names
from reslab.display import wording
from reslab.evaluate.metrics import higher_is_better
from reslab.study import statistics
from reslab.study.figures import METRIC_WORDS, metric_words
from reslab.study.results import Outcome, RunOutcome, StudyResults, Verdict
from reslab.study.study import Arm
from reslab.training.recipe import Recipe, override, to_json
from reslab.training.recipes import RECIPES, Situation

# What every run is measured for; anything else an arm has measured itself.
USUAL = frozenset(
    {
        "train_error_pct", "train_loss", "test_error_pct", "test_loss", "val_error_pct",
        "val_loss", "running_train_error_pct", "params", "macs", "steps", "wall_s",
        "train_images_per_s", "train_images_measured",
    }
)  # fmt: skip
DATA_WORDS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "imagenet": "ImageNet"}
MARKS: dict[Outcome, str] = {"reproduced": "✓", "not reproduced": "✗", "not decidable": "?"}


@dataclasses.dataclass(frozen=True)
class MetricCell:
    """A number over seeds as text.

    Args:
        value: mean ± standard deviation.
        interval: its 95% interval, or empty for one seed.
        paper: the paper's number, or empty.
        n: runs that have it.
    """

    value: str
    interval: str
    paper: str
    n: int


@dataclasses.dataclass(frozen=True)
class ArmRow:
    """One arm of the table.

    Args:
        arm: the arm.
        network: its network.
        params: its parameters, as text.
        cells: one a metric.
        lost: runs that diverged, failed or are missing, in words, or empty.
        time: median time of a run.
    """

    arm: Arm
    network: str
    params: str
    cells: tuple[MetricCell, ...]
    lost: str
    time: str


def answer(results: StudyResults, verdicts: Sequence[Verdict]) -> str:
    """Answer the study's question in one sentence, as far as its runs can."""
    said = {
        outcome: [_inside(v.expectation) for v in verdicts if v.outcome == outcome]
        for outcome in ("reproduced", "not reproduced", "not decidable")
    }
    parts = []
    if said["reproduced"]:
        parts.append(f"as expected, {wording.listed(said['reproduced'])}")
    if said["not reproduced"]:
        parts.append(f"not reproduced: {'; '.join(said['not reproduced'])}")
    if said["not decidable"]:
        seeds = wording.plural(len(results.seeds), "seed")
        open_ = wording.listed([f"whether {one}" for one in said["not decidable"]])
        parts.append(f"it cannot be decided with {seeds} {open_}")
    if not parts:
        return _least(results)
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def readable(text: str) -> str:
    """Write the metrics in a sentence as words."""
    for name in sorted(METRIC_WORDS, key=len, reverse=True):
        if "_" in name:
            words = METRIC_WORDS[name].partition(",")[0]
            text = text.replace(name, words[0].lower() + words[1:])
    return text


def _inside(sentence: str) -> str:
    """Write a sentence so that it can stand inside another one."""
    text = sentence.removesuffix(".")
    first = text.split(" ", 1)[0]
    plain = first[:1].isupper() and first[1:].islower()
    return f"{text[0].lower()}{text[1:]}" if plain or len(first) == 1 else text


def _least(results: StudyResults) -> str:
    metric = results.study.metric
    means = {
        arm.name: statistics.summarize(list(values.values())).mean
        for arm in results.arms
        if (values := results.values(arm.name, metric))
    }
    if not means:
        return "No run has ended yet."
    choose, word = (max, "greatest") if higher_is_better(metric) else (min, "least")
    best = choose(means, key=lambda name: means[name])
    what = metric_words(metric).removesuffix(", %")
    unit = "%" if metric.endswith("_pct") else ""
    return f"{what} is {word} with {best}: {wording.number(means[best])}{unit} on average."


def metrics_of(results: StudyResults) -> list[str]:
    """Return the metrics that the table shows: the study's, the errors, what arms measured."""
    named = [name for arm in results.arms for name in arm.paper]
    own = [n for outcome in results.outcomes for n in outcome.metrics if n not in USUAL]
    wanted = dict.fromkeys(
        (results.study.metric, "test_error_pct", "train_error_pct", *named, *own)
    )
    return [m for m in wanted if any(results.values(arm.name, m) for arm in results.arms)]


def arm_rows(results: StudyResults, metrics: Sequence[str]) -> list[ArmRow]:
    """Return a row for each arm."""
    return [_arm_row(results, arm, metrics) for arm in results.arms]


def _arm_row(results: StudyResults, arm: Arm, metrics: Sequence[str]) -> ArmRow:
    outcomes = results.of(arm.name)
    params = next((o.metrics["params"] for o in outcomes if "params" in o.metrics), None)
    times = sorted(o.metrics["wall_s"] for o in outcomes if "wall_s" in o.metrics)
    lost = [
        f"{count} {status}"
        for status in ("diverged", "failed", "missing")
        if (count := sum(o.status == status for o in outcomes))
    ]
    return ArmRow(
        arm=arm,
        network=arm.network or f"runs of {arm.combines} together",
        params=wording.large(params),
        cells=tuple(_cell(results, arm, metric) for metric in metrics),
        lost=", ".join(lost),
        time=wording.duration(times[len(times) // 2] if times else None),
    )


def _cell(results: StudyResults, arm: Arm, metric: str) -> MetricCell:
    values = list(results.values(arm.name, metric).values())
    paper = f"{arm.paper[metric]:g}" if metric in arm.paper else ""
    if not values:
        return MetricCell("–", "", paper, 0)
    found = statistics.summarize(values, within=statistics.range_of(metric))
    digits = 2 if metric.endswith("_pct") else 4 if abs(found.mean) < 1 else 3
    if found.sd is None or found.low is None or found.high is None:
        return MetricCell(f"{found.mean:.{digits}f}", "", paper, 1)
    return MetricCell(
        value=f"{found.mean:.{digits}f} ± {found.sd:.{digits}f}",
        interval=f"{found.low:.{digits}f} to {found.high:.{digits}f}",
        paper=paper,
        n=found.n,
    )


def data_sentences(results: StudyResults) -> list[str]:
    """Say what the images were, and what they were not."""
    data = results.data
    if not data:
        return ["No run has begun: nothing is known of the data."]
    counts: Mapping[str, int] = data.get("counts", {})
    words = {"train": "for training", "val": "for validation", "test": "for the test"}
    listed = [f"{counts[s]:,} {words[s]}" for s in words if counts.get(s)]
    size, name = data.get("img_size"), str(data.get("name", "the data"))
    sentences = [
        f"The data are {name}: {wording.listed(listed)}, {len(data.get('classes', ()))} classes, "
        f"{'grey' if data.get('in_chans') == 1 else 'colour'} images of {size} x {size} pixels."
    ]
    if data.get("note"):
        sentences.append(str(data["note"]))
    paper = results.study.scales.get("paper")
    asked = str(data.get("asked_for", name))
    if paper is not None and asked != paper.data:
        published = DATA_WORDS.get(paper.data, paper.data)
        sentences.append(
            f"The paper’s numbers are for {published}: next to those of other images they say "
            "which way things go, not how far."
        )
    if asked != "cifar10" and "cifar" in f"{asked} {name}".lower():
        sentences.append(
            "Images of CIFAR-10 that were stored as JPEG files (CIFAR-10-JPEG) are not CIFAR-10: "
            "the compression has changed their pixels, and errors on them are a little higher."
        )
    return sentences


def recipe_rows(results: StudyResults) -> list[tuple[str, str, str]]:
    """Return (setting, the paper's, ours) for every number of the recipe that differs.

    The paper's is the recipe of the study's scale "paper"; without one there are no rows.
    """
    used = [o.recipe for o in results.outcomes if o.recipe]
    paper = results.study.scales.get("paper")
    if paper is None or not used:
        return []
    situation = Situation(num_train=50_000, img_size=32, num_classes=10)
    recipe: Recipe = override(RECIPES[paper.recipe](situation), paper.overrides)
    theirs = _flat(to_json(recipe))
    ours = [_flat(one) for one in used]
    per_arm = {name for arm in paper.arms for name in current_names(arm.overrides)}
    rows = []
    for name, value in theirs.items():
        found = list(dict.fromkeys(one.get(name, "–") for one in ours))
        last = name.rpartition(".")[2]
        unused = last == "epochs" and recipe.steps > 0
        if unused or last in ("name", "img_size") or last in per_arm or found == [value]:
            continue
        rows.append((name, value, " / ".join(found[:6]) + (" / …" if len(found) > 6 else "")))
    return rows


def _flat(recipe: Mapping[str, Any]) -> dict[str, str]:
    """Return every number as text, as it is after a way through JSON."""
    return dict(wording.flat(json.loads(json.dumps(recipe))))


def lost_runs(results: StudyResults) -> list[RunOutcome]:
    """Return the runs without numbers of their own: diverged, failed, missing."""
    return [outcome for outcome in results.outcomes if outcome.status != "finished"]


def environment_sentence(environment: Mapping[str, Any]) -> str:
    """Say on what the runs were made."""
    wanted = ("cpu", "device", "threads", "precision", "torch", "python", "reslab")
    known = [f"{name} {environment[name]}" for name in wanted if environment.get(name)]
    return f"Made on {', '.join(known)}." if known else ""
