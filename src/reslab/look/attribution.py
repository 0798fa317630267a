"""The section "Attribution": where it looks, filters, maps, units and the space of images."""

from __future__ import annotations

from collections.abc import Callable

import torch

from reslab.analyze.feature_images import stage_maps
from reslab.analyze.filters import as_pictures, first_filters
from reslab.analyze.grad_cam import grad_cam
from reslab.analyze.occlusion import occlusion
from reslab.charts.colormap import colored, heated, marked
from reslab.charts.figure import Block, Card, Figure, Gallery, Section
from reslab.display import wording
from reslab.evaluate.run import evaluation_mode
from reslab.look.model_and_images import ModelAndImages
from reslab.look.pictures import around_gray, enlarged, smooth, unit_range
from reslab.look.space import space_figures
from reslab.look.units import units_figures

Notify = Callable[[str], None]
TITLE = "What it sees"
PICTURE = 176
MOST_FILTERS = 96
_OCCLUSION_CELLS = 14
_FLOOR = 0.05


def attribution(subject: ModelAndImages, notify: Notify) -> Section:
    """Draw what can be drawn: everything with images, the filters without."""
    if subject.sample is None:
        return Section("attribution", TITLE, "", [_filters(subject)], [subject.missing])
    notify("attention: Grad-CAM and occlusion")
    attention = _attention(subject)
    notify("images as a map")
    space = space_figures(subject)
    notify("filters and feature maps")
    early = [_filters(subject), _maps(subject)]
    notify("the strongest images of single units")
    units, silent = units_figures(subject)
    return Section("attribution", TITLE, "", [attention, *space, *early, *units], silent)


def _filters(subject: ModelAndImages) -> Figure:
    found = first_filters(subject.model.network)
    count, chans, height, width = found.weights.shape
    pictures = as_pictures(found.weights[:MOST_FILTERS])
    tiles = [enlarged(around_gray(2 * one - 1), max(48, 4 * width)) for one in pictures]
    left_out = f" The first {MOST_FILTERS} of {count}." if count > MOST_FILTERS else ""
    block = Block("", tiles, 16 if count > 32 else 8, f"{len(tiles)} filters of {found.module}")
    return Figure(
        name="filters",
        title="The first layer’s filters",
        caption=(
            f"The {height}×{width} weights that meet the image first; middle grey is zero and "
            "every filter has its own scale. Trained filters show edges, bars and blobs of "
            f"colour; noise means that a filter has not learned anything yet.{left_out}"
        ),
        body=Gallery([Card([block])], width=430),
        source="Krizhevsky et al. 2012, figure 3; Zeiler and Fergus 2013, section 4.1",
        data={
            "module": found.module,
            "shape": list(found.weights.shape),
            "largest": [round(float(v), 6) for v in found.weights.abs().amax(dim=(1, 2, 3))],
            "in_chans": chans,
        },
    )


def _attention(subject: ModelAndImages) -> Figure:
    network, classes, sample = subject.model.network, subject.model.classes, subject.sample
    assert sample is not None
    images, pictures = subject.images, subject.pictures()
    with evaluation_mode(network), torch.inference_mode():
        chances = (network(images).double() / subject.model.temperature).softmax(1)
    said = chances.argmax(dim=1).clone()
    maps = grad_cam(network, images, said)
    side = images.shape[-1]
    cell = max(1, round(side / _OCCLUSION_CELLS))
    patch = max(3, round(side / 5))
    covered = occlusion(
        network,
        images,
        said,
        patch=patch,
        cell=cell,
        temperature=subject.model.temperature,
        batch_size=64,
    )
    cards, rows = [], []
    for i, pixels in enumerate(pictures):
        label = int(sample.labels[subject.shown[i]])
        picture = enlarged(pixels, PICTURE)
        heat = smooth(maps[i] / maps[i].max().clamp(min=1e-12), PICTURE)
        drop = covered.drop[i]
        cost = smooth(drop / drop.abs().max().clamp(min=_FLOOR), PICTURE)
        guess = classes[int(said[i])]
        percent = wording.percent(100 * float(chances[i, said[i]]))
        right = int(said[i]) == label
        cards.append(
            Card(
                [
                    Block("image", [picture], 1, classes[label]),
                    Block("Grad-CAM", [heated(picture, heat)], 1, f"evidence for {guess}"),
                    Block("occlusion", [marked(picture, cost)], 1, f"cost of covering {guess}"),
                ],
                label=f"{guess} {percent}%",
                note="" if right else f"is {classes[label]}",
            )
        )
        rows.append(
            {
                "image": int(sample.numbers[subject.shown[i]]),
                "true": classes[label],
                "said": guess,
                "probability": round(float(chances[i, said[i]]), 6),
                "grad_cam": [[round(float(v), 5) for v in row] for row in maps[i]],
                "probability_covered": [
                    [round(float(v), 5) for v in row] for row in covered.covered[i]
                ],
            }
        )
    return Figure(
        name="attention",
        title="Where it looks",
        caption=(
            "Grad-CAM: bright where the last feature maps speak for the class that the network "
            f"named. Occlusion: a {patch}×{patch} square of the mean colour is moved over the "
            "image; orange where covering lowers the probability of that class, blue where it "
            "raises it, each image on its own scale."
        ),
        body=Gallery(cards, width=400),
        source="Selvaraju et al. 2017, equations 1 and 2; Zeiler and Fergus 2013, figure 7",
        data={"patch": patch, "cell": cell, "images": rows},
    )


def _maps(subject: ModelAndImages, images: int = 3, channels: int = 6) -> Figure:
    found = stage_maps(subject.model.network, subject.images[:images], channels)
    pictures = subject.pictures()[:images]
    cards = []
    for i, pixels in enumerate(pictures):
        blocks = [Block("image", [enlarged(pixels, PICTURE)], 1, "the image")]
        for stage in found:
            tiles = [enlarged(colored(unit_range(one)), 88) for one in stage.maps[i]]
            name = stage.module.removeprefix("stages.")
            size = f"{stage.maps.shape[2]}×{stage.maps.shape[3]}"
            blocks.append(Block(f"{name}, {size}", tiles, 2, f"maps of {name}"))
        cards.append(Card(blocks))
    return Figure(
        name="feature-maps",
        title="Feature maps, stage by stage",
        caption=(
            f"The {channels} channels of each stage that vary most over these images, each "
            "from its least (dark) to its greatest value (bright). Early maps still are the "
            "picture; late ones are coarse and say where, not what it looks like."
        ),
        body=Gallery(cards, width=1100),
        source="Zeiler and Fergus 2013, section 4",
        data={stage.module: {"channels": stage.channels.tolist()} for stage in found},
    )
