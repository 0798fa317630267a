"""What "auto" stands for: the network, its input and the recipe, each with a reason."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from reslab import models, networks
from reslab.data.check import find_used_bits
from reslab.data.dataset import Dataset, FileImages
from reslab.data.decode import FULL_BIT_DEPTH, read_header
from reslab.errors import UsageError
from reslab.networks.network import build
from reslab.networks.resnet import ResNetSpec
from reslab.networks.whitened import WhitenedSpec
from reslab.training.config import Choice, Request
from reslab.training.recipe import Recipe, override
from reslab.training.recipes import MANY_IMAGES, RECIPES, Situation
from reslab.training.recipes import choose as choose_recipe

SAMPLED_IMAGES = 64
CIFAR_LIKE = 48
LEAST_WHITENED = 12
SMALL_PHOTOGRAPH = 128
MOST_EPOCHS_IN_TIME = 200


@dataclasses.dataclass(frozen=True)
class Look:
    """What a few images of a data set look like.

    Args:
        width: median width, pixels.
        height: median height, pixels.
        grey: whether all of them are grey.
        one_size: whether all of them have the same size.
    """

    width: int
    height: int
    grey: bool
    one_size: bool

    @property
    def side(self) -> int:
        """Return the median of the shorter side."""
        return min(self.width, self.height)


def look_at(dataset: Dataset) -> Look:
    """Look at the sizes and modes of up to 64 training images, spread evenly."""
    train = dataset.split("train")
    chosen = train[np.linspace(0, len(train) - 1, min(len(train), SAMPLED_IMAGES)).astype(int)]
    sizes, modes = [], []
    for index in chosen.tolist():
        if isinstance(dataset.images, FileImages):
            header = read_header(dataset.images.name(index))
            sizes.append((header.width, header.height))
            modes.append(header.mode)
        else:
            pixels = dataset.images.read(index)
            sizes.append((pixels.shape[1], pixels.shape[0]))
            modes.append("L" if pixels.ndim == 2 else "RGB")
    width, height = (int(np.median([size[axis] for size in sizes])) for axis in (0, 1))
    grey = all(mode in ("L", "1", "I;16", "LA") for mode in modes)
    return Look(width, height, grey, len(set(sizes)) == 1)


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A network and a recipe for a data set.

    Args:
        spec: the network, for this number of classes and channels.
        recipe: the numbers.
        choices: what was chosen for the user, with reasons.
    """

    spec: networks.NetworkSpec
    recipe: Recipe
    choices: tuple[Choice, ...]


def choose(request: Request, dataset: Dataset, start: networks.NetworkSpec | None) -> Chosen:
    """Resolve every "auto" of a request.

    Args:
        request: what the user asks for.
        dataset: with its splits complete.
        start: the specification of the network to start from, or None.
    """
    look = look_at(dataset)
    choices: list[Choice] = []
    num_train = len(dataset.split("train"))
    named_size = int(request.overrides.get("img_size", 0))
    img_size = named_size or (start.img_size if start else _input_size(look, num_train, choices))
    if start is not None:
        _refuse_other_network(request, start)
        spec: networks.NetworkSpec = start
    else:
        spec = _network(request, look, img_size, choices)
    in_chans = spec.in_chans if start is not None else (1 if look.grey else 3)
    spec = dataclasses.replace(
        spec, num_classes=len(dataset.classes), in_chans=in_chans, img_size=img_size
    )
    situation = Situation(
        num_train=num_train,
        img_size=img_size,
        num_classes=len(dataset.classes),
        depth=_depth(spec),
        batch_norm=spec.has_batch_norm,
        whitened=isinstance(spec, WhitenedSpec),
        pretrained=start is not None,
        deepened=request.deepen_from is not None,
    )
    name = request.recipe
    if name == "auto":
        name, why = choose_recipe(situation)
        choices.append(Choice("recipe", name, why))
    recipe = _fitting(RECIPES[name](situation), spec)
    changes = {"img_size": img_size, **request.overrides}
    if "epochs" in request.overrides and "steps" not in request.overrides:
        changes["steps"] = 0
    elif request.time_s is not None and "steps" not in request.overrides:
        # The time sets the length; the schedule is stretched or shrunk to it.
        changes |= {"steps": 0, "epochs": float(MOST_EPOCHS_IN_TIME)}
    recipe = override(recipe, changes)
    if recipe.bit_depth == 0:
        recipe = override(recipe, {"bit_depth": _bit_depth(dataset, choices)})
    if recipe.dropout is not None:
        spec = dataclasses.replace(spec, dropout=recipe.dropout)
    length = f"{recipe.steps} steps" if recipe.steps else f"{recipe.epochs:g} epochs"
    if request.time_s is not None:
        length = f"what fits into {request.time_s:g} s, at most {length}"
    choices.append(Choice("length", length, f"recipe {recipe.name}"))
    return Chosen(spec, recipe, tuple(choices))


