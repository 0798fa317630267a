"""Networks by name: the surface that users of timm know by heart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, overload

from reslab import networks
from reslab.errors import UsageError
from reslab.networks import Stem
from reslab.networks.network import FeatureMaps, Network, build


@overload
def create_model(
    name: str,
    pretrained: str | Path | None = None,
    num_classes: int | None = None,
    in_chans: int | None = None,
    img_size: int | None = None,
    features_only: Literal[False] = False,
    stem: Stem | None = None,
    out_indices: Sequence[int] | None = None,
) -> Network: ...
@overload
def create_model(
    name: str,
    pretrained: str | Path | None = None,
    num_classes: int | None = None,
    in_chans: int | None = None,
    img_size: int | None = None,
    *,
    features_only: Literal[True],
    stem: Stem | None = None,
    out_indices: Sequence[int] | None = None,
) -> FeatureMaps: ...
def create_model(
    name: str,
    pretrained: str | Path | None = None,
    num_classes: int | None = None,
    in_chans: int | None = None,
    img_size: int | None = None,
    features_only: bool = False,
    stem: Stem | None = None,
    out_indices: Sequence[int] | None = None,
) -> Network | FeatureMaps:
    """Build a network of the catalogue, newly initialised or with the weights of a trained one.

    Args:
        name: a name that `list_models` gives.
        pretrained: a run directory or a model folder of reslab with the same network; a file
            of weights of another program (torchvision, timm, ...; see
            ``reslab weights import``); or ``hf-hub:owner/name``, a repository with either. The
            classifier is kept where `num_classes` is not given or the same, and replaced by a
            new one otherwise. With other `in_chans`, the first convolution is spread over the
            new channels so that a grey image gives the same output as before.
        num_classes: number of logits; 0 for none.
        in_chans: channels of the input image.
        img_size: side of the input that the network is meant for, in pixels.
        features_only: return the feature maps of the stem and of each stage instead of logits.
        stem: "small" for one 3x3 convolution of stride 1, "imagenet" for 7x7 of stride 2 with
            a max pool, instead of the network's own.
        out_indices: with `features_only`: which of the maps; all of them if not given.

    Raises:
        UsageError: an unknown name, or values that the network cannot take.
        CheckpointError: `pretrained` cannot be read.
        MachineError: the hub cannot be reached, or a package that `pretrained` needs is missing.
    """
    if out_indices is not None and not features_only:
        raise UsageError("out_indices chooses among feature maps", remedy="set features_only=True")
    spec = named_spec(name, img_size=img_size, stem=stem)
    if pretrained is None:
        network = build(_with_ends(spec, num_classes, in_chans))
    else:
        network = _trained(spec, pretrained, num_classes, in_chans, img_size, stem)
    return FeatureMaps(network, out_indices) if features_only else network


def named_spec(
    name: str,
    *,
    num_classes: int | None = None,
    in_chans: int | None = None,
    img_size: int | None = None,
    stem: Stem | None = None,
) -> networks.NetworkSpec:
    """Return the specification of a network of the catalogue with some values changed.

    Raises:
        UsageError: an unknown name, or values that the network cannot take.
    """
    spec = networks.entry(name).spec
    if stem is not None:
        spec = spec.with_stem(stem)
    if img_size is not None:
        spec = networks.replace(spec, img_size=img_size)
    return _with_ends(spec, num_classes, in_chans)


def _with_ends(
    spec: networks.NetworkSpec, num_classes: int | None, in_chans: int | None
) -> networks.NetworkSpec:
    return networks.replace(
        spec,
        num_classes=spec.num_classes if num_classes is None else num_classes,
        in_chans=spec.in_chans if in_chans is None else in_chans,
    )


def _trained(
    wanted: networks.NetworkSpec,
    pretrained: str | Path,
    num_classes: int | None,
    in_chans: int | None,
    img_size: int | None,
    stem: Stem | None,
) -> Network:
    """Load a trained network, check that it is the one that was asked for, fit its ends."""
    # Only here, so that a new network needs its own family's file alone.
    from reslab.networks.surgery import adapt_channels
    from reslab.weights.source import load_network

    network = load_network(pretrained, wanted.name, stem)
    found = network.spec
    if found.name != wanted.name:
        raise UsageError(
            f"{pretrained} holds a {found.name}, asked for was {wanted.name}",
            remedy=f"create_model('{found.name}', pretrained=...)",
        )
    if stem is not None and found.with_stem(stem) != found:
        raise UsageError(
            f"{pretrained} holds a {found.name} with another stem than '{stem}'",
            remedy="leave the stem out: a trained network brings its own",
        )
    if img_size is not None:
        network.spec = networks.replace(found, img_size=img_size)
    if in_chans is not None and in_chans != found.in_chans:
        network = adapt_channels(network, in_chans)
    if num_classes is not None and num_classes != found.num_classes:
        network.reset_classifier(num_classes)
    return network.train()
