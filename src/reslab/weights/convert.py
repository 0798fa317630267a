"""Other people's weights into a network of ours, and a network's weights into their form."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from reslab import artifact, catalog
from reslab import spec as specs
from reslab.display.short import short_repr
from reslab.errors import CheckpointError, UsageError
from reslab.nn import Network, build
from reslab.spec import NetworkSpec, Stem
from reslab.weights.layout import Layout, ZeroPadding
from reslab.weights.read import Weights
from reslab.weights.recognise import OPTIONAL, Fit, recognise
from reslab.weights.timm_config import contradiction


class MisfitError(CheckpointError):
    """Weights that fit no network, or not the one asked for.

    Args:
        message: what fits best and how many tensors do not.
        details: every tensor that does not fit, a line each.
    """

    def __init__(self, message: str, details: Sequence[str], *, remedy: str) -> None:
        super().__init__(message, remedy=remedy)
        self.details = tuple(details)


@dataclasses.dataclass(frozen=True)
class Converted:
    """A network with weights that another program wrote.

    Args:
        network: in evaluation mode, on the CPU.
        layout: whose names the file has.
        notes: what was changed or assumed on the way, a sentence each.
        unplaced: names in the file that were left out.
        missing: what the file lacks, by its program's names; newly initialised.
    """

    network: Network
    layout: Layout
    notes: tuple[str, ...]
    unplaced: tuple[str, ...]
    missing: tuple[str, ...]

    __repr__ = short_repr


def convert(
    weights: Weights,
    *,
    name: str | None = None,
    layout: str | None = None,
    stem: Stem | None = None,
    zero_padding: ZeroPadding | None = None,
    allow_partial: bool = False,
) -> Converted:
    """Turn weights of another program into a network of ours that computes the same.

    Args:
        weights: what `read` gave.
        name: the network; None to recognise it by names and shapes.
        layout: whose names they are; None to recognise it.
        stem: "small" or "imagenet" where the network was built with another stem than its own.
        zero_padding: where shortcut option A put the new channels; None for the layout's way.
        allow_partial: leave out tensors that do not fit, and initialise what is missing.

    Raises:
        MisfitError: tensors do not fit, and `allow_partial` is not set.
        CheckpointError: the values are quantised, or the description beside them tells of another
            network, and `name` is not given.
        UsageError: an unknown name.
    """
    found = recognise(weights, name=name, layout=layout, stem=stem)
    notes = [*weights.notes]
    tensors = found.layout.to_ours(found.network, weights.tensors, zero_padding)
    _refuse_quantised(found, tensors, str(weights.path))
    absorbed = _absorb_biases(found, weights.tensors, tensors)
    if absorbed:
        notes.append(
            f"{len(absorbed)} biases of convolutions became part of the mean of the batch norm "
            "behind them"
        )
        rest = tuple(key for key in found.unplaced if key not in absorbed)
        found = dataclasses.replace(found, unplaced=rest)
    if found.faults and not allow_partial:
        raise _misfit(found, weights, name)
    spec = found.network.spec
    doubt = contradiction(weights.config, found.layout, spec.name)
    if doubt and name is None:
        raise CheckpointError(
            f"{weights.path} has the tensors of {spec.name}, but {doubt}",
            remedy=f"--as {spec.name} takes it for that all the same",
        )
    if doubt:
        notes.append(f"{doubt}; its weights were taken for {spec.name} as asked for")
    if spec.name not in found.layout.networks:
        notes.append(
            f"{found.layout.name} has no network that computes what {spec.name} does; "
            "its weights were taken for it as asked for"
        )
    network, added = _filled(found.network, tensors, str(weights.path))
    if any(key.startswith("auxiliary.") for key in added):
        notes.append("the auxiliary heads, which only training uses, are new")
    missing = (*found.missing, *found.misshapen)
    return Converted(network.eval(), found.layout, tuple(notes), found.unplaced, missing)


def _filled(
    meta: Network, tensors: Mapping[str, torch.Tensor], where: str
) -> tuple[Network, list[str]]:
    """Put tensors into a network; what they lack is initialised and named."""
    own = meta.state_dict()
    fitting = {key: value for key, value in tensors.items() if value.shape == own[key].shape}
    for key in own:
        if key.endswith(OPTIONAL) and key not in fitting:
            fitting[key] = torch.tensor(0)
    added = [key for key in own if key not in fitting]
    if added:
        network = build(meta.spec)
        artifact.load_weights(network, {**network.state_dict(), **fitting}, where=where)
    else:
        network = meta
        # A copy: what was read may share or map memory, and is not ours.
        ours = {key: value.clone() for key, value in fitting.items()}
        artifact.load_weights(network, ours, where=where, assign=True)
    return network, added


def _absorb_biases(
    found: Fit, theirs: Mapping[str, torch.Tensor], ours: dict[str, torch.Tensor]
) -> set[str]:
    """BN(W x + b) is BN(W x) with the running mean less b: move such biases there.

    Returns:
        The names in the file that have found their place so.
    """
    placed = set()
    keys = found.layout.keys(found.network)
    for conv, norm in _convolutions_before_norms(found.network):
        bias = keys[f"{conv}.weight"].removesuffix("weight") + "bias"
        mean = f"{norm}.running_mean"
        if bias in theirs and mean in ours and theirs[bias].shape == ours[mean].shape:
            ours[mean] = ours[mean] - theirs[bias]
            placed.add(bias)
    return placed


def _convolutions_before_norms(network: Network) -> Iterator[tuple[str, str]]:
    """Yield the names of each convolution without bias and of the batch norm right behind it."""
    for parent, module in network.named_modules():
        if type(module).forward is not nn.Sequential.forward:
            continue
        for (first, conv), (second, norm) in itertools.pairwise(module.named_children()):
            if not (isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)):
                continue
            if conv.bias is None and conv.out_channels == norm.num_features:
                yield f"{parent}.{first}", f"{parent}.{second}"


def _refuse_quantised(found: Fit, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Refuse whole numbers where the network computes with real ones."""
    own, keys = found.network.state_dict(), found.layout.keys(found.network)
    for key, value in tensors.items():
        if own[key].is_floating_point() and not value.is_floating_point():
            kind = str(value.dtype).removeprefix("torch.")
            raise CheckpointError(
                f"{where} holds {keys[key]} as {kind}: the weights are quantised",
                remedy="take the weights from before they were quantised",
            )


