"""Use other people's weights, and give yours to their programs or to a hub.

  import FILE          a checkpoint of another program -> a model folder of reslab
  export MODEL         a model of reslab -> a file that another program loads
  push MODEL REPO      a model of reslab -> a repository on the Hugging Face hub, with a card
  pull REPO            such a repository -> a model folder

Files may be .safetensors, .pth, .pt, .bin, .ckpt, or Keras' .weights.h5 and .keras. Nothing in
them is ever run. The program and the network are recognised by names and shapes.

examples:
  reslab weights import resnet18-f37072fd.pth
  reslab weights import resnet50.pth --as resnet50_v15 --classes names.txt --out models/fifty
  reslab weights export runs/photos-1 --to torchvision --out resnet18.pth
  reslab weights export runs/photos-1 --to timm --out for-timm/
  reslab weights push runs/photos-1 someone/photos
  reslab weights pull someone/photos --out models/photos
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.cli.options import parse_numbers
from reslab.errors import UsageError

if TYPE_CHECKING:
    from reslab.weights import Imported

LINES_SHOWN = 40
HELP = "import, export, push and pull weights"
# Which flags and how many names belong to which action.
FLAGS = {
    "import": (
        "as_name", "layout", "key", "stem", "zero_padding", "allow_partial", "classes", "mean",
        "std", "img_size", "out", "json",
    ),
    "export": ("to", "out", "json"),
    "push": ("private", "licence", "message", "json"),
    "pull": ("out", "revision", "json"),
}  # fmt: skip
NAMES = {"import": ("FILE",), "export": ("MODEL",), "push": ("MODEL", "REPO"), "pull": ("REPO",)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `reslab weights`."""
    parser.add_argument("action", choices=tuple(FLAGS), help="what to do")
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="a file, model or repository, as above"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="PATH",
        help="what to write; a new folder for import and pull (the name of the source)",
    )
    parser.add_argument("--json", action="store_true", default=None, help="print one JSON object")
    _add_import(parser.add_argument_group("import"))
    group = parser.add_argument_group("export")
    group.add_argument("--to", metavar="PROGRAM", help="torchvision, timm or another layout")
    group = parser.add_argument_group("push and pull")
    group.add_argument("--private", action="store_true", default=None, help="a private repository")
    group.add_argument("--licence", metavar="ID", help="licence of the model, e.g. apache-2.0")
    group.add_argument("--message", metavar="TEXT", help="of the commit")
    group.add_argument("--revision", metavar="REV", help="branch, tag or commit to pull")


