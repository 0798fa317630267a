"""Use other people's weights, and give yours to their programs or to a hub."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.cli.actions import Action
from reslab.cli.arguments import Arguments
from reslab.cli.options import parse_numbers
from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.weights import Imported

LINES_SHOWN = 40
FORMATS = """\
FILE may be .safetensors, .pth, .pt, .bin, .ckpt, or Keras' .weights.h5 and .keras. Nothing in it
is ever executed. The program and the network are recognized by names and shapes.

examples:
  reslab weights import resnet18-f37072fd.pth
  reslab weights import resnet50.pth --as resnet50_v15 --classes names.txt -o models/fifty
"""
EXPORT_EXAMPLES = """\
examples:
  reslab weights export runs/photos-1 --to torchvision -o resnet18.pth
  reslab weights export runs/photos-1 --to timm -o for-timm/
"""


def _add_json(parser: Arguments) -> None:
    parser.add_argument("--json", action="store_true", default=None, help="print one JSON object")


def _add_import(parser: Arguments) -> None:
    parser.add_argument("names", nargs=1, metavar="FILE", help="the weights")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="DIR", help="a new folder (the name of the file)"
    )
    parser.add_argument("--as", dest="as_name", metavar="NETWORK", help="which network it is")
    parser.add_argument("--layout", metavar="PROGRAM", help="whose names the file has")
    parser.add_argument("--key", metavar="KEY", help="entry of a training checkpoint to take")
    parser.add_argument("--stem", choices=("small", "imagenet"), help="if not the network's own")
    parser.add_argument(
        "--zero-padding", choices=("end", "both"), help="side of shortcut option A's new channels"
    )
    parser.add_argument(
        "--allow-partial",
        action="store_true",
        default=None,
        help="skip what does not match, initialize what is missing (at most half of the layers)",
    )
    parser.add_argument("--classes", type=Path, metavar="FILE", help="one class name per line")
    parser.add_argument("--mean", type=parse_numbers, metavar="R,G,B", help="of images, in 0..1")
    parser.add_argument("--std", type=parse_numbers, metavar="R,G,B", help="of images, in 0..1")
    parser.add_argument("--img-size", type=int, metavar="N", help="side of the input, pixels")
    _add_json(parser)


def _add_export(parser: Arguments) -> None:
    parser.add_argument("names", nargs=1, metavar="MODEL", help="a run or a model folder")
    parser.add_argument("--to", metavar="PROGRAM", help="torchvision, timm or another layout")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="PATH", help="what to write: a file, or a folder for timm"
    )
    _add_json(parser)


def _add_push(parser: Arguments) -> None:
    parser.add_argument("model", metavar="MODEL", help="a run or a model folder")
    parser.add_argument("repo", metavar="REPO", help="owner/name on the hub")
    parser.add_argument("--private", action="store_true", default=None, help="a private repository")
    parser.add_argument("--license", metavar="ID", help="license of the model, e.g. apache-2.0")
    parser.add_argument("--message", metavar="TEXT", help="of the commit")
    _add_json(parser)


def _add_pull(parser: Arguments) -> None:
    parser.add_argument("names", nargs=1, metavar="REPO", help="owner/name on the hub")
    parser.add_argument(
        "-o", "--out", type=Path, metavar="DIR", help="a new folder (the name of the repository)"
    )
    parser.add_argument("--revision", metavar="REV", help="branch, tag or commit to pull")
    _add_json(parser)


def _import(args: argparse.Namespace) -> int:
    from reslab import artifact
    from reslab.cli import output
    from reslab.display.stderr import note
    from reslab.weights import MisfitError, Request, import_file

    file = Path(args.names[0])
    out = _new_folder(args.out or Path(file.name.split(".")[0]))
    request = Request(
        file=file,
        name=args.as_name,
        layout=args.layout,
        key=args.key,
        stem=args.stem,
        zero_padding=args.zero_padding,
        allow_partial=bool(args.allow_partial),
        classes=args.classes,
        mean=args.mean,
        std=args.std,
        img_size=args.img_size,
    )
    try:
        imported = import_file(request)
    except MisfitError as error:
        if args.json:
            output.emit_json({"misfits": list(error.details)})
        else:
            for line in _some(error.details):
                note(line)
        raise
    artifact.save(imported.artifact, out)
    _report_import(imported, out, as_json=bool(args.json))
    return 0


def _some(lines: Sequence[str]) -> list[str]:
    """Return the lines, or the first of very many and where the others are."""
    more = len(lines) - LINES_SHOWN
    return list(lines) if more <= 0 else [*lines[:LINES_SHOWN], f"and {more} more (--json)"]


def _report_import(imported: Imported, out: Path, *, as_json: bool) -> None:
    from reslab.cli import output
    from reslab.display.stderr import note

    converted, spec = imported.converted, imported.artifact.network.spec
    for line in imported.notes:
        note(f"note: {line}")
    if as_json:
        output.emit_json(_import_json(imported, out))
        return
    for line in _some([f"left out: {key}" for key in converted.unplaced]):
        note(line)
    for line in _some([f"newly initialized: {key}" for key in converted.missing]):
        note(line)
    print(out)
    note(
        f"{spec.name} by {converted.layout.possessive} names, {spec.num_classes} classes, "
        f"{spec.img_size} pixels"
    )
    note(converted.share.described(spec.name))
    predict = f"reslab predict {out} IMAGES, or " if spec.num_classes else ""
    note(f"next: {predict}reslab train DATA --start {out}")


def _import_json(imported: Imported, out: Path) -> dict[str, Any]:
    converted, spec = imported.converted, imported.artifact.network.spec
    return {
        "path": str(out),
        "network": spec.name,
        "layout": converted.layout.name,
        "num_classes": spec.num_classes,
        "in_chans": spec.in_chans,
        "preprocess": imported.artifact.preprocess.to_json(),
        "notes": list(imported.notes),
        "left_out": list(converted.unplaced),
        "initialised": list(converted.missing),
        "share": converted.share.to_json(),
    }


def _export(args: argparse.Namespace) -> int:
    from reslab import artifact
    from reslab.cli import output
    from reslab.display.stderr import note
    from reslab.weights import LAYOUTS, export_file, export_notes

    if args.to is None or args.out is None:
        raise UsageError("reslab weights export needs --to PROGRAM and --out FILE")
    layout = LAYOUTS[args.to]
    model = artifact.load(args.names[0])
    files = export_file(model, layout, args.out)
    theirs = layout.networks[model.network.spec.name]
    notes = export_notes(model, layout, files)
    for line in notes:
        note(f"note: {line}")
    if args.json:
        output.emit_json(
            {
                "files": [str(file) for file in files],
                "layout": layout.name,
                "network": theirs,
                "classes": list(model.classes),
                "preprocess": model.preprocess.to_json(),
                "notes": list(notes),
            }
        )
        return 0
    for file in files:
        print(file)
    note(f"{theirs} of {layout.source}, {len(model.classes)} classes")
    if len(files) == 1:
        note("class names and preprocessing do not travel in this file (--json prints them)")
    return 0


def _push(args: argparse.Namespace) -> int:
    from reslab.cli import output
    from reslab.display.stderr import note
    from reslab.weights import hub

    url = hub.push(
        Path(args.model),
        args.repo,
        private=bool(args.private),
        licence=args.license,
        message=args.message,
    )
    if args.json:
        output.emit_json({"repository": args.repo, "url": url})
        return 0
    print(url)
    note(f"use it: reslab.create_model(NAME, pretrained='hf-hub:{args.repo}')")
    return 0


def _pull(args: argparse.Namespace) -> int:
    from reslab import artifact
    from reslab.cli import output
    from reslab.display.stderr import note
    from reslab.weights import hub

    repo = args.names[0]
    out = _new_folder(args.out or Path(repo.rsplit("/", 1)[-1]))
    model = hub.pull(repo, revision=args.revision)
    artifact.save(model, out)
    if args.json:
        output.emit_json(
            {"path": str(out), "network": model.network.spec.name, "classes": list(model.classes)}
        )
        return 0
    print(out)
    note(f"{model.network.spec.name}, {len(model.classes)} classes")
    return 0


def _new_folder(out: Path) -> Path:
    """Refuse to write where something is, before anything is read."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} exists already", remedy="name a new folder with --out")
    return out


ACTIONS = {
    "import": Action(
        "turn a checkpoint of another program into a model folder", _add_import, _import, FORMATS
    ),
    "export": Action(
        "write a model as a file that another program loads", _add_export, _export, EXPORT_EXAMPLES
    ),
    "push": Action("put a model on the Hugging Face hub, with a card", _add_push, _push),
    "pull": Action("turn such a repository into a model folder", _add_pull, _pull),
}
