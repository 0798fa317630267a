"""List the networks with their cost and the error that their paper publishes.

examples:
  reslab list                   all of them
  reslab list 'resnet*_v15'     those that match a pattern
  reslab list --json            for scripts, with source and deviations
"""

from __future__ import annotations

import argparse
from typing import Any

from reslab.cli.arguments import Arguments


def add_arguments(parser: Arguments) -> None:
    """Declare the arguments of `reslab list`."""
    parser.add_argument(
        "pattern", nargs="?", default="*", metavar="PATTERN", help="names to list, e.g. 'resnet*_b'"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array")


def run(args: argparse.Namespace) -> int:
    """Print the networks that match, as a table or as JSON."""
    from reslab import networks
    from reslab.cli import output
    from reslab.display.stderr import note

    names = networks.list_models(args.pattern)
    if not names:
        raise _no_match(args.pattern)
    if args.json:
        output.emit_json([describe(name) for name in names])
        return 0
    columns = [
        ("network", "left"),
        ("family", "left"),
        ("input", "right"),
        ("params", "right"),
        ("MACs", "right"),
        ("error", "right"),
        ("kind", "left"),
    ]
    output.table(columns, [_row(name) for name in names])
    note(
        "MACs: multiply-adds for one image. error: top-1, as the paper publishes it.\n"
        "'reslab show NETWORK' shows the layers, the source and what differs from it."
    )
    return 0


def describe(name: str) -> dict[str, Any]:
    """Return what `reslab list --json` says about a network."""
    from reslab import networks

    info = networks.info(name)
    return {
        "name": name,
        "family": info.family,
        "params": info.params,
        "macs": info.macs,
        "img_size": info.img_size,
        "source": info.source,
        "paper": dict(info.paper),
        "deviations": list(info.deviations),
    }


def short(count: int) -> str:
    """Write a count in a few digits, as papers do: 3.86 G, 253 M, 0.27 M, 640."""
    if count >= 1e9:
        return f"{count / 1e9:.2f} G"
    if count >= 1e5:
        return f"{count / 1e6:.{2 if count < 1e8 else 0}f} M"
    return f"{count:,}"


def _row(name: str) -> list[str]:
    from reslab import networks

    info = networks.info(name)
    error = info.paper.get("error_pct")
    return [
        name,
        info.family,
        str(info.img_size),
        short(info.params),
        short(info.macs),
        f"{error:.2f}%" if error is not None else "",
        info.summary,
    ]


def _no_match(pattern: str) -> Exception:
    from reslab import networks
    from reslab.errors import UsageError, nearest

    wider = f"*{pattern}*"
    remedy = nearest(pattern, networks.list_models())
    if networks.list_models(wider):
        remedy = f"try 'reslab list \"{wider}\"'"
    return UsageError(f"no network matches '{pattern}'", remedy=remedy or "see 'reslab list'")