def _misfit(found: Fit, weights: Weights, name: str | None) -> MisfitError:
    details = [
        *(f"no place for {key}" for key in found.unplaced),
        *(f"missing {key}" for key in found.missing),
        *found.misshapen,
    ]
    ours, layout = found.network.spec.name, found.layout.name
    shown = ", ".join(details[:3]) + (f" and {len(details) - 3} more" if len(details) > 3 else "")
    if name is None:
        what = f"fits no network; the nearest is {ours} by {layout}'s names"
        remedy = "name the network (--as), or leave these out (--allow-partial)"
    else:
        what = f"does not fit {ours} by {layout}'s names"
        other = recognise(weights)
        remedy = "leave these out with --allow-partial"
        if other.faults == 0:
            remedy = f"it fits {other.network.spec.name} of {other.layout.name}: leave --as out"
    return MisfitError(f"{weights.path} {what}: {shown}", details, remedy=remedy)


def to_layout(network: Network, layout: Layout) -> dict[str, torch.Tensor]:
    """Return a network's tensors as another program would have named and arranged them.

    Raises:
        UsageError: the program has no network that computes the same.
    """
    spec = network.spec
    if not layout.writable:
        raise UsageError(f"files for {layout.name} can only be read")
    if spec.name not in layout.networks:
        have = ", ".join(layout.networks)
        raise UsageError(
            f"{layout.name} has no network that computes what {spec.name} does (it has {have})"
        )
    if not (_is_as_catalogued(spec) or (layout.small_stem and _is_as_catalogued(spec, "small"))):
        raise UsageError(
            f"{layout.name} has {spec.name}, but not with another stem or other layers than its own"
        )
    return layout.to_theirs(network)


def _is_as_catalogued(spec: NetworkSpec, stem: Stem | None = None) -> bool:
    """Tell whether a network is the one of its name, but for its ends, input size and dropout."""
    named = catalog.entry(spec.name).spec
    if stem is not None:
        named = named.with_stem(stem)
    free = ("num_classes", "in_chans", "img_size", "dropout")
    return specs.replace(named, **{field: getattr(spec, field) for field in free}) == spec
