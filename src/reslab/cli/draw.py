"""Draw networks side by side: layers as boxes, shortcuts as arcs, output sizes at the left.

A shortcut along which dimensions change is dotted; "1x1" on it is a projection. Repeats of very
tall networks are drawn once with their count.

examples:
  reslab draw vgg19 plain34 resnet34 -o networks.svg
  reslab draw resnet152 -o resnet152.png --dark
  reslab draw googlenet -o googlenet.html
  reslab draw resnet18 --stem small --img-size 32 --num-classes 10 -o small.svg
"""

from __future__ import annotations

import argparse
from pathlib import Path

from reslab.cli.arguments import Arguments


def add_arguments(parser: Arguments) -> None:
    """Declare the arguments of `reslab draw`."""
    parser.add_argument(
        "networks", metavar="NETWORK", nargs="+", help="names that 'reslab list' gives"
    )
    parser.add_argument(
        "-o", "--out", metavar="FILE", type=Path, required=True, help="a .svg, .png or .html file"
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="a line above the networks")
    parser.add_argument("--dark", action="store_true", help="light on dark, for dark slides")
    folding = parser.add_mutually_exclusive_group()
    folding.add_argument(
        "--fold", action="store_true", help="draw repeats once with their count ('x 36')"
    )
    folding.add_argument(
        "--unfold", action="store_true", help="draw every layer, however tall that gets"
    )
    parser.add_argument("--num-classes", type=int, metavar="N", help="width of the logits")
    parser.add_argument("--in-chans", type=int, metavar="N", help="channels of the input image")
    parser.add_argument("--img-size", type=int, metavar="N", help="side of the input, pixels")
    parser.add_argument("--stem", choices=("small", "imagenet"), help="replace the first layers")


def run(args: argparse.Namespace) -> int:
    """Draw and write one file."""
    from reslab import draw, durable, models, networks
    from reslab.display.stderr import note

    for name in args.networks:
        networks.info(name)  # a wrong name is said before anything is built
    suffix = draw.check_format(args.out)
    specs = [
        models.named_spec(
            name,
            num_classes=args.num_classes,
            in_chans=args.in_chans,
            img_size=args.img_size,
            stem=args.stem,
        )
        for name in args.networks
    ]
    folded = True if args.fold else False if args.unfold else None
    drawing = draw.draw(specs, folded=folded, title=args.title)
    durable.write_file(args.out, draw.render(drawing, suffix, dark=args.dark))
    note(f"drew {', '.join(args.networks)} into {args.out}")
    return 0
