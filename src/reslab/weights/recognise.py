"""Which network, named by whom, a file of weights belongs to."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch

from reslab import networks
from reslab.display.short import short_repr
from reslab.errors import CheckpointError, UsageError
from reslab.networks import NetworkSpec, Stem
from reslab.networks.network import Network, build
from reslab.networks.resnet import ResNetSpec
from reslab.weights.layout import Layout
from reslab.weights.layouts import LAYOUTS, TIMM
from reslab.weights.read import Weights
from reslab.weights.transformers_config import contradiction

CLASSIFIER = "head.classifier.weight"
# What a file may lack: counters that old programs did not write.
OPTIONAL = ".num_batches_tracked"
# From this agreement on, the part of a file under a prefix is taken for a network.
CLEAR = 0.9
# A residual block has two convolutions and two batch norms at least, counters aside. A network of
# far more tensors than the file is not built to see that.
TENSORS_OF_BLOCK = 10
DEEPER = 4


@dataclasses.dataclass(frozen=True)
class Fit:
    """How well a file's tensors fit one network in one layout.

    Args:
        layout: whose names they would be.
        network: the network on the meta device, with the file's classes and channels.
        tensors: the file's tensors by the layout's names; those outside `prefix` by their own.
        unplaced: names in the file that the network has no place for.
        missing: what the network needs and the file lacks, by the layout's names.
        misshapen: what has another shape than the network needs, a sentence each.
        agreement: 2 |both| / (|file| + |network|), where both are the tensors that file and
            network share by name and shape; 1 for a perfect fit.
        prefix: what was taken off the names of the network's tensors.
    """

    layout: Layout
    network: Network
    tensors: Mapping[str, torch.Tensor]
    unplaced: tuple[str, ...]
    missing: tuple[str, ...]
    misshapen: tuple[str, ...]
    agreement: float
    prefix: str = ""

    __repr__ = short_repr

    @property
    def faults(self) -> int:
        """The number of tensors that do not fit."""
        return len(self.unplaced) + len(self.missing) + len(self.misshapen)


def recognise(
    weights: Weights,
    *,
    name: str | None = None,
    layout: str | None = None,
    stem: Stem | None = None,
) -> Fit:
    """Return the best fit among the networks and layouts that are known.

    Names and shapes have to agree: a network is never the nearest because it has about as many
    tensors.

    Args:
        weights: what was read.
        name: the network that it has to be; None for any.
        layout: whose names they have to be; None for any.
        stem: the stem that the network has to have; None for its own.

    Raises:
        CheckpointError: the file holds two networks under different prefixes.
        UsageError: an unknown name, or a network that no layout has names for.
    """
    candidates = list(_candidates(weights, name, layout, stem))
    if not candidates:
        raise UsageError(
            f"there are no names of other programs for {name}",
            remedy="see 'reslab weights import --help' for the programs and networks",
        )
    if name is None:
        candidates = _possible(candidates, weights.tensors) or candidates[:1]
    best = _best(candidates, weights.tensors)
    if best.faults == 0:
        return best
    return _behind_prefix(candidates, weights, best)


def _possible(
    candidates: Sequence[tuple[Layout, NetworkSpec]], tensors: Mapping[str, torch.Tensor]
) -> list[tuple[Layout, NetworkSpec]]:
    """Leave out, before they are built, networks that share no kind of name or are far deeper.

    Kinds of names (numbers aside) are those of the first network of a family in a layout, for
    each of its variants: Inception v4 has other names than Inception-ResNet.
    """
    kinds = {f".{_kind_of_name(name)}" for name in tensors}
    shared: dict[tuple[object, ...], bool] = {}
    found = []
    for layout, spec in candidates:
        if isinstance(spec, ResNetSpec):
            blocks = sum(stage.depth for stage in spec.stages)
            if TENSORS_OF_BLOCK * blocks > DEEPER * len(tensors):
                continue
        family = (layout.name, type(spec), *_variant(spec))
        if family not in shared:
            own = {f".{_kind_of_name(each.name)}" for each in _signature(layout.name, spec).tensors}
            shared[family] = any(kind.endswith(tuple(own)) for kind in kinds)
        if shared[family]:
            found.append((layout, spec))
    return found


def _variant(spec: NetworkSpec) -> tuple[str, ...]:
    """Return the words of a specification besides its name: what is not a number decides names."""
    values = (
        getattr(spec, field.name) for field in dataclasses.fields(spec) if field.name != "name"
    )
    return tuple(value for value in values if isinstance(value, str))


def _kind_of_name(name: str) -> str:
    """Return a name without its numbers."""
    return re.sub(r"\d+", "#", name)


def _best(
    candidates: Sequence[tuple[Layout, NetworkSpec]], tensors: Mapping[str, torch.Tensor]
) -> Fit:
    """Return the first perfect fit, else the one of the highest agreement."""
    ranked: list[tuple[float, Layout, NetworkSpec]] = []
    for layout, spec in candidates:
        agreement = _agreement(layout, spec, tensors)
        if agreement == 1:
            found = fit(layout, spec, tensors)
            if found.faults == 0:
                return found
        ranked.append((agreement, layout, spec))
    _, layout, spec = max(ranked, key=lambda each: each[0])
    return fit(layout, spec, tensors)


def _behind_prefix(
    candidates: Sequence[tuple[Layout, NetworkSpec]], weights: Weights, plain: Fit
) -> Fit:
    """Look for a network whose names all begin with a word of the user's own program."""
    # Few names end as that of a network's last convolution.
    last = {_signature(layout.name, spec).last_convolution for layout, spec in candidates} - {""}
    prefixes = {
        name.removesuffix(key)
        for name in weights.tensors
        for key in last
        if name.endswith(f".{key}")
    }
    found = []
    for prefix in sorted(prefixes):
        inside = {
            name.removeprefix(prefix): value
            for name, value in weights.tensors.items()
            if name.startswith(prefix)
        }
        fitting = _best(candidates, inside)
        if fitting.agreement >= CLEAR:
            found.append((prefix, inside, fitting))
    if len(found) > 1:
        keys = [prefix.removesuffix(".") for prefix, _, _ in found]
        raise CheckpointError(
            f"{weights.path} holds {len(found)} networks: under {', '.join(keys)}",
            remedy=f"choose one, e.g. --key {keys[0]}",
        )
    if not found or found[0][2].agreement <= plain.agreement:
        return plain
    ((prefix, inside, fitting),) = found
    outside = tuple(name for name in weights.tensors if not name.startswith(prefix))
    return dataclasses.replace(
        fitting,
        tensors={**{name: weights.tensors[name] for name in outside}, **inside},
        unplaced=(*fitting.unplaced, *outside),
        prefix=prefix,
    )


