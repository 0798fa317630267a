"""Look inside a trained network: measure, draw, write the page."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reslab import __version__, durable
from reslab.charts.figure import Section
from reslab.charts.files import finite, write_figures
from reslab.display import wording
from reslab.display.short import short_repr
from reslab.display.wording import SPLIT_WORDS
from reslab.errors import unknown
from reslab.look.ablation import ablation
from reslab.look.attribution import attribution
from reslab.look.costs import costs
from reslab.look.loss_landscape import loss_landscape
from reslab.look.model_and_images import ModelAndImages, open_model_and_images
from reslab.look.signals import signals
from reslab.pages.standalone import Fact, standalone

SECTIONS = ("attribution", "signal", "ablation", "cost", "landscape")
DEFAULT = SECTIONS[:-1]
# What two of them were called before; `only` takes both, and their numbers keep the old keys.
ALIASES = {"sees": "attribution", "lesions": "ablation"}
FILE_NAME = "look.html"
IMAGES, COUNT = 6, 1000
Notify = Callable[[str], None]


@dataclasses.dataclass(frozen=True, eq=False)
class Look:
    """What was seen.

    Args:
        page: the offline page.
        sections: its parts, with figures and numbers.
        files: the figures as files of their own; empty without a folder to put them.
    """

    page: Path
    sections: Sequence[Section]
    files: Sequence[Path]

    __repr__ = short_repr

    def to_json(self) -> dict[str, Any]:
        """Return all numbers by section and figure."""
        keys = {name: key for key, name in ALIASES.items()}
        found = {}
        for section in self.sections:
            figures = {figure.name: figure.data for figure in section.figures if figure.data}
            missing = {"missing": list(section.missing)} if section.missing else {}
            found[keys.get(section.name, section.name)] = {**figures, **missing}
        plain: dict[str, Any] = finite(found)
        return plain


def look_inside(
    model: Path | str,
    data: str | None = None,
    *,
    only: Sequence[str] = DEFAULT,
    landscape: bool = False,
    against: str | None = None,
    time_limit_s: float | None = None,
    images: int = IMAGES,
    count: int = COUNT,
    seed: int = 0,
    out: Path | str | None = None,
    notify: Notify | None = None,
) -> Look:
    """Measure and draw what a trained network costs, does and sees; write `look.html`.

    Args:
        model: a run, or a model folder; the network stays as it is.
        data: the images; None for those it was trained on, if they are still there. Without
            images, what needs them is left out and the page says so.
        only: which of the SECTIONS; "sees" is attribution, "lesions" ablation.
        landscape: the loss surface too, which takes minutes.
        against: another model, whose loss surface is drawn beside.
        time_limit_s: seconds for each loss surface; None for no limit.
        images: how many are drawn one by one.
        count: how many are measured, drawn by `seed` from the test (else validation) split.
        seed: of every draw.
        out: folder for the page and for each figure as PNG or SVG with CSV and JSON; None for the
            page alone, in the run's folder or, for other models, here.
        notify: told in a few words what is being done.

    Raises:
        UsageError: no section of that name.
        CheckpointError: the path leads to no model.
        DataError: the data that were named cannot be read.
    """
    only = tuple(ALIASES.get(name, name) for name in only)
    for name in only:
        if name not in SECTIONS:
            raise unknown("section", name, SECTIONS)
    wanted = [name for name in SECTIONS if name in only]
    if (landscape or against is not None) and "landscape" not in wanted:
        wanted.append("landscape")
    told = notify or (lambda _text: None)
    subject = open_model_and_images(model, data, count=count, images=images, seed=seed)
    makers: dict[str, Callable[[], Section]] = {
        "attribution": lambda: attribution(subject, told),
        "signal": lambda: signals(subject, told),
        "ablation": lambda: ablation(subject, told),
        "cost": lambda: costs(subject),
        "landscape": lambda: loss_landscape(
            subject, told, against=against, time_limit_s=time_limit_s
        ),
    }
    sections = [makers[name]() for name in wanted]
    again = ["reslab", "look", os.fspath(model), *([data] if data else [])]
    again += _flags(
        {
            "--only": None if tuple(only) == DEFAULT else ",".join(only),
            "--compare-to": against,
            "--time": None if time_limit_s is None else f"{time_limit_s:.12g}s",
            "--images": None if images == IMAGES else images,
            "--count": None if count == COUNT else count,
            "--seed": seed or None,
            "--out": out,
        }
    )
    again += ["--landscape"] if landscape else []
    text = _page(subject, sections, shlex.join(again))
    page = (Path(out) if out is not None else subject.run or Path()) / FILE_NAME
    durable.write_file(page, text.encode("utf-8", "surrogateescape"))
    figures = [figure for section in sections for figure in section.figures]
    return Look(page, sections, write_figures(figures, Path(out)) if out is not None else [])


def _page(subject: ModelAndImages, sections: Sequence[Section], command: str) -> str:
    return standalone(
        "look.html",
        network=subject.model.network.spec.name,
        data=subject.sample.data if subject.sample is not None else "",
        missing=subject.missing,
        sections=sections,
        facts=_facts(subject),
        command=command,
        version=__version__,
    )


def _flags(values: Mapping[str, Any]) -> list[str]:
    """Write flags as words, those without a value left out."""
    given = ((flag, value) for flag, value in values.items() if value is not None)
    return [word for flag, value in given for word in (flag, str(value))]


def _facts(subject: ModelAndImages) -> list[Fact]:
    network, sample = subject.model.network, subject.sample
    params = sum(p.numel() for p in network.parameters())
    side = network.spec.img_size
    facts = [
        Fact("Parameters", wording.large(params)),
        Fact("Classes", wording.number(len(subject.model.classes))),
        Fact("Input", f"{side}×{side}", "grey" if network.spec.in_chans == 1 else "colour"),
    ]
    if sample is not None:
        facts.append(
            Fact("Images", f"{len(sample):,}", SPLIT_WORDS.get(sample.split, sample.split))
        )
    measured = subject.model.metrics.get("test")
    if isinstance(measured, dict) and isinstance(measured.get("accuracy_pct"), float):
        facts.append(Fact("Test accuracy", f"{measured['accuracy_pct']:.2f}%"))
    return facts
