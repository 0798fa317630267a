"""Single units: the images they respond to most, and what in them they respond to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from reslab.analyze.deconvolution import Rule, project
from reslab.analyze.maximal import Maximal, maximal_images
from reslab.charts.figure import Block, Card, Figure, Gallery
from reslab.data.arrays import Pixels
from reslab.look.model_and_images import ModelAndImages
from reslab.look.pictures import around_gray, cut, enlarged, pixels_of

TOP = 9
UNITS = 4
MOST_MODULES = 5
_TILE = 72
_LEAST_CUT = 5
_FULL = 0.98  # brighter values are few: the shortcuts lead straight to one place


WORDS: dict[Rule, str] = {"deconvolution": "deconvolution", "guided": "guided backpropagation"}
_EXPLAINED: dict[Rule, str] = {
    "deconvolution": (
        " Beside them, the response sent back to the pixels through transposed filters, max-pool "
        "switches and rectifiers; a batch norm goes back as its scale, a shortcut as both of its "
        "paths. Grey is zero."
    ),
    "guided": (
        " Beside them, the response sent back to the pixels. Without max pools a deconvolution "
        "knows nothing of the image (there are no switches), so that the signal passes only "
        "rectifiers that were active too; a shortcut sends it back by both of its paths. Grey is "
        "zero."
    ),
}
_SOURCES: dict[Rule, str] = {
    "deconvolution": "Zeiler and Fergus 2013, section 2.1 and figure 2",
    "guided": "Zeiler and Fergus 2013, figure 2; Springenberg et al. 2014, section 3.4",
}


def rule_for(network: nn.Module) -> Rule:
    """Choose ZFNet's deconvolution where max pools hold switches, else the guided form."""
    pools = any(isinstance(module, nn.MaxPool2d) for module in network.modules())
    return "deconvolution" if pools else "guided"


def units_figures(subject: ModelAndImages) -> tuple[list[Figure], list[str]]:
    """Draw the strongest images of some units of every stage, with their deconvolutions.

    Returns:
        The figures, and a sentence on each stage that is left out: no unit of it responds.
    """
    assert subject.sample is not None
    network = subject.model.network
    modules = network.feature_info.module_name()[-MOST_MODULES:]
    found = maximal_images(network, subject.sample.images, modules, top=TOP)
    generator = np.random.default_rng(subject.seed)
    alive = [one for one in found if _alive(one).any()]
    silent = [
        f"What units of {_place(one.module)} respond to is left out: none of them responds to "
        f"any of {len(subject.sample):,} images."
        for one in found
        if not _alive(one).any()
    ]
    return [_figure(subject, one, generator, first=one is alive[0]) for one in alive], silent


def _alive(found: Maximal) -> npt.NDArray[np.bool_]:
    """Say of each unit whether it responds to any image."""
    responds: npt.NDArray[np.bool_] = found.values[:, 0].numpy() > 0
    return responds


def _place(module: str) -> str:
    name = module.removeprefix("stages.")
    return "the stem" if name == "stem" else name


def _figure(
    subject: ModelAndImages, found: Maximal, generator: np.random.Generator, *, first: bool
) -> Figure:
    assert subject.sample is not None
    alive = np.flatnonzero(_alive(found))
    units = np.sort(generator.choice(alive, min(UNITS, len(alive)), replace=False)).tolist()
    rule = rule_for(subject.model.network)
    cards, rows = [], []
    for unit in units:
        numbers = found.images[unit]
        images = subject.sample.images[numbers]
        back = project(
            subject.model.network,
            images,
            torch.full((len(images),), unit),
            module=found.module,
            rule=rule,
        )
        patches, projections = _patches(pixels_of(images, subject.model.preprocess), back)
        cards.append(
            Card(
                [
                    Block("image patch", patches, 3, f"strongest patches of unit {unit}"),
                    Block(WORDS[rule], projections, 3, f"what unit {unit} responds to"),
                ],
                label=f"unit {unit}",
            )
        )
        rows.append(
            {
                "unit": unit,
                "images": subject.sample.numbers[numbers.numpy()].tolist(),
                "values": [round(float(v), 5) for v in found.values[unit]],
                "places": found.places[unit].tolist(),
            }
        )
    name = found.module.removeprefix("stages.")
    count, of = len(subject.sample), len(found.values)
    explained = (
        f"The {TOP} strongest responses of {len(units)} of its {of} units, drawn by chance, among "
        f"{count:,} images ({subject.sample.split}), cut to what the unit can see."
    )
    if first:
        explained += _EXPLAINED[rule]
    return Figure(
        name=f"units-{name}",
        title=f"What units of {_place(found.module)} respond to",
        caption=explained,
        body=Gallery(cards, width=470),
        source=_SOURCES[rule] if first else "",
        data={"module": found.module, "rule": rule, "units": rows, "units_in_all": of},
    )


def _patches(pictures: list[Pixels], back: torch.Tensor) -> tuple[list[Pixels], list[Pixels]]:
    """Cut pictures and projections to squares around what came back, of one size a unit."""
    boxes = [_box(one) for one in back]
    side = max(_LEAST_CUT, *(max(bottom - top, right - left) for top, bottom, left, right in boxes))
    patches, projections = [], []
    for pixels, one, (top, bottom, left, right) in zip(pictures, back, boxes, strict=True):
        corner = ((top + bottom - side) // 2, (left + right - side) // 2)
        patches.append(enlarged(cut(pixels, *corner, side), _TILE))
        projections.append(enlarged(cut(around_gray(one, _FULL), *corner, side), _TILE))
    return patches, projections


def _box(back: torch.Tensor) -> tuple[int, int, int, int]:
    """Return the first and last (exclusive) row and column where anything came back."""
    there = back.abs().amax(dim=0) > 0
    rows, columns = there.any(dim=1).nonzero()[:, 0], there.any(dim=0).nonzero()[:, 0]
    if not len(rows):
        return 0, back.shape[1], 0, back.shape[2]
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