class _Expected(NamedTuple):
    """A tensor that a network has by a layout's names.

    Args:
        name: by the layout.
        shape: with the catalogue's classes and channels.
        may_lack: whether a file may be without it.
        is_end: whether its shape depends on classes or channels.
    """

    name: str
    shape: torch.Size
    may_lack: bool
    is_end: bool


class _Signature(NamedTuple):
    """What a network looks like in a layout: its tensors but for counters, its last filter."""

    tensors: tuple[_Expected, ...]
    last_convolution: str


@functools.lru_cache(maxsize=512)
def _signature(layout: str, spec: NetworkSpec) -> _Signature:
    """Return names and shapes of a network, kept: they are compared with every file."""
    template = _template(spec)
    keys, own = LAYOUTS[layout].keys(template), template.state_dict()
    ends = {CLASSIFIER, CLASSIFIER.replace("weight", "bias"), _first_layer(template)}
    filters = [
        ours for ours, value in own.items() if ours.startswith("stages.") and value.dim() == 4
    ]
    return _Signature(
        tuple(
            _Expected(theirs, own[ours].shape, _may_lack(ours) or ours in ends, ours in ends)
            for ours, theirs in keys.items()
            if not ours.endswith(OPTIONAL)
        ),
        keys[filters[-1]] if filters else "",
    )


def _agreement(layout: Layout, spec: NetworkSpec, tensors: Mapping[str, torch.Tensor]) -> float:
    """Compare names and shapes without a whole fit: quick, and blind to classes and channels."""
    both = needed = 0
    for name, shape, may_lack, is_end in _signature(layout.name, spec).tensors:
        found = tensors.get(name)
        if found is None:
            needed += not may_lack
            continue
        needed += 1
        same = found.shape == shape or (
            found.numel() == shape.numel() and found.shape[:1] == shape[:1]
        )
        both += same or (is_end and found.dim() == len(shape))
    in_file = sum(not name.endswith(OPTIONAL) for name in tensors)
    return 2 * both / (in_file + needed) if in_file + needed else 0.0


