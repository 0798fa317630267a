"""Draw a seeded data set of geometric shapes into a folder of JPEG files.

The same settings draw the same bytes. A larger set begins with the smaller one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from reslab.cli.arguments import Arguments


def add_arguments(parser: Arguments) -> None:
    """Add the flags of `reslab shapes`."""
    parser.add_argument("out", metavar="OUT", type=Path, help="a new or empty folder")
    parser.add_argument("--num", type=int, default=2000, help="images (default: 2000)")
    parser.add_argument("--size", type=int, default=100, help="side in pixels (default: 100)")
    parser.add_argument("--classes", type=int, default=10, help="classes, 2 to 12 (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="(default: 0)")
    parser.add_argument("--grayscale", action="store_true", help="one channel instead of RGB")
    parser.add_argument(
        "--layout",
        choices=("flat", "split"),
        default="flat",
        help="<class>/... or train|test/<class>/... (default: flat)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Draw and write."""
    from reslab.cli import output
    from reslab.data.shapes import SHAPE_NAMES, ShapeSettings, write_folder
    from reslab.display.stderr import note

    settings = ShapeSettings(
        num=args.num, size=args.size, classes=args.classes, seed=args.seed, grey=args.grayscale
    )
    files = write_folder(args.out, settings, layout=args.layout)
    if args.json:
        classes = sorted(SHAPE_NAMES[: args.classes])
        output.emit_json({"path": str(args.out), "num_images": len(files), "classes": classes})
    else:
        note(f"drew {len(files):,} images into {args.out}")
        note(f"next: reslab check {args.out}, or reslab train {args.out}")
    return 0
