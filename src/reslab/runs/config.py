"""Everything a run has decided, as one value: written to config.json, enough to resume."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reslab import dataclass_json, networks
from reslab.aliases import current_config
from reslab.data.dataset import Dataset
from reslab.data.open import located
from reslab.display.short import short_repr
from reslab.errors import CheckpointError, UsageError
from reslab.runs import files
from reslab.training import recipe as recipes
from reslab.training.config import Choice, Request
from reslab.training.recipe import Recipe


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
    spec: networks.NetworkSpec
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

        request = dataclass_json.to_json(self.request)
        request["spec"] = None if self.request.spec is None else networks.to_json(self.request.spec)
        return {
            "reslab": __version__,
            "command": list(self.request.command),
            "data": self.request.data,
            "data_options": self.request.data_options.to_json(),
            "location": self.location,
            "seed": self.request.seed,
            "request": request,
            "dataset": dict(self.dataset),
            "spec": networks.to_json(self.spec),
            "recipe": recipes.to_json(self.recipe),
            "choices": [dataclass_json.to_json(choice) for choice in self.choices],
            "preprocess": dict(self.preprocess),
            "cost": dict(self.cost),
            "environment": dict(self.environment),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Config:
        """Rebuild what `to_json` returned.

        Raises:
            KeyError: a part is missing.
            UsageError: a field is unknown or of another type; its path is named.
        """
        value = current_config(value)
        request = dict(value["request"])
        if request.get("spec") is not None:
            request["spec"] = networks.from_json(request["spec"])
        return cls(
            request=dataclass_json.from_json(Request, request, "request"),
            spec=networks.from_json(value["spec"]),
            recipe=recipes.from_json(value["recipe"]),
            choices=dataclass_json.fit(tuple[Choice, ...], value["choices"], "choices"),
            dataset=value["dataset"],
            preprocess=value["preprocess"],
            cost=value["cost"],
            environment=value["environment"],
            location=value.get("location", ""),
        )

    @classmethod
    def read(cls, folder: Path) -> Config:
        """Read config.json of a run directory.

        Raises:
            CheckpointError: it is missing or damaged.
        """
        value = files.read_json(folder, files.CONFIG)
        try:
            return cls.from_json(value)
        except KeyError as error:
            reason = f"{error} is missing"
        except (AttributeError, TypeError, ValueError) as error:
            reason = str(error)
        raise CheckpointError(f"{folder / files.CONFIG} is damaged: {reason}")

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
