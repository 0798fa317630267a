"""The section "Landscape": the loss around the trained network, and between two networks."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from reslab import artifact
from reslab.analyze.interpolation import LinearPath, linear_path, on_one_line
from reslab.analyze.landscape import Surface, loss_surface
from reslab.analyze.sample import Sample
from reslab.artifact import Artifact
from reslab.charts.figure import CustomSvg, Figure, Section
from reslab.charts.loss_surface import surface_figure
from reslab.charts.plot import Plot, Series, Style, axis_kind
from reslab.display import wording
from reslab.errors import DataError
from reslab.look.model_and_images import ModelAndImages
from reslab.look.pictures import seen_by

Floats = npt.NDArray[np.float64]
TITLE = "Landscape"
POINTS = 25
_IMAGES = 256


def loss_landscape(
    subject: ModelAndImages,
    notify: Callable[[str], None],
    *,
    against: str | None = None,
    points: int = POINTS,
    time_limit_s: float | None = None,
) -> Section:
    """Measure the loss on a plane through the weights.

    Args:
        subject: whose loss.
        notify: told what is being done.
        against: another model to draw beside it, on the same images and the same scale.
        points: on each side of the grid, odd.
        time_limit_s: for each surface; points beyond it are left out from the corners inwards.

    Raises:
        DataError: the other model has other classes, or takes images of another size or kind.
    """
    if subject.sample is None:
        return Section("landscape", TITLE, "", [], [subject.missing])
    models = {subject.model.network.spec.name: subject.model}
    if against is not None:
        other = artifact.load(against)
        if not _comparable(subject.model, other):
            raise DataError(
                f"{against} does not see the same images as {subject.name}",
                remedy="compare models of one data set, image size and way of resizing",
            )
        name = other.network.spec.name
        models[name if name not in models else f"{name} ({against})"] = other
    surfaces: list[Surface] = []
    images = subject.sample.images[:_IMAGES]
    for name, model in models.items():
        done = [0]

        def told(count: int, total: int, name: str = name, done: list[int] = done) -> None:
            if 10 * count // total > done[0]:
                done[0] = 10 * count // total
                notify(f"landscape of {name}: {count} of {total} points")

        surfaces.append(
            loss_surface(
                model.network,
                seen_by(images, subject.model.preprocess, model.preprocess),
                subject.sample.labels[:_IMAGES],
                points=points,
                seed=subject.seed,
                time_limit_s=time_limit_s,
                progress=told,
            )
        )
    figures = [_figure(surfaces, list(models))]
    if against is not None:
        figures += _path(list(models.values()), list(models), subject.sample, notify)
    return Section("landscape", TITLE, "", figures)


def _comparable(first: Artifact, second: Artifact) -> bool:
    """Say whether two models sort the same pixels into the same classes.

    Mean and standard deviation may differ: they are measured on the training images of each run.
    """
    mean, std = first.preprocess.mean, first.preprocess.std
    return (
        first.classes == second.classes
        and first.preprocess.in_chans == second.preprocess.in_chans
        and first.preprocess == dataclasses.replace(second.preprocess, mean=mean, std=std)
    )


def _path(
    models: Sequence[Artifact], names: Sequence[str], sample: Sample, notify: Callable[[str], None]
) -> list[Figure]:
    """Walk the straight line between two runs of one specification; nothing between others."""
    first, second = (model.network for model in models)
    if not on_one_line(first.spec, second.spec):
        return []
    notify("straight line between the two")
    images, labels = sample.images[:_IMAGES], sample.labels[:_IMAGES]
    recomputed = linear_path(first, second, images, labels, statistics="recomputed")
    kept = linear_path(first, second, images, labels, statistics="interpolated")
    series = [
        _losses(kept, "their statistics mixed as well", "dashed", 1),
        _losses(recomputed, "batch norms recomputed", "bold", 0),
    ]
    barrier = recomputed.barrier
    height = "" if barrier is None else f" Here it is {wording.number(barrier)} high."
    return [
        Figure(
            name="linear-path",
            title="The straight line between the two networks",
            caption=(
                f"Loss over {recomputed.num_images} images on the way from {names[0]} (0) to "
                f"{names[1]} (1). Runs from different seeds end in valleys of their own, with a "
                f"barrier between.{height}{_normalised(models, names)}"
            ),
            body=Plot(
                title="Loss", x_label="share of the second network’s weights", series=series,
                kind=axis_kind(series),
            ),
            source="Goodfellow et al. 2015, section 3; Frankle et al. 2020, section 2",
            data={"recomputed": recomputed.to_json(), "interpolated": kept.to_json()},
        )
    ]  # fmt: skip


def _normalised(models: Sequence[Artifact], names: Sequence[str]) -> str:
    first, second = (model.preprocess for model in models)
    if first == second and first.mean_image is None and second.mean_image is None:
        return ""
    return f" All of the way the images are normalised as {names[0]} takes them."


def _losses(path: LinearPath, label: str, style: Style, color: int) -> Series:
    losses = [math.nan if point.loss is None else point.loss for point in path.points]
    alphas = [point.alpha for point in path.points]
    return Series(label=label, x=alphas, y=losses, style=style, color=color)


def _figure(surfaces: list[Surface], names: list[str]) -> Figure:
    grids = [
        np.array([[np.nan if v is None else v for v in row] for row in one.loss])
        for one in surfaces
    ]
    axis, cut = surfaces[0].axis, ""
    if not all(one.complete for one in surfaces):
        inner = measured_square(grids)
        grids, axis = [grid[inner, inner] for grid in grids], axis[inner]
        cut = " The time was too short for points farther out."
    extent = axis[-1]
    return Figure(
        name="loss-surface",
        title="The loss around the trained weights",
        caption=(
            "Two random directions, scaled filter by filter to the weights’ own norms, through "
            f"the trained network in the middle; loss over {surfaces[0].num_images} images on a "
            f"logarithmic scale.{' Both are drawn to one scale.' if len(surfaces) > 1 else ''} "
            f"Shortcuts keep it smooth where deep plain networks turn chaotic.{cut}"
        ),
        body=CustomSvg(surface_figure(grids, names, extent=extent), wide=len(surfaces) > 1),
        source="Li et al. 2018, section 4 and figure 1",
        data={name: one.to_json() for name, one in zip(names, surfaces, strict=True)},
    )


def measured_square(grids: Sequence[Floats]) -> slice:
    """Return the rows (and columns) of the largest square around the centre without a gap.

    At least three points a side are kept, gaps or not.
    """
    centre = len(grids[0]) // 2
    reach = 1
    while reach < centre:
        wider = slice(centre - reach - 1, centre + reach + 2)
        if not all(np.isfinite(grid[wider, wider]).all() for grid in grids):
            break
        reach += 1
    return slice(centre - reach, centre + reach + 1)
