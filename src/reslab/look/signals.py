"""The section "Signal": what travels through the network, and how strongly."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from torch import Tensor

from reslab.analyze.dead_units import dead_units
from reslab.analyze.drift import norm_drift
from reslab.analyze.effective_depth import effective_depth
from reslab.analyze.gate_statistics import gate_statistics
from reslab.analyze.residuals import residual_ratios
from reslab.analyze.responses import layer_responses
from reslab.analyze.signal import signal_by_depth
from reslab.charts.figure import Figure, Section
from reslab.charts.plot import Plot, Series, axis_kind
from reslab.display import wording
from reslab.errors import UsageError
from reslab.look.learning import while_learning
from reslab.look.model_and_images import ModelAndImages

TITLE = "Signal"
_MOST = 512
_Draw = Callable[[ModelAndImages], Figure]


def signals(subject: ModelAndImages, notify: Callable[[str], None]) -> Section:
    """Measure responses, residuals, gradients, dead units, drift and gates, where there are any."""
    learnt = [] if subject.run is None else while_learning(subject.run)
    if subject.sample is None:
        return Section("signal", TITLE, "", learnt, [subject.missing])
    figures = []
    for what, draw in _FIGURES.items():
        notify(f"signal: {what}")
        try:
            figures.append(draw(subject))
        except UsageError:
            continue  # the network has none of these: no gates, no shortcuts, no batch norm
    return Section("signal", TITLE, "", [*figures, *learnt])


def _line(
    values: Sequence[float | None], label: str, *, dashed: bool = False, color: int = 0
) -> Series:
    return Series(
        label=label,
        x=list(range(1, len(values) + 1)),
        y=[math.nan if v is None else v for v in values],
        style="dashed" if dashed else "bold",
        color=color,
    )


def _images(subject: ModelAndImages, most: int = _MOST) -> tuple[Tensor, Tensor]:
    assert subject.sample is not None
    return subject.sample.images[:most], subject.sample.labels[:most]


def _responses(subject: ModelAndImages) -> Figure:
    network, (images, _) = subject.model.network, _images(subject)
    try:
        found = layer_responses(network, images)
    except UsageError:
        found = layer_responses(network, images, kernel=0)
    middle = found.sorted_stds[len(found.layers) // 2]
    series = [
        _line(found.stds, "in order"),
        _line(found.sorted_stds, "sorted", dashed=True, color=1),
    ]
    return Figure(
        name="layer-responses",
        title="Responses of the layers",
        caption=(
            f"What each {'3×3 ' if found.kernel else ''}layer puts out, after its batch norm and "
            f"before ReLU and addition; half respond with less than {wording.number(middle)}. "
            "Layers of residual networks respond less than those of plain ones, and less the "
            "deeper the network: each changes the signal a little."
        ),
        body=Plot(
            title="Standard deviation of the response", x_label="layer", series=series,
            kind=axis_kind(series),
        ),
        source="He et al. 2015, figure 7",
        data=found.to_json(),
    )  # fmt: skip


def _ratios(subject: ModelAndImages) -> Figure:
    found = residual_ratios(subject.model.network, _images(subject)[0])
    series = [_line([block.ratio for block in found.blocks], "|F(x)| / |x|")]
    return Figure(
        name="residual-ratios",
        title="How much each block adds",
        caption=(
            "Size of what the branch adds over the size of what it is added to. Far below one "
            "means that the block refines its input, as residual learning supposes."
        ),
        body=Plot(title="|F(x)| / |x|", x_label="block", series=series, kind=axis_kind(series)),
        source="He et al. 2015, section 4.2",
        data=found.to_json(),
    )


def _gradients(subject: ModelAndImages) -> Figure:
    images, labels = _images(subject, 256)
    found = signal_by_depth(subject.model.network, images, labels)
    series = [
        _line([step.gradient_norm for step in found.steps], "gradient"),
        _line([step.activation_rms for step in found.steps], "activation", dashed=True, color=1),
    ]
    ratio = found.gradient_ratio
    arrived = "" if ratio is None else f" Here {wording.number(ratio)} times as much arrives."
    return Figure(
        name="gradients",
        title="Gradient and activation by depth",
        caption=(
            "Norm of the loss’s gradient behind the stem and each block, and root mean square of "
            f"the activation there. The gradient travels from right to left.{arrived}"
        ),
        body=Plot(
            title="Gradient norm and activation", x_label="stem and blocks", series=series,
            kind=axis_kind(series),
        ),
        source="He et al. 2015, section 4.1; He et al. 2016, equation 5",
        data=found.to_json(),
    )  # fmt: skip


def _depth(subject: ModelAndImages) -> Figure:
    images, labels = _images(subject, 128)
    found = effective_depth(subject.model.network, images, labels)
    low, high = found.central95
    lengths = [row.length for row in found.lengths]
    return Figure(
        name="effective-depth",
        title="Effective depth",
        caption=(
            f"A residual network of {found.num_blocks} blocks is a bundle of paths through 0 to "
            f"{found.num_blocks} branches. 95% of the gradient flows through paths of {low} to "
            f"{high}; on average {found.mean:.1f} (dashed: how many paths there are)."
        ),
        body=Plot(
            title="Gradient by length of path, %",
            x_label="branches on the path",
            series=[
                Series(
                    label="of the gradient", x=lengths,
                    y=[100 * row.gradient_share for row in found.lengths],
                ),
                Series(
                    label="of the paths", x=lengths, style="dashed", color=2,
                    y=[100 * row.path_share for row in found.lengths],
                ),
            ],
        ),
        source="Veit, Wilber and Belongie 2016, section 5 and figure 6",
        data=found.to_json(),
    )  # fmt: skip


def _dead(subject: ModelAndImages) -> Figure:
    assert subject.sample is not None
    found = dead_units(subject.model.network, subject.sample.images)
    zero = [100 * one.zero_share for one in found.activations]
    dead = [100 * one.dead / one.channels for one in found.activations]
    total = sum(one.channels for one in found.activations)
    return Figure(
        name="dead-units",
        title="Silence behind the ReLUs",
        caption=(
            f"{found.dead:,} of {total:,} channels are zero everywhere in all "
            f"{found.num_images:,} images: dead. Zeros as such are healthy; they make the code "
            "sparse."
        ),
        body=Plot(
            title="Zeros and dead channels, %", x_label="ReLU", limits=(0.0, 100.0),
            series=[_line(zero, "zeros", dashed=True, color=2), _line(dead, "dead", color=1)],
        ),
        data=found.to_json(),
    )  # fmt: skip


def _drift(subject: ModelAndImages) -> Figure:
    found = norm_drift(subject.model.network, _images(subject)[0])
    series = [
        _line([norm.mean_shift for norm in found.norms], "mean"),
        _line(
            [norm.log_variance_ratio for norm in found.norms], "ln variance",
            dashed=True, color=1,
        ),
    ]  # fmt: skip
    return Figure(
        name="norm-drift",
        title="What batch norms remember",
        caption=(
            "How far the statistics that each batch norm remembers are from those of these "
            "images: means in remembered deviations, variances as logarithms of their ratio. "
            "Values that grow with depth tell of other data, or of averages that lag behind."
        ),
        body=Plot(title="Drift of the statistics", x_label="batch norm", series=series),
        source="Ioffe and Szegedy 2015, section 3.1",
        data=found.to_json(),
    )


def _gates(subject: ModelAndImages) -> Figure:
    found = gate_statistics(subject.model.network, _images(subject)[0])
    means = [gate.mean for gate in found.gates]
    places = list(range(1, len(means) + 1))
    low = [max(0.0, gate.mean - gate.std) for gate in found.gates]
    high = [min(1.0, gate.mean + gate.std) for gate in found.gates]
    return Figure(
        name="gates",
        title="How far the gates are open",
        caption=(
            "Share of the branch that passes each gate, mean and standard deviation; the rest "
            "comes through the shortcut. Gates near zero copy their input."
        ),
        body=Plot(
            title="Openness", x_label="gate", limits=(0.0, 1.0),
            series=[Series(label="mean", x=places, y=means, low=low, high=high)],
        ),
        source="Srivastava et al. 2015, section 4.1 and figure 2",
        data=found.to_json(),
    )  # fmt: skip


_FIGURES: dict[str, _Draw] = {
    "responses of the layers": _responses,
    "what each block adds": _ratios,
    "gradients": _gradients,
    "effective depth": _depth,
    "gates": _gates,
    "dead units": _dead,
    "batch norms": _drift,
}
