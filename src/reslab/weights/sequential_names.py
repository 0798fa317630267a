"""Other people's names for networks that are one long list of layers: AlexNet, VGG, SqueezeNet."""

from __future__ import annotations

from reslab.networks.network import Network
from reslab.weights.layout import Names, modules_with_tensors


def in_sequence(*, features: str, head: dict[str, str]) -> Names:
    """Number the layers before the head as torchvision's one Sequential does.

    Activations and pools count; what is inside a counted module keeps its name.

    Args:
        features: name of the list.
        head: our names for the layers of the head (without "head.") -> theirs.
    """

    def names(network: Network) -> dict[str, str]:
        counted: dict[str, str] = {}
        for part, module in network.parts().items():
            prefix = part if part == "stem" else f"stages.{part}"
            for name, _ in module.named_children():
                counted[f"{prefix}.{name}"] = f"{features}.{len(counted)}"
        return {name: _renamed(name, counted, head) for name, _ in modules_with_tensors(network)}

    return names


def _renamed(name: str, counted: dict[str, str], head: dict[str, str]) -> str:
    if name.startswith("head."):
        return head[name.removeprefix("head.")]
    parts = name.split(".")
    depth = 2 if parts[0] == "stem" else 3
    return ".".join([counted[".".join(parts[:depth])], *parts[depth:]])
