"""Look inside a trained network: one offline page with what it sees and does.

MODEL is a run or a model folder. DATA are the images to look at it with (a folder, a CSV, an
archive or a name); without it, those the model was trained on. The page holds four parts:
attribution (Grad-CAM, occlusion, filters, feature maps, the strongest images of single units with
their deconvolutions, maps of the test images), signal (responses, residuals, gradients, dead units,
gate statistics), ablation (lesions: every block deleted or swapped) and cost. With --landscape also
the loss surface.

examples:
  reslab look runs/digits-1
  reslab look runs/photos-1 photos/ --only attribution --images 12 --out figures/
  reslab look runs/resnet56 --only landscape --compare-to runs/plain56 --out figures/
"""

from __future__ import annotations

import argparse

from reslab.cli.arguments import Arguments
from reslab.cli.options import at_least


def add_arguments(parser: Arguments) -> None:
    """Declare the flags of `reslab look`."""
    from reslab.cli.options import parse_duration

    parser.add_argument("model", metavar="MODEL", help="a run or a model folder")
    parser.add_argument("data", metavar="DATA", nargs="?", help="images (default: its own)")
    parser.add_argument(
        "--only",
        metavar="PART,...",
        help="attribution, signal, ablation, cost, landscape (not the last)",
    )
    parser.add_argument(
        "--landscape", action="store_true", help="the loss surface too, which takes minutes"
    )
    parser.add_argument(
        "--compare-to", metavar="MODEL", help="another model: its loss surface, and the line to it"
    )
    parser.add_argument(
        "--time", type=parse_duration, metavar="TIME", help="for each loss surface: 90s, 10m"
    )
    parser.add_argument(
        "--images", type=int, default=6, metavar="N", help="images drawn one by one (6)"
    )
    parser.add_argument(
        "--count", type=int, default=1000, metavar="N", help="images measured (1000)"
    )
    parser.add_argument(
        "--seed", type=at_least(0), default=0, metavar="N", help="of every draw (0)"
    )
    parser.add_argument(
        "-o",
        "--out",
        metavar="DIR",
        help="put the page here, and each figure as PNG or SVG, CSV and JSON",
    )
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")


def run(args: argparse.Namespace) -> int:
    """Look, write the page, and print where it is."""
    import os
    import sys

    from reslab.cli.output import emit_json
    from reslab.display.stderr import note
    from reslab.errors import UsageError
    from reslab.look import DEFAULT, look_inside

    only = [part.strip() for part in (args.only or "").split(",") if part.strip()]
    drawn = args.landscape or args.compare_to is not None or "landscape" in only
    if args.time is not None and not drawn:
        raise UsageError("--time is for loss surfaces, and none is drawn", remedy="add --landscape")
    found = look_inside(
        args.model,
        args.data,
        only=only or DEFAULT,
        landscape=args.landscape,
        against=args.compare_to,
        time_limit_s=args.time,
        images=args.images,
        count=args.count,
        seed=args.seed,
        out=args.out,
        notify=note,
    )
    for line in dict.fromkeys(line for section in found.sections for line in section.missing):
        note(line)
    if args.json:
        emit_json(found.to_json())
        note(f"page: {found.page}")
        return 0
    # The name as it is in the file system, so that a script can open it whatever its bytes.
    sys.stdout.buffer.write(os.fsencode(found.page) + b"\n")
    return 0
