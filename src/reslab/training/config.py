"""Everything a run has decided, as one value: written to config.json, enough to resume."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reslab import spec as specs
from reslab.aliases import accept_old_names, current_config, current_names
from reslab.data.dataset import Dataset
from reslab.data.open import located
from reslab.data.options import DataOptions
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.spec import Stem
from reslab.training import recipe as recipes
from reslab.training.recipe import Recipe


@accept_old_names
@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for; everything has a sensible default but the data.

    Args:
        data: a named data set or a path.
        model: a network's name, or "auto".
        spec: a network that the catalogue need not know, in place of `model`; it gets the data's
            classes, channels and image size.
        recipe: a recipe's name, or "auto".
        overrides: recipe fields with other values.
        out: the run directory; None for the next free one under runs/.
        seed: of initialisation, order and augmentation.
        time_s: time budget, seconds; None for the recipe's own length.
        device: as for `machine.choose_device`.
        workers: threads that decode images; 0 for one a core.
        start: an artifact to start from, or None.
        deepen_from: an artifact to deepen to `model` and train on, or None.
        stem: "small" or "imagenet" in place of the network's own stem.
        test_fraction: share held out for the test where the data has no test split.
        skip_corrupt: leave unreadable images out (recorded) instead of stopping.
        save_every_s: seconds between two checkpoints.
        probe: record the signal by depth in probe.jsonl: 0 at the end of each epoch, N after
            every N updates as well; None for not at all.
        cache: where decoded images are kept; None for the user's cache.
        data_options: how the data are to be read.
        command: the command line, for the record.
    """

    data: str
    model: str = "auto"
    spec: specs.NetworkSpec | None = None
    recipe: str = "auto"
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    out: Path | None = None
    seed: int = 0
    time_s: float | None = None
    device: str = "auto"
    workers: int = 0
    start: Path | None = None
    deepen_from: Path | None = None
    stem: Stem | None = None
    test_fraction: float = 0.2
    skip_corrupt: bool = False
    save_every_s: float = 30.0
    probe: int | None = None
    cache: Path | None = None
    data_options: DataOptions = dataclasses.field(default_factory=DataOptions)
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not -(2**63) <= self.seed < 2**63:
            raise UsageError(f"seed must fit into 64 bits, received {self.seed}")
        object.__setattr__(self, "overrides", current_names(self.overrides))

    @property
    def source(self) -> Path | None:
        """The trained model that the run starts from, as it is or deepened."""
        return self.start or self.deepen_from


@dataclasses.dataclass(frozen=True)
class Choice:
    """One thing that was chosen for the user.

    Args:
        what: the flag it belongs to.
        chosen: the value.
        why: the reason, a short phrase.
    """

    what: str
    chosen: str
    why: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What a run is: the request with every "auto" resolved.

    Args:
        request: what was asked for.
        spec: the network.
        recipe: the numbers.
        choices: what was chosen for the user.
        dataset: name, classes, counts a split, fingerprint, note, excluded images.
        preprocess: as `Preprocess.to_json` writes it.
        cost: parameters and multiply-adds of the network.
        environment: the machine and the versions.
        location: where the data are: an absolute path, or a name; empty in runs of older versions.
    """

    request: Request
    spec: specs.NetworkSpec
    recipe: Recipe
    choices: tuple[Choice, ...]
    dataset: Mapping[str, Any]
    preprocess: Mapping[str, Any]
    cost: Mapping[str, int]
    environment: Mapping[str, Any]
    location: str = ""

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return what config.json holds."""
        from reslab import __version__

        request = dataclasses.asdict(self.request)
        for name in ("out", "start", "deepen_from", "cache"):
            request[name] = None if request[name] is None else str(request[name])
        request["spec"] = None if self.request.spec is None else specs.to_json(self.request.spec)
        return {
            "reslab": __version__,
            "command": list(self.request.command),
            "data": self.request.data,
            "data_options": self.request.data_options.to_json(),
            "location": self.location,
            "seed": self.request.seed,
            "request": request,
            "dataset": dict(self.dataset),
            "spec": specs.to_json(self.spec),
            "recipe": recipes.to_json(self.recipe),
            "choices": [dataclasses.asdict(choice) for choice in self.choices],
            "preprocess": dict(self.preprocess),
            "cost": dict(self.cost),
            "environment": dict(self.environment),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Config:
        """Rebuild what `to_json` returned."""
        value = current_config(value)
        request = dict(value["request"])
        for name in ("out", "start", "deepen_from", "cache"):
            request[name] = None if request.get(name) is None else Path(request[name])
        if request.get("spec") is not None:
            request["spec"] = specs.from_json(request["spec"])
        request["command"] = tuple(request["command"])
        request["data_options"] = DataOptions.from_json(request.get("data_options"))
        return cls(
            request=Request(**request),
            spec=specs.from_json(value["spec"]),
            recipe=recipes.from_json(value["recipe"]),
            choices=tuple(Choice(**choice) for choice in value["choices"]),
            dataset=value["dataset"],
            preprocess=value["preprocess"],
            cost=value["cost"],
            environment=value["environment"],
            location=value.get("location", ""),
        )

    @property
    def places(self) -> tuple[str, ...]:
        """Where the data may be: where they were, and as they were named, from the folder here."""
        return tuple(dict.fromkeys(filter(None, (self.location, self.request.data))))

    @property
    def here(self) -> str:
        """How the data are named from the folder here: as they were, where that still holds."""
        data = self.request.data
        return data if not self.location or located(data) == self.location else self.location

    def moved(self, data: str) -> Config:
        """Return the same run with its data in another place."""
        request = dataclasses.replace(self.request, data=data)
        return dataclasses.replace(self, request=request, location=located(data))


def describe_dataset(dataset: Dataset) -> dict[str, Any]:
    """Return what a run records about its data."""
    return {
        "name": dataset.name,
        "classes": list(dataset.classes),
        "counts": {name: len(samples) for name, samples in dataset.splits.items()},
        "fingerprint": dataset.fingerprint(),
        "note": dataset.note,
        "excluded": dict(dataset.excluded),
    }


LENGTH_FIELDS = frozenset({"epochs", "steps"})


def _flat(recipe: Recipe) -> dict[str, Any]:
    fields = recipes.to_json(recipe)
    views: dict[str, Any] = fields.pop("augment")
    return fields | views


def lengthened(config: Config, overrides: Mapping[str, Any]) -> Config:
    """Return what a resumed run is: the same, or of another length.

    A length that is asked for takes the place of a time budget, which is spent.

    Raises:
        UsageError: other fields differ; each is named with both values.
    """
    request = config.request
    if LENGTH_FIELDS & overrides.keys():
        request = dataclasses.replace(request, time_s=None)
    recipe = changed_recipe(config.recipe, overrides)
    return dataclasses.replace(config, request=request, recipe=recipe)


def changed_recipe(old: Recipe, overrides: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a resumed run: only its length may change.

    Raises:
        UsageError: other fields differ; each is named with both values.
    """
    new = recipes.override(old, overrides)
    if "epochs" in overrides and "steps" not in overrides:
        new = recipes.override(new, {"steps": 0})
    before, after = _flat(old), _flat(new)
    differing = [k for k in before if before[k] != after[k] and k not in LENGTH_FIELDS]
    if differing:
        listed = ", ".join(f"{k} {before[k]} -> {after[k]}" for k in differing)
        raise UsageError(
            f"a resumed run keeps its recipe, but these differ: {listed}",
            remedy="leave those flags out, or start a new run",
        )
    return new