def _bit_depth(dataset: Dataset, choices: list[Choice]) -> int:
    """Find what is white in 16-bit images; 0 where there are none."""
    used = find_used_bits(dataset)
    if used is None:
        return 0
    white = f"{(1 << used.bit_depth) - 1:,}"
    looked_at = f"in {used.images:,} 16-bit image{'s' if used.images != 1 else ''}"
    if used.is_coarse:
        why = (
            f"values reach {white} {looked_at}, but 999 of 1,000 pixels need {used.typical} bits: "
            f"they are dark; consider --bit-depth {used.typical}"
        )
        choices.append(Choice("bit-depth", str(used.bit_depth), why))
    elif used.bit_depth < FULL_BIT_DEPTH:
        why = f"no value above {white} {looked_at}: that is white, brighter ones are clipped"
        choices.append(Choice("bit-depth", str(used.bit_depth), why))
    return used.bit_depth


def _fitting(recipe: Recipe, spec: networks.NetworkSpec) -> Recipe:
    """Leave out the early part of a recipe where its images are too small for the network."""
    if recipe.progressive_share > 0:
        with torch.device("meta"):
            least = build(spec).min_size
        if recipe.progressive_size < least:
            return override(recipe, {"progressive_size": 0, "progressive_share": 0.0})
    return recipe


def _refuse_other_network(request: Request, start: networks.NetworkSpec) -> None:
    """A trained model brings its network: asking for another one contradicts it."""
    if request.model not in ("auto", start.name):
        raise UsageError(
            f"the model to start from is a {start.name}, not a {request.model}",
            remedy="leave --model out",
        )
    if request.stem is not None:
        raise UsageError(
            f"the model to start from has its own stem, not '{request.stem}'",
            remedy="leave --stem out",
        )


def _input_size(look: Look, num_train: int, choices: list[Choice]) -> int:
    shape = f"{look.width}x{look.height}"
    if look.side <= 64:
        size, why = look.side, f"the images' own size ({shape})"
    elif num_train >= MANY_IMAGES and look.side >= 224:
        size, why = 224, f"{num_train:,} images of {shape}: ImageNet's size"
    elif look.side < SMALL_PHOTOGRAPH:
        size, why = 64, f"the images are {shape}; at 64 px the time buys twice the epochs"
    else:
        size, why = 128, f"the images are {shape}; a third of the work of 224 px"
    choices.append(Choice("img-size", str(size), why))
    return size


def _network(
    request: Request, look: Look, img_size: int, choices: list[Choice]
) -> networks.NetworkSpec:
    if request.spec is not None:
        return request.spec
    if request.model != "auto":
        name = request.model
    else:
        if request.recipe == "fast" and LEAST_WHITENED <= img_size <= CIFAR_LIKE:
            name, why = "airbench94_relu", "learns small images in the least time"
        elif img_size <= CIFAR_LIKE:
            name, why = "resnet20", "made for images of 32 px, fast on any machine"
        elif img_size < SMALL_PHOTOGRAPH:
            name, why = "resnet18_half", "made for small photographs, quick from scratch"
        else:
            name, why = "resnet18", "the smallest ImageNet residual network"
        choices.append(Choice("model", name, why))
    return models.named_spec(name, stem=request.stem)


def _depth(spec: networks.NetworkSpec) -> int:
    """Count layers with weights as the papers do: projections are not counted."""
    if not isinstance(spec, ResNetSpec):
        return 0
    per_block = 2 if spec.branch == "basic" else 3
    return 2 + per_block * sum(stage.depth for stage in spec.stages)