def _add_import(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--as", dest="as_name", metavar="NETWORK", help="which network it is")
    group.add_argument("--layout", metavar="PROGRAM", help="whose names the file has")
    group.add_argument("--key", metavar="KEY", help="entry of a training checkpoint to take")
    group.add_argument("--stem", choices=("small", "imagenet"), help="if not the network's own")
    group.add_argument(
        "--zero-padding", choices=("end", "both"), help="side of shortcut option A's new channels"
    )
    group.add_argument(
        "--allow-partial",
        action="store_true",
        default=None,
        help="leave out what does not fit, initialise what is missing (at most half of the layers)",
    )
    group.add_argument("--classes", type=Path, metavar="FILE", help="a class name a line")
    group.add_argument("--mean", type=parse_numbers, metavar="R,G,B", help="of images, in 0..1")
    group.add_argument("--std", type=parse_numbers, metavar="R,G,B", help="of images, in 0..1")
    group.add_argument("--img-size", type=int, metavar="N", help="side of the input, pixels")


def run(args: argparse.Namespace) -> int:
    """Do what was asked for."""
    _check(args)
    action = {"import": _import, "export": _export, "push": _push, "pull": _pull}[args.action]
    action(args)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Refuse names and flags that belong to another action."""
    expected = NAMES[args.action]
    if len(args.names) != len(expected):
        raise UsageError(
            f"reslab weights {args.action} takes {' and '.join(expected)}, "
            f"received {' '.join(args.names)}"
        )
    every = {flag for flags in FLAGS.values() for flag in flags}
    for flag in sorted(every - set(FLAGS[args.action])):
        if getattr(args, flag) is not None:
            shown = "as" if flag == "as_name" else flag.replace("_", "-")
            owners = " and ".join(name for name, flags in FLAGS.items() if flag in flags)
            raise UsageError(f"--{shown} belongs to reslab weights {owners}, not {args.action}")


def _import(args: argparse.Namespace) -> None:
    from reslab import artifact
    from reslab.cli import output
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
                output.note(line)
        raise
    artifact.save(imported.artifact, out)
    _report_import(imported, out, as_json=bool(args.json))


def _some(lines: Sequence[str]) -> list[str]:
    """Return the lines, or the first of very many and where the others are."""
    more = len(lines) - LINES_SHOWN
    return list(lines) if more <= 0 else [*lines[:LINES_SHOWN], f"and {more} more (--json)"]


def _report_import(imported: Imported, out: Path, *, as_json: bool) -> None:
    from reslab.cli import output

    converted, spec = imported.converted, imported.artifact.network.spec
    for note in imported.notes:
        output.note(f"note: {note}")
    if as_json:
        output.emit_json(_import_json(imported, out))
        return
    for line in _some([f"left out: {key}" for key in converted.unplaced]):
        output.note(line)
    for line in _some([f"newly initialised: {key}" for key in converted.missing]):
        output.note(line)
    print(out)
    output.note(
        f"{spec.name} by {converted.layout.possessive} names, {spec.num_classes} classes, "
        f"{spec.img_size} pixels"
    )
    output.note(converted.share.described(spec.name))
    predict = f"reslab predict {out} IMAGES, or " if spec.num_classes else ""
    output.note(f"next: {predict}reslab train DATA --start {out}")


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


def _export(args: argparse.Namespace) -> None:
    from reslab import artifact
    from reslab.cli import output
    from reslab.weights import LAYOUTS, export_file, export_notes

    if args.to is None or args.out is None:
        raise UsageError("reslab weights export needs --to PROGRAM and --out FILE")
    layout = LAYOUTS[args.to]
    model = artifact.load(args.names[0])
    files = export_file(model, layout, args.out)
    theirs = layout.networks[model.network.spec.name]
    notes = export_notes(model, layout, files)
    for note in notes:
        output.note(f"note: {note}")
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
        return
    for file in files:
        print(file)
    output.note(f"{theirs} of {layout.source}, {len(model.classes)} classes")
    if len(files) == 1:
        output.note("class names and preprocessing do not travel in this file (--json prints them)")


def _push(args: argparse.Namespace) -> None:
    from reslab.cli import output
    from reslab.weights import hub

    model, repo = args.names
    url = hub.push(
        Path(model),
        repo,
        private=bool(args.private),
        licence=args.licence,
        message=args.message,
    )
    if args.json:
        output.emit_json({"repository": repo, "url": url})
        return
    print(url)
    output.note(f"use it: reslab.create_model(NAME, pretrained='hf-hub:{repo}')")


def _pull(args: argparse.Namespace) -> None:
    from reslab import artifact
    from reslab.cli import output
    from reslab.weights import hub

    repo = args.names[0]
    out = _new_folder(args.out or Path(repo.rsplit("/", 1)[-1]))
    model = hub.pull(repo, revision=args.revision)
    artifact.save(model, out)
    if args.json:
        output.emit_json(
            {"path": str(out), "network": model.network.spec.name, "classes": list(model.classes)}
        )
        return
    print(out)
    output.note(f"{model.network.spec.name}, {len(model.classes)} classes")


def _new_folder(out: Path) -> Path:
    """Refuse to write where something is, before anything is read."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} exists already", remedy="name a new folder with --out")
    return out
