"""A study and a scale -> the list of its runs, before anything runs."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reslab import spec as specs
from reslab.data.open import NAMES
from reslab.errors import UsageError
from reslab.study.study import Arm, Scale, ScaleName, Study
from reslab.training.config import Request

LENGTHS = ("epochs", "steps")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
    """What a user decides about a study.

    Args:
        scale: which of its scales.
        data: other data than the scale's; None for the scale's.
        seeds: how many seeds; None for the scale's.
        device: as for `machine.choose_device`.
    """

    scale: ScaleName = "tiny"
    data: str | None = None
    seeds: int | None = None
    device: str = "auto"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlannedRun:
    """One run of a study.

    Args:
        id: stable and unique, "<arm>/seed-<seed>"; also its folder within the study's.
        arm: what is run.
        seed: of initialisation, order and augmentation.
        request: what is trained, its folders left open; None where runs are only combined.
        needs: the runs that must be finished before.
    """

    id: str
    arm: Arm
    seed: int
    request: Request | None
    needs: tuple[str, ...] = ()

    def located(self, folder: Path) -> Request:
        """Return the request with its run directory, and the model that it starts from."""
        assert self.request is not None
        request = dataclasses.replace(self.request, out=folder / self.id)
        if self.arm.after is None:
            return request
        source = folder / self.needs[0]
        if self.arm.after.how == "deepen":
            return dataclasses.replace(request, deepen_from=source)
        return dataclasses.replace(request, start=source)


def expand(study: Study, setting: Setting) -> tuple[PlannedRun, ...]:
    """List the runs of a study: all arms with the first seed, then with the next.

    So a study that is stopped half-way has pairs to compare.

    Raises:
        UsageError: the study has no such scale, or there are no seeds.
    """
    scale = study.scale(setting.scale)
    seeds = scale.seeds if setting.seeds is None else setting.seeds
    if seeds < 1:
        raise UsageError(f"a study needs one seed or more, received {seeds}")
    training = [arm for arm in scale.arms if arm.combines is None]
    combining = [arm for arm in scale.arms if arm.combines is not None]
    return (
        *(_trained(arm, seed, scale, setting) for seed in range(seeds) for arm in training),
        *(_combined(arm, seed, seeds) for seed in range(seeds) for arm in combining),
    )


def run_id(arm: str, seed: int) -> str:
    """Return the name of a run."""
    return f"{arm}/seed-{seed}"


def asked(request: Request) -> dict[str, Any]:
    """Return what tells a run from another in its folder, as JSON values."""
    value = {
        "data": request.data,
        "model": request.model,
        "spec": None if request.spec is None else specs.to_json(request.spec),
        "recipe": request.recipe,
        "seed": request.seed,
        "overrides": dict(request.overrides),
    }
    found: dict[str, Any] = json.loads(json.dumps(value))
    return found


def located_data(data: str) -> str:
    """Return data that can be found from any folder: a name as it is, a path absolute."""
    named = data in NAMES or data.startswith("shapes:")
    return data if named or not os.path.exists(data) else str(Path(data).absolute())


def _trained(arm: Arm, seed: int, scale: Scale, setting: Setting) -> PlannedRun:
    request = Request(
        data=located_data(setting.data or scale.data),
        model=arm.model if isinstance(arm.model, str) else "auto",
        spec=None if isinstance(arm.model, str) else arm.model,
        recipe=arm.recipe or scale.recipe,
        overrides=merged(scale.overrides, arm.overrides),
        seed=seed,
        device=setting.device,
    )
    needs = () if arm.after is None else (run_id(arm.after.arm, seed),)
    return PlannedRun(id=run_id(arm.name, seed), arm=arm, seed=seed, request=request, needs=needs)


def _combined(arm: Arm, seed: int, seeds: int) -> PlannedRun:
    """Need the finished runs of all seeds, this one's first and the others in turn."""
    assert arm.combines is not None
    needs = tuple(run_id(arm.combines, (seed + shift) % seeds) for shift in range(seeds))
    return PlannedRun(id=run_id(arm.name, seed), arm=arm, seed=seed, request=None, needs=needs)


def merged(general: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Put an arm's overrides over those of its scale; a length in one unit replaces the other."""
    kept = dict(general)
    if any(length in own for length in LENGTHS):
        kept = {k: v for k, v in kept.items() if k not in LENGTHS}
    return kept | dict(own)
