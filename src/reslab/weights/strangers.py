"""What to say of weights that belong to no network known here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch

from reslab import networks
from reslab.networks.network import build
from reslab.weights.layout import Layout
from reslab.weights.layouts import LAYOUTS
from reslab.weights.read import CONFIG, Weights
from reslab.weights.share import COUNTER

# How much of the shapes has to be the same before a network is named.
ALIKE = 0.9
# Names that tell a network apart which has no counterpart here.
_MARKS: tuple[tuple[str, str], ...] = (
    (
        "mobilenet_v1.conv_stem.",
        "transformers' MobileNet v1 (ReLU6, TensorFlow's padding, an epsilon of 0.001; its 1001 "
        "classes begin with a background)",
    ),
    ("mobilenet_v2.conv_stem.", "transformers' MobileNet v2"),
    ("features.18.0.weight", "torchvision's MobileNet v2"),
    ("features.denseblock1.", "a DenseNet"),
    ("Conv2d_1a_3x3.", "torchvision's Inception v3"),
    ("vit.encoder.", "transformers' Vision Transformer"),
    ("patch_embed.proj.", "a Vision Transformer"),
    ("convnext.embeddings.", "transformers' ConvNeXt"),
    ("blocks.0.0.conv_dw.", "an EfficientNet or MobileNet of timm"),
    ("model.embed_tokens.", "a language model"),
)
_NO_MORE = "names and shapes show neither strides nor activations: compare with its code"


def described(weights: Weights) -> tuple[str, str]:
    """Say what a file seems to be, and what to do.

    Returns:
        A clause to follow "fits no network known here" (maybe empty), and a remedy.
    """
    tensors = {k: v for k, v in weights.tensors.items() if not k.endswith(COUNTER)}
    names = list(tensors)
    shown = ", ".join(names[:2])
    count = f"{len(names)} tensors ({shown}{', ...' if len(names) > 2 else ''})"
    told = weights.config.get("model_type") or weights.config.get("architecture")
    about = [f"its {CONFIG} says {told}"] if isinstance(told, str) else []
    about += [f"by its names it is {what}" for mark, what in _MARKS if _has(names, mark)][:1]
    alike = _alike(tensors)
    if alike is None:
        return "; ".join([count, *about]), "docs/weights.md lists the networks and programs"
    about.append(f"its shapes are those of {alike}, and {_NO_MORE}")
    layout = _layout_of(alike)
    if layout is not None:
        remedy = f"if it is that network, rename its tensors as {layout.name} does"
    else:
        remedy = f"if it is that network, load them into reslab.create_model('{alike}')"
    return "; ".join([count, *about]), remedy


def _has(names: list[str], mark: str) -> bool:
    return any(name.startswith(mark) for name in names)


def _alike(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """Return the network with the same shapes of filters, whatever their names and order."""
    filters = Counter(tuple(v.shape) for v in tensors.values() if v.dim() == 4)
    values = sum(value.numel() for value in tensors.values())
    best, most = None, 0.0
    for name in networks.list_models():
        # What it costs is known without building it; classes may be others.
        if not 0.5 <= values / networks.info(name).params <= 2 or not filters:
            continue
        own = _filters(networks.entry(name).spec)
        both, either = (filters & own).total(), (filters | own).total()
        if both / either > most:
            best, most = name, both / either
    return best if most >= ALIKE else None


def _filters(spec: networks.NetworkSpec) -> Counter[tuple[int, ...]]:
    with torch.device("meta"):
        network = build(spec)
    return Counter(tuple(v.shape) for v in network.state_dict().values() if v.dim() == 4)


def _layout_of(name: str) -> Layout | None:
    return next((LAYOUTS[each] for each in LAYOUTS if name in LAYOUTS[each].networks), None)
