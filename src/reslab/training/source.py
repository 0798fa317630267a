"""The trained model that a run starts from: what it decides, and how its weights are taken over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from reslab import artifact, durable, networks
from reslab.artifact import Artifact
from reslab.data.dataset import Digests
from reslab.data.record import read_record
from reslab.errors import UsageError
from reslab.networks.network import Network
from reslab.networks.surgery import deepen, deeper_names, deeper_spec
from reslab.runs.config import Config
from reslab.training.config import Request
from reslab.training.recipe import Recipe


def load_source(request: Request) -> Artifact | None:
    """Read the model that a run starts from or deepens; None where it starts from nothing.

    Raises:
        CheckpointError: it cannot be read.
        UsageError: there are two.
    """
    if request.start is not None and request.deepen_from is not None:
        raise UsageError(
            "a run starts from one model, as it is or deepened",
            remedy="give either --start or --deepen-from",
        )
    return None if request.source is None else artifact.load(request.source)


def seen_before(request: Request) -> Digests | None:
    """Return the images that the source was trained on; None where there is none, or no record."""
    if request.source is None:
        return None
    record = read_record(durable.current(artifact.find(request.source)))
    return None if record is None else record.seen


def origin_notes(source: Artifact | None) -> list[str]:
    """Say where a model was imported of whose weights only a part came from the file."""
    imported = source.provenance.get("imported") if source is not None else None
    share = imported.get("share") if isinstance(imported, Mapping) else None
    if not isinstance(share, Mapping):
        return []
    filled, whole = share.get("filled_values"), share.get("network_values")
    if not isinstance(filled, int) or not isinstance(whole, int) or filled >= whole:
        return []
    return [
        f"the start was imported in part: {whole - filled:,} of its {whole:,} numbers did not come "
        "from its file and are new"
    ]


def initial_spec(request: Request, source: Artifact | None) -> networks.NetworkSpec | None:
    """Return the network that the source prescribes, or None without one.

    Raises:
        UsageError: the source cannot be deepened to the network that was asked for.
    """
    if source is None:
        return None
    spec = source.network.spec
    if request.deepen_from is None:
        return spec
    if request.model == "auto":
        names = deeper_names(spec)
        raise UsageError(
            f"deepening a {spec.name} needs the name of the deeper network",
            remedy=f"add --model {' or '.join(names)}"
            if names
            else "train the deeper one from scratch",
        )
    return deeper_spec(spec, request.model)


def kept_settings(request: Request, source: Artifact | None) -> dict[str, Any]:
    """Return recipe fields that keep the images what they were before, where that matters.

    On the same data a deeper network then begins with the very logits of the trained one, and parts
    that stay fixed see images as they know them.
    """
    if source is None:
        return {}
    fitted = {"resize": source.preprocess.resize}
    if request.deepen_from is not None:
        pixel_mean = source.preprocess.mean_image is not None
        kept = {**fitted, "bit_depth": source.preprocess.bit_depth}
        return {**kept, "normalization": "pixel-mean" if pixel_mean else "channel"}
    if not request.overrides.get("freeze"):
        return {}
    return {**fitted, "bit_depth": source.preprocess.bit_depth, "normalization": "start"}


def refuse_other_weights(chosen: Recipe) -> None:
    """Check that nothing is asked of weights which a trained model brings along.

    Raises:
        UsageError: they are to be drawn anew.
    """
    if chosen.initial_weights != "network":
        raise UsageError(
            "a run that starts from a trained model has its weights",
            remedy="leave --initial-weights out",
        )


def load_pretrained(network: Network, config: Config, images: Callable[[], torch.Tensor]) -> None:
    """Load the weights of the source into a new network.

    The classifier stays new where the classes are others, or the same in another order.

    Args:
        network: as built from the run's specification.
        config: of a run with a source.
        images: returns normalised training images; asked only where they are needed.

    Raises:
        CheckpointError: the source cannot be read, or its weights do not fit.
    """
    source = load_source(config.request)
    assert source is not None
    trained = source.network
    if config.request.deepen_from is not None:
        target = networks.replace(network.spec, num_classes=trained.num_classes)
        trained = deepen(trained, target, images())
    own = network.state_dict()
    same_classes = list(source.classes) == list(config.dataset["classes"])
    new = set() if same_classes else _classifier_keys(network)
    kept = {
        name: value
        for name, value in trained.state_dict().items()
        if name in own and name not in new and own[name].shape == value.shape
    }
    artifact.load_weights(network, {**own, **kept}, where=str(config.request.source))


def _classifier_keys(network: Network) -> set[str]:
    heads = [network.head, *(auxiliary.head for auxiliary in network.auxiliary_heads())]
    classifiers = {p for head in heads for p in head.classifier.parameters()}
    return {name for name, p in network.named_parameters() if p in classifiers}
