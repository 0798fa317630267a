"""Which network, named by whom, a file of weights belongs to."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping

import torch

from reslab import catalog
from reslab import spec as specs
from reslab.display.short import short_repr
from reslab.errors import UsageError
from reslab.nn import Network, build
from reslab.spec import NetworkSpec, Stem
from reslab.weights.layout import Layout
from reslab.weights.layouts import LAYOUTS, TIMM
from reslab.weights.read import Weights

CLASSIFIER = "head.classifier.weight"
# What a file may lack: counters that old programs did not write.
OPTIONAL = ".num_batches_tracked"


@dataclasses.dataclass(frozen=True)
class Fit:
    """How well a file's tensors fit one network in one layout.

    Args:
        layout: whose names they would be.
        network: the network on the meta device, with the file's classes and channels.
        unplaced: names in the file that the network has no place for.
        missing: what the network needs and the file lacks, by the layout's names.
        misshapen: what has another shape than the network needs, a sentence each.
    """

    layout: Layout
    network: Network
    unplaced: tuple[str, ...]
    missing: tuple[str, ...]
    misshapen: tuple[str, ...]

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

    Args:
        weights: what was read.
        name: the network that it has to be; None for any.
        layout: whose names they have to be; None for any.
        stem: the stem that the network has to have; None for its own.

    Raises:
        UsageError: an unknown name, or a network that no layout has names for.
    """
    best: Fit | None = None
    others: list[tuple[int, Layout, NetworkSpec]] = []
    for candidate, spec in _candidates(weights, name, layout, stem):
        misnamed = _misnamed(candidate, spec, weights.tensors)
        if misnamed:
            others.append((misnamed, candidate, spec))
            continue
        best = _better(best, fit(candidate, spec, weights.tensors))
        if best.faults == 0:
            return best
    for misnamed, candidate, spec in sorted(others, key=lambda each: each[0]):
        if best is not None and misnamed >= best.faults:
            break
        best = _better(best, fit(candidate, spec, weights.tensors))
    if best is None:
        raise UsageError(
            f"there are no names of other programs for {name}",
            remedy="see 'reslab weights import --help' for the programs and networks",
        )
    return best


def _better(best: Fit | None, found: Fit) -> Fit:
    return found if best is None or found.faults < best.faults else best


def _misnamed(layout: Layout, spec: NetworkSpec, tensors: Mapping[str, torch.Tensor]) -> int:
    """Count names that only the file or only the network has: quicker than a whole fit."""
    keys = layout.keys(_template(spec))
    ends = {keys[CLASSIFIER], keys[CLASSIFIER].replace("weight", "bias")}
    needed = {theirs for ours, theirs in keys.items() if not _may_lack(ours)} - ends
    return len(tensors.keys() - set(keys.values())) + len(needed - tensors.keys())


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
        unplaced=tuple(key for key in tensors if key not in theirs),
        missing=tuple(keys[ours] for ours in own if ours not in adapted and not _may_lack(ours)),
        misshapen=tuple(
            f"{keys[ours]} is {tuple(value.shape)}, {spec.name} has {tuple(own[ours].shape)}"
            for ours, value in adapted.items()
            if value.shape != own[ours].shape
        ),
    )


def _candidates(
    weights: Weights, name: str | None, layout: str | None, stem: Stem | None
) -> Iterator[tuple[Layout, NetworkSpec]]:
    """Yield what to try, the likeliest first."""
    layouts = [LAYOUTS[layout]] if layout is not None else [LAYOUTS[each] for each in LAYOUTS]
    told = str(weights.config.get("architecture", ""))
    if told:  # timm writes it
        layouts.sort(key=lambda each: each is not TIMM)
    if name is not None:
        spec = catalog.entry(name).spec
        knowing = [each for each in layouts if each.knows(spec)]
        for each in sorted(knowing, key=lambda each: name not in each.networks):
            yield from ((each, form) for form in _forms(each, spec, stem))
        return
    for each in layouts:
        names = sorted(each.networks, key=lambda ours: each.networks[ours] != told)
        for ours in names:
            yield from ((each, form) for form in _forms(each, catalog.entry(ours).spec, stem))


def _forms(layout: Layout, spec: NetworkSpec, stem: Stem | None) -> list[NetworkSpec]:
    """Return a network with the stem asked for, or with those that the layout has it with."""
    small = specs.replace(spec, img_size=32)
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
    ours, first = next(
        (key, value) for key, value in network.state_dict().items() if value.dim() in (1, 4)
    )
    found = tensors.get(keys[ours])
    in_chans = spec.in_chans
    if found is not None and found.dim() == first.dim():
        in_chans = int(found.shape[1 if found.dim() == 4 else 0])
    return specs.replace(
        spec, num_classes=0 if classifier is None else len(classifier), in_chans=in_chans
    )


@functools.lru_cache(maxsize=256)
def _template(spec: NetworkSpec) -> Network:
    """Build a network on the meta device once; for looking at only."""
    return _on_meta(spec)


def _on_meta(spec: NetworkSpec) -> Network:
    with torch.device("meta"):
        return build(spec)
