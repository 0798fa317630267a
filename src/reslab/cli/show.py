"""Show a network layer by layer: output shape, parameters, multiply-adds, receptive field.

examples:
  reslab show resnet20
  reslab show resnet50 --num-classes 10 --img-size 320
  reslab show resnet18 --stem small --img-size 32 --num-classes 10
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from reslab.cli.arguments import Arguments

if TYPE_CHECKING:
    from reslab.networks import NetworkSpec, Published
    from reslab.networks.cost import Cost, Layer


def add_arguments(parser: Arguments) -> None:
    """Declare the arguments of `reslab show`."""
    parser.add_argument("network", metavar="NETWORK", help="a name that 'reslab list' gives")
    parser.add_argument("--num-classes", type=int, metavar="N", help="width of the logits")
    parser.add_argument("--in-chans", type=int, metavar="N", help="channels of the input image")
    parser.add_argument("--img-size", type=int, metavar="N", help="side of the input, pixels")
    parser.add_argument("--stem", choices=("small", "imagenet"), help="replace the first layers")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure the network on the meta device and print its layers."""
    from reslab import models
    from reslab.cli import output
    from reslab.networks.cost import measure

    spec = models.named_spec(
        args.network,
        num_classes=args.num_classes,
        in_chans=args.in_chans,
        img_size=args.img_size,
        stem=args.stem,
    )
    cost = measure(spec)
    if args.json:
        output.emit_json(_json(cost))
    else:
        _print(cost)
    return 0


def _json(cost: Cost) -> dict[str, Any]:
    import dataclasses

    from reslab import networks
    from reslab.cli.list import describe

    return {
        **describe(cost.spec.name),
        "params": cost.params,
        "macs": cost.macs,
        "img_size": cost.spec.img_size,
        "deviations": _deviations(cost.spec),
        "spec": networks.to_json(cost.spec),
        "layers": [dataclasses.asdict(layer) for layer in cost.layers],
    }


def _deviations(spec: NetworkSpec) -> list[str]:
    """List what differs from the paper, what this command changed included."""
    from reslab import networks

    entry = networks.entry(spec.name)
    changed = [
        f"{field} is not the paper's, by request"
        for field in ("stem", "img_size", "in_chans", "num_classes")
        if getattr(spec, field, None) != getattr(entry.spec, field, None)
    ]
    return [*changed, *entry.deviations]


def _print(cost: Cost) -> None:
    from reslab.cli import output
    from reslab.display.stderr import note
    from reslab.networks.cost import with_norms_folded

    print("\n".join(_header(cost)), end="\n\n")
    columns = [
        ("layer", "left"),
        ("kind", "left"),
        ("output", "right"),
        ("params", "right"),
        ("MACs", "right"),
        ("sees", "right"),
    ]
    output.table(columns, _rows(with_norms_folded(cost.layers)))
    note(
        "params: with the batch norm that follows. MACs: multiply-adds for one image.\n"
        "sees: side of the receptive field in pixels, borders aside."
    )


def _header(cost: Cost) -> list[str]:
    """Say what the network is, what it costs, where it is from and how it differs."""
    import shutil
    import textwrap

    from reslab import networks

    info, spec = networks.info(cost.spec.name), cost.spec
    weighted = sum(1 for layer in cost.layers if layer.macs and ".shortcut" not in layer.name)
    size = spec.img_size
    lines = [
        ("", f"{spec.name}: {weighted} weighted layers, {info.summary}"),
        ("input", f"{spec.in_chans}x{size}x{size}, {spec.num_classes} classes"),
        ("cost", f"{cost.params:,} parameters, {cost.macs:,} multiply-adds"),
        ("source", info.source),
        ("paper", _published(info.paper)),
        *(("differs", text) for text in _deviations(spec)),
    ]
    width = max(40, min(100, shutil.get_terminal_size().columns))
    wrapped = []
    for label, text in lines:
        indent = f"{label:<9}" if label else ""
        if text:
            later = " " * len(indent)
            wrapped += textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=later)
    return wrapped


def _published(paper: Published) -> str:
    """Put the paper's numbers into a sentence."""
    from reslab.cli.list import short

    parts = []
    if "error_pct" in paper:
        top5 = f", top-5 {paper['top5_error_pct']:.2f}%" if "top5_error_pct" in paper else ""
        parts.append(f"error {paper['error_pct']:.2f}%{top5} ({paper['protocol']})")
    if "error_mean_pct" in paper:
        mean, deviation = paper["error_mean_pct"], paper["error_std_pct"]
        parts.append(f"mean of {paper['runs']} runs {mean:.2f} ± {deviation:.2f}%")
    for key, what in (("params", "parameters"), ("macs", "multiply-adds")):
        if key in paper:
            parts.append(f"{short(int(paper[key]))} {what}")
    return "; ".join(parts)


def _rows(layers: Sequence[Layer]) -> list[list[str]]:
    """Make a row a layer, with one for the sums of each stage above its layers."""
    from reslab.cli.list import short

    rows: list[list[str]] = []
    stage = ""
    for layer in layers:
        name = layer.name.removeprefix("stages.").replace(".branch.", ".")
        path = name.replace(".shortcut.conv", ".shortcut").split(".")
        if path[0] != stage:
            stage = path[0]
            inside = [x for x in layers if x.name.removeprefix("stages.").startswith(f"{stage}.")]
            params, macs = sum(x.params for x in inside), sum(x.macs for x in inside)
            rows.append([stage, "", "", f"{params:,}", short(macs), ""])
        shape = "x".join(str(n) for n in layer.output_shape)
        rows.append(
            [
                "  " + ".".join(path[1:]),
                layer.kind,
                shape,
                f"{layer.params:,}" if layer.params else "",
                short(layer.macs) if layer.macs else "",
                str(layer.receptive_field) if layer.receptive_field else "all",
            ]
        )
    return rows
