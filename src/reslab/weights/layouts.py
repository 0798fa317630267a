"""The programs whose weights can be read and written."""

from __future__ import annotations

from reslab.registry import Registry
from reslab.spec import ResNetSpec
from reslab.weights import preparation
from reslab.weights.layout import Layout
from reslab.weights.resnet_names import by_attribute, by_position

# torchvision's and timm's bottleneck networks have their stride on the 3x3 convolution.
RESNETS = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50_v15": "resnet50",
    "resnet101_v15": "resnet101",
    "resnet152_v15": "resnet152",
}
CIFAR_DEPTHS = (20, 32, 44, 56, 110)

TORCHVISION = Layout(
    name="torchvision",
    source="torchvision.models",
    names={ResNetSpec: by_attribute(head="fc", shortcut="downsample")},
    networks=RESNETS,
    preprocess=preparation.imagenet,
)
TIMM = Layout(
    name="timm",
    source="timm (pytorch-image-models)",
    names={ResNetSpec: by_attribute(head="fc", shortcut="downsample")},
    networks=RESNETS,
    preprocess=preparation.imagenet,
)
CADENE = Layout(
    name="cadene",
    source="Cadene/pretrained-models.pytorch (fbresnet152, from fb.resnet.torch)",
    names={ResNetSpec: by_attribute(head="last_linear", shortcut="downsample")},
    networks={**RESNETS, "resnet152_v15": "fbresnet152"},
    preprocess=preparation.imagenet,
)
CIFAR_MODELS = Layout(
    name="cifar-models",
    source="chenyaofo/pytorch-cifar-models, bearpaw/pytorch-classification",
    names={ResNetSpec: by_attribute(head="fc", shortcut="downsample")},
    networks={f"resnet{depth}_b": f"resnet{depth}" for depth in CIFAR_DEPTHS},
    preprocess=preparation.cifar10,
)
AKAMASTER = Layout(
    name="akamaster",
    source="akamaster/pytorch_resnet_cifar10",
    names={ResNetSpec: by_attribute(head="linear", shortcut="shortcut")},
    networks={f"resnet{depth}": f"resnet{depth}" for depth in (*CIFAR_DEPTHS, 1202)},
    preprocess=preparation.imagenet,  # its script takes ImageNet's constants for CIFAR too
    zero_padding="both",
)
KUANGLIU = Layout(
    name="kuangliu",
    source="kuangliu/pytorch-cifar and networks built like it",
    names={ResNetSpec: by_attribute(head="linear", shortcut="shortcut")},
    networks={
        **RESNETS,
        **{f"resnet{depth}_b": f"resnet{depth}" for depth in CIFAR_DEPTHS},
        "resnet110_c": "resnet110",
    },
    preprocess=preparation.cifar10,
    small_stem=True,
)
FB_LUA = Layout(
    name="fb.resnet.torch",
    source="facebookarchive/fb.resnet.torch, converted to PyTorch by position",
    names={ResNetSpec: by_position},
    networks={
        **RESNETS,
        **{f"resnet{depth}": f"resnet-{depth}" for depth in (*CIFAR_DEPTHS, 1202)},
    },
    preprocess=preparation.imagenet,
)


def _all_layouts() -> Registry[Layout]:
    """List the layouts; where several fit a file equally, the first is taken."""
    layouts: Registry[Layout] = Registry("layout")
    for layout in (TORCHVISION, TIMM, CADENE, CIFAR_MODELS, AKAMASTER, KUANGLIU, FB_LUA):
        layouts.register(layout.name, layout)
    return layouts


LAYOUTS: Registry[Layout] = _all_layouts()
