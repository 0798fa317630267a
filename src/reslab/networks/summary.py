"""A network as a few lines of text, and as a card for notebooks."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from reslab import networks
from reslab.display import card, short, wording
from reslab.errors import ReslabError
from reslab.networks.network import build

if TYPE_CHECKING:
    from reslab.networks import NetworkSpec
    from reslab.networks.network import Network


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of a network: the stem, a stage or the head.

    Args:
        name: what it is called.
        blocks: how many it is made of; 0 for the stem and the head.
        params: its trainable values.
    """

    name: str
    blocks: int
    params: int


def parts_of(network: Network) -> list[Part]:
    """Return stem, stages and head, in the order they run."""
    stages = [
        Part(name, sum(1 for block in stage.children() if _params(block)), _params(stage))
        for name, stage in network.stages.named_children()
    ]
    return [
        Part("stem", 0, _params(network.stem)),
        *stages,
        Part("head", 0, _params(network.head)),
    ]


def network_text(network: Network) -> str:
    """Return what a network is in three lines."""
    spec = network.spec
    image = f"{spec.in_chans}x{spec.img_size}x{spec.img_size}"
    stages = ", ".join(f"{part.name} {part.blocks}" for part in parts_of(network) if part.blocks)
    return "\n".join(
        [
            f"{spec.name}: {_params(network):,} parameters, images of {image}, "
            f"{wording.plural(spec.num_classes, 'class', 'classes')}",
            short.lines(f"blocks: {stages}"),
            "(torch.nn.Module.__repr__(network) has every layer)",
        ]
    )


def network_card(network: Network) -> str:
    """Return name, cost and a table of the parts of a network, as HTML."""
    spec, params = network.spec, _params(network)
    macs, shapes = measured(spec)
    total = sum(macs.values())
    rows = [
        [
            card.text(part.name),
            str(part.blocks or ""),
            card.text(shapes.get(part.name, "")),
            f"{part.params:,}",
            card.bar(part.params / max(params, 1), width=70),
            card.text(wording.large(macs.get(part.name, 0))),
            card.bar(macs.get(part.name, 0) / max(total, 1), width=70, color=card.WRONG),
        ]
        for part in parts_of(network)
    ]
    columns = [
        ("part", "left"), ("blocks", "right"), ("output", "left"), ("parameters", "right"),
        ("", "left"), ("multiply-adds", "right"), ("", "left"),
    ]  # fmt: skip
    return card.card(
        card.title(spec.name, _summary(spec.name)),
        card.facts(
            f"{wording.large(params)} parameters",
            f"{wording.large(total)} multiply-adds an image" if total else "",
            f"images of {spec.in_chans} × {spec.img_size} × {spec.img_size}",
            wording.plural(spec.num_classes, "class", "classes"),
        ),
        card.table(columns, rows, margin="12px 0 0"),
    )


def measured(spec: NetworkSpec) -> tuple[dict[str, int], dict[str, str]]:
    """Return the multiply-adds and the output's shape of each part, for one image.

    Measured as `reslab.networks.cost` does: the network runs once without values. Both are empty
    for a network that cannot be run at its own size.
    """
    shapes: dict[str, str] = {}
    try:
        with torch.device("meta"):
            network = build(spec).eval()
            image = torch.empty(1, spec.in_chans, spec.img_size, spec.img_size)
        parts: dict[str, nn.Module] = {
            "stem": network.stem,
            **dict(network.stages.named_children()),
            "head": network.head,
        }
        with torch.no_grad(), _shapes(parts, shapes), FlopCounterMode(display=False) as counter:
            network(image)
    except (ReslabError, RuntimeError):
        return {}, {}
    # torch counts a multiply-add as two operations.
    counts = {name: sum(c.values()) // 2 for name, c in counter.get_flop_counts().items()}
    above = type(network).__name__
    places = {"stem": f"{above}.stem", "head": f"{above}.head"}
    places |= {name: f"{above}.stages.{name}" for name in parts if name not in places}
    return {name: counts.get(place, 0) for name, place in places.items()}, shapes


@contextlib.contextmanager
def _shapes(parts: dict[str, nn.Module], shapes: dict[str, str]) -> Iterator[None]:
    """Note the shape of what each part puts out."""

    def note(name: str, _module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        shapes[name] = " × ".join(map(str, output.shape[1:]))

    hooks = [
        part.register_forward_hook(functools.partial(note, name)) for name, part in parts.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _params(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def _summary(name: str) -> str:
    return networks.info(name).summary if name in networks.list_models(name) else ""
