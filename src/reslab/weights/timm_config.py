"""What timm's `config.json` says of a network that names and shapes of tensors do not show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reslab.weights.layout import Layout
from reslab.weights.layouts import TIMM
from reslab.weights.read import CONFIG

# timm's names for the mean over the last maps.
AVERAGES = ("avg", "fast", "fastavg")
# Arguments of timm's networks that training, first weights or the ends' shapes depend on.
HARMLESS = (
    "num_classes",
    "in_chans",
    "drop_rate",
    "drop_path_rate",
    "drop_block_rate",
    "zero_init_last",
)


def contradiction(config: Mapping[str, Any], layout: Layout, name: str) -> str:
    """Say what the description tells of another function than that of a network of ours.

    Args:
        config: the JSON object beside the weights, or empty.
        layout: whose names the weights have.
        name: our network that they were recognised as.

    Returns:
        Half a sentence, or nothing where the two agree or nothing is told.
    """
    told = str(config.get("architecture") or "").partition(".")[0]
    if not told:
        return ""
    if told not in (TIMM.networks.get(name), layout.networks.get(name)):
        return f"its {CONFIG} says that it is {told}, which is not {name}"
    found = config.get("model_args")
    arguments = dict(found) if isinstance(found, Mapping) else {}
    pool = arguments.pop("global_pool", None) or config.get("global_pool")
    if pool and pool not in AVERAGES:
        return f"its {CONFIG} says that the last maps are pooled by '{pool}', {name} averages them"
    changed = [key for key, value in arguments.items() if value is not None and key not in HARMLESS]
    if changed:
        return f"its {CONFIG} says that it was built with {', '.join(changed)}, which {name} is not"
    return ""
