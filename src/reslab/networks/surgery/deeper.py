"""Which networks are deeper forms of which, and where the old blocks go."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import get_args

from reslab import networks
from reslab.errors import UsageError
from reslab.networks import NetworkSpec, Stem
from reslab.networks.identity import ActivationOrderSpec, ShortcutKindSpec
from reslab.networks.preact import PreActSpec
from reslab.networks.resnet import ResNetSpec

# Other fields must agree; these change nothing that a trained network computes.
FREE_FIELDS = frozenset({"name", "stages", "img_size", "dropout"})


def deeper_spec(spec: NetworkSpec, target: NetworkSpec | str) -> ResNetSpec:
    """Return the specification of a deeper network with the ends of a shallower one.

    Args:
        spec: the shallower network.
        target: the deeper one. A name of the catalogue stands for that network with the
            classes, channels, image size, dropout and stem of the shallower one.

    Raises:
        UsageError: the target is no deeper form of the network; says why, and what is.
    """
    wanted = target if isinstance(target, NetworkSpec) else _named(spec, target)
    if problem := cannot_deepen(spec) or _difference(spec, wanted):
        names = deeper_names(spec)
        raise UsageError(
            f"{spec.name} cannot be deepened to {wanted.name}: {problem}",
            remedy=f"deepen it to {' or '.join(names)}"
            if names
            else "train the deeper one from scratch",
        )
    assert isinstance(wanted, ResNetSpec)
    return wanted


def deeper_names(spec: NetworkSpec) -> list[str]:
    """Return the networks of the catalogue that a network can be deepened to."""
    if cannot_deepen(spec):
        return []
    # Of the same kind only: other families need not be imported to see that they are others.
    alike = [name for name in networks.list_models() if networks.info(name).kind == spec.kind]
    return [name for name in alike if not _difference(spec, _named(spec, name))]


def spread(shallow: int, deep: int) -> list[int]:
    """Return where each of a stage's old blocks stands among the new ones, from 0.

    They are spread evenly, and the first one stays first: old block j goes to
    floor(j deep / shallow). So an old block keeps its relative depth in the stage, what it
    hands on is refined right behind it, and no run of new blocks is longer than it must be.
    """
    return [number * deep // shallow for number in range(shallow)]


def cannot_deepen(spec: NetworkSpec) -> str:
    """Say why no block of a network's kind can begin as the identity; empty if one can."""
    if type(spec) not in (ResNetSpec, PreActSpec, ActivationOrderSpec, ShortcutKindSpec):
        return "it has no stages of equal plain or residual blocks"
    assert isinstance(spec, ResNetSpec)
    if isinstance(spec, ShortcutKindSpec):
        return "what stands on its shortcuts does not hand on the input as it is"
    if isinstance(spec, ActivationOrderSpec) and spec.order == "relu_before_addition":
        return "a new branch, at zero behind its last ReLU, would never learn"
    if spec.shortcut == "none" and spec.branch == "bottleneck":
        return "a plain bottleneck has too few channels to hand on its input"
    return ""


def _named(spec: NetworkSpec, name: str) -> NetworkSpec:
    wanted = networks.replace(
        networks.entry(name).spec,
        num_classes=spec.num_classes,
        in_chans=spec.in_chans,
        img_size=spec.img_size,
        dropout=spec.dropout,
    )
    if type(wanted) is type(spec):
        for stem in get_args(Stem):
            with contextlib.suppress(UsageError):  # some networks have one stem alone
                changed = wanted.with_stem(stem)
                if not _difference(spec, changed):
                    return changed
    return wanted


def _difference(spec: NetworkSpec, wanted: NetworkSpec) -> str:
    """Say in what besides depth two networks differ, or that depth does not grow."""
    if type(wanted) is not type(spec):
        return "it is of another family"
    assert isinstance(spec, ResNetSpec)
    assert isinstance(wanted, ResNetSpec)
    for field in dataclasses.fields(spec):
        old, new = getattr(spec, field.name), getattr(wanted, field.name)
        if field.name not in FREE_FIELDS and old != new:
            return f"it has {field.name} {_shown(new)}, the trained network {_shown(old)}"
    if len(spec.stages) != len(wanted.stages):
        return f"it has {len(wanted.stages)} stages, the trained network {len(spec.stages)}"
    pairs = list(zip(spec.stages, wanted.stages, strict=True))
    for number, (few, many) in enumerate(pairs, start=1):
        if dataclasses.replace(few, depth=many.depth) != many:
            return f"stage {number} has {_shown(many)}, in the trained network {_shown(few)}"
    if any(many.depth < few.depth for few, many in pairs) or spec.stages == wanted.stages:
        before, after = ([stage.depth for stage in one.stages] for one in (spec, wanted))
        return f"it has {after} blocks in its stages, the trained network {before}"
    return ""


def _shown(value: object) -> str:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return ", ".join(f"{name} {item}" for name, item in dataclasses.asdict(value).items())
    return repr(value)
