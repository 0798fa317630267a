"""Other people's weights into a network of ours, and a network's weights into their form."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence

import torch
from torch import nn

from reslab import artifact, networks
from reslab.display.short import short_repr
from reslab.errors import CheckpointError, UsageError
from reslab.networks import NetworkSpec, Stem
from reslab.networks.network import Network, build
from reslab.weights import strangers, transformers_config
from reslab.weights.blocks import other_blocks
from reslab.weights.layout import Layout, ZeroPadding
from reslab.weights.read import Weights
from reslab.weights.recognise import OPTIONAL, Fit, recognise
from reslab.weights.share import LEAST, Share, share_of
from reslab.weights.timm_config import contradiction

STATISTICS = ("running_mean", "running_var")
# Below this agreement of names and shapes, no network is the nearest.
NEAR = 0.5


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
        share: how much of the file was taken, and how much of the network comes from it.
    """

    network: Network
    layout: Layout
    notes: tuple[str, ...]
    unplaced: tuple[str, ...]
    missing: tuple[str, ...]
    share: Share

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
        allow_partial: leave out tensors that do not fit, and initialise what is missing; a
            classifier above new layers is left out too.

    Raises:
        MisfitError: the file fits no network; or tensors do not fit, and `allow_partial` is not
            set or less than half of the network's layers would come from the file.
        CheckpointError: the values are quantised or no numbers, or the description beside
            them tells of another network, and `name` is not given.
        UsageError: an unknown name.
    """
    found = recognise(weights, name=name, layout=layout, stem=stem)
    if name is None and found.agreement < NEAR:
        about, remedy = strangers.described(weights)
        raise MisfitError(f"{weights.path} fits no network known here: {about}", (), remedy=remedy)
    notes = [*weights.notes]
    if found.prefix:
        notes.append(f"took the prefix '{found.prefix}' off the names")
    tensors = found.layout.to_ours(found.network, found.tensors, zero_padding)
    _refuse_values(found, tensors, str(weights.path))
    notes.extend(_empty_filters(found, tensors, str(weights.path)))
    absorbed = _absorb_biases(found, found.tensors, tensors)
    if absorbed:
        notes.append(
            f"{len(absorbed)} biases of convolutions became part of the mean of the batch norm "
            "behind them"
        )
        rest = tuple(key for key in found.unplaced if key not in absorbed)
        found = dataclasses.replace(found, unplaced=rest)
    share = _share(found, tensors, absorbed)
    if found.faults and not (allow_partial and share.backbone >= LEAST and not other_blocks(found)):
        raise _misfit(found, share, weights, name)
    notes.extend(_doubts(found, weights, name))
    network, missing, changed = _filled(found, tensors, str(weights.path))
    notes.extend(changed)
    if found.faults:
        share = _share(dataclasses.replace(found, network=network), tensors, absorbed)
    return Converted(network.eval(), found.layout, tuple(notes), found.unplaced, missing, share)


def _share(found: Fit, tensors: Mapping[str, torch.Tensor], absorbed: Collection[str]) -> Share:
    own, keys = found.network.state_dict(), found.layout.keys(found.network)
    fitting = {
        key for key, value in tensors.items() if key in own and value.shape == own[key].shape
    }
    taken = {keys[key] for key in fitting} | set(absorbed)
    return share_of(found.network, fitting, found.tensors, taken)


def _doubts(found: Fit, weights: Weights, name: str | None) -> list[str]:
    """Hold a recognised network against what the file's description tells of it.

    Raises:
        CheckpointError: they contradict each other, and the network was not asked for.
    """
    ours, layout = found.network.spec, found.layout
    notes: list[str] = []
    doubt = contradiction(weights.config, layout, ours.name)
    doubt = doubt or transformers_config.contradiction(weights.config, layout, ours)
    if doubt and name is None:
        raise CheckpointError(
            f"{weights.path} has the tensors of {ours.name}, but {doubt}",
            remedy=f"--as {ours.name} takes it for that all the same",
        )
    if doubt:
        notes.append(f"{doubt}; its weights were taken for {ours.name} as asked for")
    untold = transformers_config.untold(weights.config, layout, ours)
    if untold and name is None:
        notes.append(untold)
    if ours.name not in layout.networks:
        notes.append(
            f"{layout.name} has no network that computes what {ours.name} does; "
            "its weights were taken for it as asked for"
        )
    return notes


def _filled(
    found: Fit, tensors: Mapping[str, torch.Tensor], where: str
) -> tuple[Network, tuple[str, ...], list[str]]:
    """Put tensors into a network; what they lack is initialised.

    A classifier on top of layers that are partly new tells classes apart by chance: it is left
    out, so that the model can be trained on, but not predict.

    Returns:
        The network, the names of what is new in it, and what was changed, a sentence each.
    """
    meta = found.network
    notes: list[str] = []
    own, keys = meta.state_dict(), found.layout.keys(meta)
    fitting = {key: value for key, value in tensors.items() if value.shape == own[key].shape}
    for key in own:
        if key.endswith(OPTIONAL) and key not in fitting:
            fitting[key] = torch.tensor(0)
    added = [key for key in own if key not in fitting]
    if not added:
        # A copy: what was read may share or map memory, and is not ours.
        ours = {key: value.clone() for key, value in fitting.items()}
        artifact.load_weights(meta, ours, where=where, assign=True)
        return meta, (), notes
    if all(key.startswith("auxiliary.") for key in added):
        notes.append("the auxiliary heads, which only training uses, are new")
    elif meta.spec.num_classes:
        meta = _without_classifier(meta)
        only = all(key.startswith("head.classifier.") for key in added)
        why = "the classifier does not fit" if only else "layers before the classifier are new"
        notes.append(f"{why}, so it was left out: train on from the rest")
    statistics = [key for key in added if key.endswith(STATISTICS)]
    if statistics:
        notes.append(
            f"{len(statistics)} statistics of batch norms are missing and were set to mean 0 and "
            "variance 1"
        )
    network = build(meta.spec)
    state = network.state_dict()
    kept = {key: value for key, value in fitting.items() if key in state}
    artifact.load_weights(network, {**state, **kept}, where=where)
    wrong = {sentence.partition(" is ")[0]: sentence for sentence in found.misshapen}
    new = [keys[key] for key in added if key in state and not key.startswith("auxiliary.")]
    return network, tuple(wrong.get(key, key) for key in new), notes


def _without_classifier(meta: Network) -> Network:
    with torch.device("meta"):
        return build(networks.replace(meta.spec, num_classes=0))


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


def _refuse_values(found: Fit, tensors: Mapping[str, torch.Tensor], where: str) -> None:
    """Refuse whole numbers where the network computes with real ones, and what is no number."""
    own, keys = found.network.state_dict(), found.layout.keys(found.network)
    broken = []
    for key, value in tensors.items():
        if not own[key].is_floating_point():
            continue
        if not value.is_floating_point():
            raise _not_real(keys[key], value, where)
        if value.layout is not torch.strided or value.is_meta:
            kind = "without its values" if value.is_meta else "as a sparse tensor"
            raise CheckpointError(
                f"{where} holds {keys[key]} {kind}",
                remedy="save the state_dict() of the whole network, with dense tensors",
            )
        # Eight-bit floating-point types have no test of their own.
        wide = value.float() if value.element_size() == 1 else value
        negative = key.endswith("running_var") and bool((wide < 0).any())
        if negative or not bool(torch.isfinite(wide).all()):
            broken.append(keys[key])
    if broken:
        more = f" and {len(broken) - 1} other tensors" if len(broken) > 1 else ""
        raise CheckpointError(
            f"{where} holds NaN, infinite numbers or negative variances in {broken[0]}{more}",
            remedy="take a checkpoint from before its training diverged, or download it again",
        )


def _not_real(name: str, value: torch.Tensor, where: str) -> CheckpointError:
    kind = str(value.dtype).removeprefix("torch.")
    if value.is_complex() or value.dtype is torch.bool:
        return CheckpointError(f"{where} holds {name} as {kind}, not as real numbers")
    return CheckpointError(
        f"{where} holds {name} as {kind}: the weights are quantised",
        remedy="take the weights from before they were quantised",
    )


def _empty_filters(found: Fit, tensors: Mapping[str, torch.Tensor], where: str) -> list[str]:
    """Say which filters hold nothing but zeros.

    Raises:
        CheckpointError: all of them do.
    """
    keys = found.layout.keys(found.network)
    filters = {key: value for key, value in tensors.items() if value.dim() >= 2}
    zero = [keys[key] for key, value in filters.items() if not value.any()]
    if filters and len(zero) == len(filters):
        raise CheckpointError(
            f"{where} holds nothing but zeros in all {len(zero)} filters",
            remedy="save it again from the trained network",
        )
    more = f" and {len(zero) - 1} more" if len(zero) > 1 else ""
    return [f"nothing but zeros is in {zero[0]}{more}"] if zero else []


def _misfit(found: Fit, share: Share, weights: Weights, name: str | None) -> MisfitError:
    details = [
        *(f"no place for {key}" for key in found.unplaced),
        *(f"missing {key}" for key in found.missing),
        *found.misshapen,
    ]
    ours, layout = found.network.spec.name, found.layout.possessive
    shown = ", ".join(details[:3]) + (f" and {len(details) - 3} more" if len(details) > 3 else "")
    what = f"does not fit {ours} by {layout} names"
    if name is None:
        what = f"fits no network; the nearest is {ours} by {layout} names"
    remedy = "" if name is not None else "name the network (--as)"
    blocks = other_blocks(found)
    if blocks and share.backbone:
        what += f": {blocks}, so they compute something else"
    elif share.backbone < LEAST:
        part = "no part" if not share.backbone else f"only {100 * share.backbone:.1f}%"
        what += (
            f": {part} of its layers before the head is in the file "
            f"({share.taken_tensors} of {share.file_tensors} tensors fit), "
            f"less than the {LEAST:.0%} that --allow-partial needs"
        )
    else:
        remedy += f"{', or ' if remedy else ''}leave these out (--allow-partial)"
    if found.missing and all(key.endswith(STATISTICS) for key in found.missing):
        what += ", for the running statistics of its batch norms are missing"
    if name is not None:
        other = recognise(weights)
        if other.faults == 0:
            remedy = f"it fits {other.network.spec.name} of {other.layout.name}: leave --as out"
    return MisfitError(f"{weights.path} {what} ({shown})", details, remedy=remedy)


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
    named = networks.entry(spec.name).spec
    if stem is not None:
        named = named.with_stem(stem)
    free = ("num_classes", "in_chans", "img_size", "dropout")
    return networks.replace(named, **{field: getattr(spec, field) for field in free}) == spec
