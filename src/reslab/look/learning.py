"""What `train --probe` wrote down: the signal by depth while the network learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from reslab.analyze.probed import FILE, Probed, read_probe
from reslab.analyze.signal import StepSignal
from reslab.charts.figure import Figure
from reslab.charts.plot import COLORS, Plot, Series, axis_kind
from reslab.display import wording

_Value = Callable[[StepSignal], float | None]


def while_learning(run: Path) -> list[Figure]:
    """Draw gradients and activations by depth at some times of a run; nothing if not probed.

    Args:
        run: folder of the run.

    Raises:
        CheckpointError: what was written down is damaged.
    """
    if not (run / FILE).is_file():
        return []
    times = some_of(read_probe(run))
    if not times:
        return []
    return [
        _figure(
            "gradients-while-learning",
            "Gradient by depth while it learned",
            "Norm of the loss’s gradient behind the stem and each block",
            "Where it falls towards the left, the first layers hardly hear of the loss.",
            times,
            lambda step: step.gradient_norm,
        ),
        _figure(
            "activations-while-learning",
            "Activation by depth while it learned",
            "Root mean square of the activation behind the stem and each block",
            "It should neither fade nor blow up towards the right.",
            times,
            lambda step: step.activation_rms,
        ),
    ]


def some_of(times: Sequence[Probed]) -> list[Probed]:
    """Choose the first measurement, the last, and as many between as there are colours."""
    last = len(times) - 1
    if last < COLORS:
        return list(times)
    return [times[round(last * number / (COLORS - 1))] for number in range(COLORS)]


def _figure(
    name: str, title: str, what: str, moral: str, times: Sequence[Probed], value: _Value
) -> Figure:
    series = []
    for number, one in enumerate(times):
        found = [value(step) for step in one.signal.steps]
        series.append(
            Series(
                label=f"epoch {wording.number(one.epoch)}",
                x=list(range(1, len(found) + 1)),
                y=[math.nan if v is None else v for v in found],
                style="bold" if one is times[-1] else "thin",
                color=number,
            )
        )
    first = "before the first update" if not times[0].step else f"after {times[0].step:,} updates"
    return Figure(
        name=name,
        title=title,
        caption=(
            f"{what}, on the same training images each time, {first} and later; the last one is "
            f"bold. {moral}"
        ),
        body=Plot(title=title, x_label="stem and blocks", series=series, kind=axis_kind(series)),
        source="Glorot and Bengio 2010, figures 6 and 7",
        data={"times": [one.to_json() for one in times]},
    )
