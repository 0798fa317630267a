"""The programs whose weights can be read and written."""

from __future__ import annotations

from reslab.data.preprocess import Preprocess
from reslab.networks import NetworkSpec
from reslab.networks.alexnet import AlexNetSpec
from reslab.networks.googlenet import GoogLeNetSpec
from reslab.networks.inception import InceptionSpec
from reslab.networks.keras_tutorial import KerasTutorialSpec
from reslab.networks.resnet import ResNetSpec
from reslab.networks.squeezenet import SqueezeNetSpec
from reslab.networks.vgg import VggSpec
from reslab.registry import Registry
from reslab.weights import preparation
from reslab.weights.inception_names import timm_inception, torchvision_googlenet
from reslab.weights.keras_names import by_kind
from reslab.weights.layout import Layout
from reslab.weights.resnet_names import by_attribute, by_position, in_transformers
from reslab.weights.sequential_names import in_sequence

# torchvision's and timm's bottleneck networks have their stride on the 3x3 convolution.
RESNETS = {
    "resnet18": "resnet18",
    "resnet34": "resnet34",
    "resnet50_v15": "resnet50",
    "resnet101_v15": "resnet101",
    "resnet152_v15": "resnet152",
}
CIFAR_DEPTHS = (20, 32, 44, 56, 110)

VGGS = tuple(f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn"))
# Our names are those of torchvision and timm.
SAME_VGGS = {name: name for name in VGGS}


def _in_torchvision(spec: NetworkSpec) -> Preprocess:
    # Its GoogLeNet has TF-slim's weights and turns its input into what those expect.
    halves = isinstance(spec, GoogLeNetSpec)
    return preparation.halved(spec) if halves else preparation.imagenet(spec)


def _in_timm(spec: NetworkSpec) -> Preprocess:
    slim = isinstance(spec, InceptionSpec)
    return preparation.inception(spec) if slim else preparation.imagenet(spec)


TORCHVISION = Layout(
    name="torchvision",
    source="torchvision.models",
    names={
        ResNetSpec: by_attribute(head="fc", shortcut="downsample"),
        AlexNetSpec: in_sequence(
            features="features",
            head={
                "features.fc6": "classifier.1",
                "features.fc7": "classifier.4",
                "classifier": "classifier.6",
            },
        ),
        VggSpec: in_sequence(
            features="features",
            head={
                "features.fc6": "classifier.0",
                "features.fc7": "classifier.3",
                "classifier": "classifier.6",
            },
        ),
        SqueezeNetSpec: in_sequence(features="features", head={"classifier": "classifier.1"}),
        GoogLeNetSpec: torchvision_googlenet,
    },
    networks={
        **RESNETS,
        **SAME_VGGS,
        "alexnet_owt": "alexnet",
        "squeezenet1_0": "squeezenet1_0",
        "squeezenet1_1": "squeezenet1_1",
        "googlenet_bn": "googlenet",
    },
    preprocess=_in_torchvision,
)
TIMM = Layout(
    name="timm",
    source="timm (pytorch-image-models)",
    names={
        ResNetSpec: by_attribute(head="fc", shortcut="downsample"),
        VggSpec: in_sequence(
            features="features",
            head={
                "features.fc6": "pre_logits.fc1",
                "features.fc7": "pre_logits.fc2",
                "classifier": "head.fc",
            },
        ),
        InceptionSpec: timm_inception,
    },
    networks={
        **RESNETS,
        **SAME_VGGS,
        "inception_v4": "inception_v4",
        "inception_resnet_v2_slim": "inception_resnet_v2",
    },
    preprocess=_in_timm,
    convolutions=("head.features.fc6", "head.features.fc7"),
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
TRANSFORMERS = Layout(
    name="transformers",
    source="Hugging Face transformers (ResNetForImageClassification)",
    names={ResNetSpec: in_transformers},
    # The paper's bottleneck, with its stride on the 1x1, is its downsample_in_bottleneck.
    networks={
        **{ours: f"resnet-{theirs.removeprefix('resnet')}" for ours, theirs in RESNETS.items()},
        **{f"resnet{depth}": f"resnet-{depth}" for depth in (50, 101, 152)},
    },
    preprocess=preparation.bicubic,
)
KERAS_TUTORIALS = (
    "keras_preact_9_9_9",
    "keras_preact_3_4_6",
    "keras_preact_9_9_9_cifar",
    "keras_preact_3_4_6_cifar",
)
KERAS = Layout(
    name="keras",
    source="Keras (the tutorial's pre-activation network)",
    names={KerasTutorialSpec: by_kind},
    networks=dict.fromkeys(KERAS_TUTORIALS, "ResNet.build"),
    preprocess=preparation.unit,
    writable=False,
)


def _all_layouts() -> Registry[Layout]:
    """List the layouts; where several fit a file equally, the first is taken."""
    layouts: Registry[Layout] = Registry("layout")
    for layout in (
        TORCHVISION,
        TIMM,
        TRANSFORMERS,
        CADENE,
        CIFAR_MODELS,
        AKAMASTER,
        KUANGLIU,
        FB_LUA,
        KERAS,
    ):
        layouts.register(layout.name, layout)
    return layouts


LAYOUTS: Registry[Layout] = _all_layouts()
