"""What the logits of an imported network are called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from reslab.errors import UsageError
from reslab.weights.transformers_config import labels

IMAGENET_CLASSES = 1000
CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_INPUT = 32


def class_names(
    num_classes: int, img_size: int, config: Mapping[str, Any], file: Path | None
) -> tuple[tuple[str, ...], str]:
    """Name the logits: from a file, from timm's or transformers' `config.json`, or as is usual.

    Args:
        num_classes: number of logits.
        img_size: side of the network's input, pixels.
        config: the JSON object beside the weights, or empty.
        file: text with a name a line, or None.

    Returns:
        The names, and a sentence for the user where they are an assumption (else empty).

    Raises:
        UsageError: the file cannot be read or has another number of names.
    """
    if file is not None:
        return _from_file(file, num_classes), ""
    if num_classes == 0:
        return (), "no classifier: start a training from it (reslab train DATA --start MODEL)"
    told = config.get("label_names") or labels(config)
    if isinstance(told, Sequence) and len(told) == num_classes:
        return _told_apart([str(name) for name in told])
    remedy = "name others with --classes FILE"
    if num_classes == IMAGENET_CLASSES:
        return imagenet_classes(), f"1000 logits were taken for ImageNet's classes; {remedy}"
    if num_classes == len(CIFAR10) and img_size == CIFAR10_INPUT:
        return CIFAR10, f"10 logits for 32 pixels were taken for CIFAR-10's classes; {remedy}"
    numbers = tuple(str(number) for number in range(num_classes))
    return numbers, f"the file names no classes: they are called 0 to {num_classes - 1}; {remedy}"


def _told_apart(names: list[str]) -> tuple[tuple[str, ...], str]:
    """Add its number to a name that several logits have, as ImageNet's two cranes."""
    shared = sorted({name for name in names if names.count(name) > 1})
    if not shared:
        return tuple(names), ""
    numbered = (f"{name} ({i})" if name in shared else name for i, name in enumerate(names))
    return tuple(numbered), (
        f"several classes are called '{shared[0]}': their numbers were added to the names"
    )


def imagenet_classes() -> tuple[str, ...]:
    """Return the 1000 class names of ILSVRC 2012 in the usual order, as torchvision has them."""
    text = resources.files(__package__).joinpath("imagenet.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def _from_file(file: Path, num_classes: int) -> tuple[str, ...]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read class names from {file}: {error}") from error
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) != num_classes:
        raise UsageError(
            f"{file} has {len(names)} class names, the network {num_classes} logits",
            remedy="write one name a line, in the order of the logits",
        )
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"{file} has the class name '{twice}' twice")
    return names
