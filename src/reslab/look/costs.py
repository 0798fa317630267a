"""The section "Cost": where parameters and multiply-adds sit, and what each layer can see."""

from __future__ import annotations

import math
from collections.abc import Sequence

from reslab.analyze.layers import layer_costs
from reslab.charts.bars import Bars
from reslab.charts.figure import Figure, Section
from reslab.charts.plot import Plot, Series
from reslab.charts.table import Table
from reslab.display import wording
from reslab.look.model_and_images import ModelAndImages
from reslab.networks.cost import Layer, measure, with_norms_folded

_ROWS = 8
_TIMED, _REPEATS = 16, 3


def costs(subject: ModelAndImages) -> Section:
    """Measure the built network, layer by layer."""
    cost = measure(subject.model.network.spec)
    layers = with_norms_folded(cost.layers)
    weighted = [layer for layer in layers if layer.params or layer.macs]
    heaviest = max(weighted, key=lambda layer: layer.params)
    share = 100 * heaviest.params / max(1, cost.params)
    lead = (
        f"{wording.large(cost.params).capitalize()} parameters and {wording.large(cost.macs)} "
        f"multiply-adds an image. The heaviest layer, {heaviest.name} ({heaviest.kind}), holds "
        f"{share:.0f}% of the parameters."
    )
    figures = [
        _bars("parameters", "Parameters", weighted, [layer.params for layer in weighted]),
        _bars("multiply-adds", "Multiply-adds", weighted, [layer.macs for layer in weighted]),
        *_measured(subject),
        _fields(layers, cost.spec.img_size),
        _table(weighted, cost.params, cost.macs),
    ]
    return Section("cost", "Cost", lead, figures)


def stage_of(name: str) -> str:
    """Name the part of the network that a module belongs to."""
    parts = name.split(".")
    return parts[1] if parts[0] == "stages" and len(parts) > 1 else parts[0]


def stage_colors(groups: Sequence[str]) -> list[int]:
    """Let neighbouring parts alternate between the page's first and third colour."""
    order = list(dict.fromkeys(groups))
    return [(0, 2)[order.index(group) % 2] for group in groups]


def _bars(name: str, title: str, layers: Sequence[Layer], counts: Sequence[int]) -> Figure:
    total = max(1, sum(counts))
    groups = [stage_of(layer.name) for layer in layers]
    what = "weights sit" if name == "parameters" else "work is done"
    bars = Bars(
        title=f"{title} by layer, % of all",
        names=[f"{layer.name} ({layer.kind})" for layer in layers],
        values=[100 * count / total for count in counts],
        groups=groups,
        colors=stage_colors(groups),
    )
    return Figure(
        name=name,
        title=bars.title,
        caption=f"Every layer with weights, from the image to the logits: where the {what}.",
        body=bars,
        data={"layers": [layer.name for layer in layers], "counts": list(counts)},
    )


def _measured(subject: ModelAndImages) -> list[Figure]:
    """Time every module on a few images, and see how much memory its output takes."""
    images = None if subject.sample is None else subject.sample.images[:_TIMED]
    found = layer_costs(subject.model.network, images, repeats=_REPEATS)
    groups = [stage_of(layer.name) for layer in found.layers]
    names = [f"{layer.name} ({layer.kind})" for layer in found.layers]

    def figure(name: str, title: str, caption: str, values: Sequence[float]) -> Figure:
        bars = Bars(
            title=title, names=names, values=values, groups=groups, colors=stage_colors(groups)
        )
        body = bars
        data = {"layers": [layer.name for layer in found.layers], "values": list(values)}
        return Figure(name=name, title=title, caption=caption, body=body, data=data)

    figures = [
        figure(
            "activations",
            "Activations by layer, KiB an image",
            f"What each module puts out, in float32: {found.activation_bytes / 1024:,.0f} KiB in "
            "all, which training keeps for the backward pass.",
            [layer.activation_bytes / 1024 for layer in found.layers],
        )
    ]
    if found.time_s is not None:
        figures.append(
            figure(
                "time",
                "Time by layer, ms",
                f"Median of {_REPEATS} forward passes of {found.batch_size} images on this "
                f"machine as it is now; {1000 * found.time_s:,.1f} ms for the whole network.",
                [1000 * (layer.time_s or 0.0) for layer in found.layers],
            )
        )
    return figures


def _fields(layers: Sequence[Layer], side: int) -> Figure:
    convolutions = [layer for layer in layers if layer.kind.startswith("conv")]
    sizes = [layer.receptive_field or math.nan for layer in convolutions]
    plot = Plot(
        title="Receptive field, pixels",
        x_label="convolution",
        series=[
            Series(label="field", x=list(range(1, len(sizes) + 1)), y=sizes),
            Series(label="image", x=[1, len(sizes)], y=[side, side], style="dashed", color=2),
        ],
    )
    return Figure(
        name="receptive-field",
        title="",
        caption=(
            "Side of the square of input pixels that one value of each layer depends on, by the "
            "usual recursion on the built network; dashed: the image."
        ),
        body=plot,
        data={"layers": [layer.name for layer in convolutions], "pixels": sizes},
    )


def _table(layers: Sequence[Layer], params: int, macs: int) -> Figure:
    rows = []
    for layer in sorted(layers, key=lambda one: -one.params)[:_ROWS]:
        rows.append(
            [
                layer.name,
                layer.kind,
                "×".join(str(side) for side in layer.output_shape),
                f"{layer.params:,}",
                f"{100 * layer.params / max(1, params):.1f}",
                f"{100 * layer.macs / max(1, macs):.1f}",
            ]
        )
    return Figure(
        name="heaviest-layers",
        title="The heaviest layers",
        caption="Parameters include those of the batch norm behind a layer.",
        body=Table(
            [("layer", False), ("kind", False), ("output", False), ("parameters", True),
             ("% of all", True), ("% of multiply-adds", True)],
            rows,
        ),
    )  # fmt: skip