def _first_layer(network: Network) -> str:
    return next(name for name, value in network.state_dict().items() if value.dim() in (1, 4))


def _may_lack(key: str) -> bool:
    return key.endswith(OPTIONAL) or key.startswith("auxiliary.")


def fit(layout: Layout, spec: NetworkSpec, tensors: Mapping[str, torch.Tensor]) -> Fit:
    """Compare a file's names and shapes with those of a network."""
    template = _template(spec)
    network = _on_meta(_with_ends_of(spec, template, layout.keys(template), tensors))
    keys = layout.keys(network)
    own, theirs = network.state_dict(), set(keys.values())
    adapted = layout.to_ours(network, tensors)
    return Fit(
        layout,
        network,
        tensors,
        unplaced=tuple(key for key in tensors if key not in theirs),
        missing=tuple(keys[ours] for ours in own if ours not in adapted and not _may_lack(ours)),
        misshapen=tuple(
            f"{keys[ours]} is {tuple(value.shape)}, {spec.name} has {tuple(own[ours].shape)}"
            f"{_transposed(ours, value.shape, own[ours].shape)}"
            for ours, value in adapted.items()
            if value.shape != own[ours].shape
        ),
        agreement=_agreement(layout, spec, tensors),
    )


def _transposed(key: str, found: torch.Size, needed: torch.Size) -> str:
    """Hint at a linear layer whose sides are swapped, as other programs keep them."""
    swapped = len(found) == len(needed) == 2 and found != needed and found[0] == needed[1]
    return " (transposed?)" if swapped and (key == CLASSIFIER or found[1] == needed[0]) else ""


def _candidates(
    weights: Weights, name: str | None, layout: str | None, stem: Stem | None
) -> Iterator[tuple[Layout, NetworkSpec]]:
    """Yield what to try, the likeliest first."""
    layouts = [LAYOUTS[layout]] if layout is not None else [LAYOUTS[each] for each in LAYOUTS]
    told = str(weights.config.get("architecture", ""))
    if told:  # timm writes it
        layouts.sort(key=lambda each: each is not TIMM)
    if name is not None:
        spec = networks.entry(name).spec
        knowing = [each for each in layouts if each.knows(spec)]
        for each in sorted(knowing, key=lambda each: name not in each.networks):
            yield from ((each, form) for form in _forms(each, spec, stem))
        return
    for each in layouts:
        names = sorted(
            each.networks,
            key=lambda ours, layout=each: (  # type: ignore[misc]
                layout.networks[ours] != told,
                bool(contradiction(weights.config, layout, networks.entry(ours).spec)),
            ),
        )
        for ours in names:
            yield from ((each, form) for form in _forms(each, networks.entry(ours).spec, stem))


def _forms(layout: Layout, spec: NetworkSpec, stem: Stem | None) -> list[NetworkSpec]:
    """Return a network with the stem asked for, or with those that the layout has it with."""
    small = networks.replace(spec, img_size=32)
    if stem is not None:
        return [(small if stem == "small" else spec).with_stem(stem)]
    if layout.small_stem and spec.img_size > 64:
        return [small.with_stem("small"), spec]
    return [spec]


def _with_ends_of(
    spec: NetworkSpec,
    network: Network,
    keys: Mapping[str, str],
    tensors: Mapping[str, torch.Tensor],
) -> NetworkSpec:
    """Give a network the file's number of classes and of input channels."""
    classifier = tensors.get(keys[CLASSIFIER])
    ours = _first_layer(network)
    first = network.state_dict()[ours]
    found = tensors.get(keys[ours])
    in_chans = spec.in_chans
    if found is not None and found.dim() == first.dim():
        in_chans = int(found.shape[1 if found.dim() == 4 else 0])
    return networks.replace(
        spec, num_classes=0 if classifier is None else len(classifier), in_chans=in_chans
    )


@functools.lru_cache(maxsize=256)
def _template(spec: NetworkSpec) -> Network:
    """Build a network on the meta device once; for looking at only."""
    return _on_meta(spec)


def _on_meta(spec: NetworkSpec) -> Network:
    with torch.device("meta"):
        return build(spec)
