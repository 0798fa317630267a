"""One builder a family: from its specification to a network."""

from reslab.nn.builders import (
    alexnet,
    googlenet,
    highway,
    ideas,
    identity,
    inception,
    keras_tutorial,
    mobilenet,
    preact,
    resnet,
    shufflenet,
    squeezenet,
    vgg,
    whitened,
    zfnet,
)

__all__ = [
    "alexnet",
    "googlenet",
    "highway",
    "ideas",
    "identity",
    "inception",
    "keras_tutorial",
    "mobilenet",
    "preact",
    "resnet",
    "shufflenet",
    "squeezenet",
    "vgg",
    "whitened",
    "zfnet",
]
