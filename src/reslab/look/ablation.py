"""The section "Ablation" (lesions): what the network loses with each of its blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from reslab.analyze.ablation import Ablation, ablate_blocks
from reslab.charts.bars import Bars
from reslab.charts.figure import Figure, Section
from reslab.errors import UsageError
from reslab.look.costs import stage_colors, stage_of
from reslab.look.model_and_images import ModelAndImages

TITLE = "Ablation"


def ablation(subject: ModelAndImages, notify: Callable[[str], None]) -> Section:
    """Delete and swap blocks, one at a time, and measure the error of what is left."""
    if subject.sample is None:
        return Section("ablation", TITLE, "", [], [subject.missing])
    notify("ablation: every block deleted, neighbours swapped")
    try:
        found = ablate_blocks(subject.model.network, subject.sample.images, subject.sample.labels)
    except UsageError as error:
        return Section("ablation", TITLE, "", [], [f"Left out: {error.message}."])
    figures = [
        _figure(
            "deletions",
            "Error without each block, % points more",
            "Each block in turn gives way to its shortcut (to the identity in a plain network); "
            "orange where the shortcut has to change the dimensions. Nothing is trained again.",
            found.deletions,
        )
    ]
    if found.swaps:
        figures.append(
            _figure(
                "swaps",
                "Error with two neighbours swapped, % points more",
                "Neighbouring blocks of one shape change places.",
                found.swaps,
            )
        )
    return Section("ablation", TITLE, _lead(found.deletions, found.error_pct), figures)


def _lead(deletions: Sequence[Ablation], whole: float) -> str:
    worst = max(deletions, key=lambda one: one.increase_pct)
    mild = sum(one.increase_pct < 5 for one in deletions)
    return (
        f"The whole network errs on {whole:.1f}% of these images. {mild} of {len(deletions)} "
        f"blocks can be deleted for less than five points more; the most is lost with "
        f"{worst.blocks[0].removeprefix('stages.')}: {worst.increase_pct:+.1f} points."
    )


def _figure(name: str, title: str, caption: str, rows: Sequence[Ablation]) -> Figure:
    groups = [stage_of(row.blocks[0]) for row in rows]
    shades = stage_colors(groups)
    colors = [1 if row.projects else shade for row, shade in zip(rows, shades, strict=True)]
    names = [" and ".join(one.removeprefix("stages.") for one in row.blocks) for row in rows]
    values = [row.increase_pct if math.isfinite(row.increase_pct) else math.nan for row in rows]
    bars = Bars(title=title, names=names, values=values, groups=groups, colors=colors)
    return Figure(
        name=name,
        title=title,
        caption=caption,
        body=bars,
        source="Veit, Wilber and Belongie 2016, sections 4.1 and 4.3",
        data={
            "blocks": [list(row.blocks) for row in rows],
            "error_pct": [row.error_pct for row in rows],
            "increase_pct": [row.increase_pct for row in rows],
        },
    )
