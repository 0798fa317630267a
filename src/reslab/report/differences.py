"""What is not the same in several runs, every number of them compared."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reslab.data.dataset import FINGERPRINT_BY_CONTENT
from reslab.display import wording
from reslab.runs.run import Run


@dataclasses.dataclass(frozen=True)
class Difference:
    """Something that is not the same in all runs.

    Args:
        what: its name, e.g. "recipe: lr".
        values: one a run, as text.
    """

    what: str
    values: tuple[str, ...]


def differences(runs: Sequence[Run]) -> Iterator[Difference]:
    """Yield what is not the same in all runs: network, data, recipe, preprocessing, machine."""
    tables = [_facts(run) for run in runs]
    same_kind = len({run.section("spec").get("kind") for run in runs}) == 1
    for what in dict.fromkeys(itertools.chain.from_iterable(tables)):
        if what.startswith("network: ") and not same_kind:
            continue
        values = tuple(table.get(what, "–") for table in tables)
        if len(set(values)) > 1:
            yield Difference(what, values)


def _facts(run: Run) -> dict[str, str]:
    data, request = run.section("dataset"), run.section("request")
    environment = run.section("environment")
    facts: dict[str, Any] = {
        "network": run.section("spec").get("name"),
        "data": data.get("name"),
        **{f"{split} images": n for split, n in dict(data.get("counts") or {}).items()},
        "images' fingerprint": str(data.get("fingerprint", "")).removeprefix(
            FINGERPRINT_BY_CONTENT
        )[:8],
        "seed": run.config.get("seed"),
        "time limit, s": request.get("time_s"),
        "started from": request.get("start"),
        "deepened from": request.get("deepen_from"),
    }
    rows = {
        name: wording.number(v) if isinstance(v, float) else str(v) for name, v in facts.items()
    }
    spec = {k: v for k, v in run.section("spec").items() if k not in ("name", "kind")}
    sections: tuple[tuple[str, Mapping[str, Any]], ...] = (
        ("recipe", run.section("recipe")),
        ("preprocessing", run.section("preprocess")),
        ("network", spec),
    )
    for title, section in sections:
        rows |= {f"{title}: {name}": value for name, value in wording.flat(section)}
    for name in ("device", "precision", "threads", "processes", "torch", "cpu"):
        if name in environment:
            rows[f"machine: {name}"] = str(environment[name])
    return {k: "none" if v in ("None", "") else v for k, v in rows.items()}
