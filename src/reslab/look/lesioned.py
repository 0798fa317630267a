"""The section "Lesions": what the network loses with each of its blocks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from reslab.analyze.lesions import Lesion, lesions
from reslab.errors import UsageError
from reslab.look.bars import Bars, draw_bars
from reslab.look.costs import stage_colours, stage_of
from reslab.look.figure import Drawing, Figure, Section
from reslab.look.subject import Subject

TITLE = "Lesions"


def lesioned(subject: Subject, notify: Callable[[str], None]) -> Section:
    """Delete and swap blocks, one at a time, and measure the error of what is left."""
    if subject.sample is None:
        return Section("lesions", TITLE, "", [], [subject.missing])
    notify("lesions: every block deleted, neighbours swapped")
    try:
        found = lesions(subject.model.network, subject.sample.images, subject.sample.labels)
    except UsageError as error:
        return Section("lesions", TITLE, "", [], [f"Left out: {error.message}."])
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
    return Section("lesions", TITLE, _lead(found.deletions, found.error_pct), figures)


def _lead(deletions: Sequence[Lesion], whole: float) -> str:
    worst = max(deletions, key=lambda one: one.increase_pct)
    mild = sum(one.increase_pct < 5 for one in deletions)
    return (
        f"The whole network errs on {whole:.1f}% of these images. {mild} of {len(deletions)} "
        f"blocks can be deleted for less than five points more; the most is lost with "
        f"{worst.blocks[0].removeprefix('stages.')}: {worst.increase_pct:+.1f} points."
    )


def _figure(name: str, title: str, caption: str, rows: Sequence[Lesion]) -> Figure:
    groups = [stage_of(row.blocks[0]) for row in rows]
    shades = stage_colours(groups)
    colours = [1 if row.projects else shade for row, shade in zip(rows, shades, strict=True)]
    names = [" and ".join(one.removeprefix("stages.") for one in row.blocks) for row in rows]
    values = [row.increase_pct if math.isfinite(row.increase_pct) else math.nan for row in rows]
    bars = Bars(title=title, names=names, values=values, groups=groups, colours=colours)
    return Figure(
        name=name,
        title=title,
        caption=caption,
        body=Drawing(draw_bars(bars), wide=bars.wide),
        source="Veit, Wilber and Belongie 2016, sections 4.1 and 4.3",
        data={
            "blocks": [list(row.blocks) for row in rows],
            "error_pct": [row.error_pct for row in rows],
            "increase_pct": [row.increase_pct for row in rows],
        },
    )
