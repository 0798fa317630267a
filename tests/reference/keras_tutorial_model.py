"""The tutorial's network as it is printed, written with Keras' own layers."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def residual_module(
    layers: ModuleType, data: Any, width: int, stride: int, axis: int, *, first: bool
) -> Any:
    """BN-ReLU-1x1, BN-ReLU-3x3, BN-ReLU-1x1, and a projection of the first activation."""
    norm = {"axis": axis, "epsilon": 2e-5, "momentum": 0.9}
    shortcut = data
    act1 = layers.Activation("relu")(layers.BatchNormalization(**norm)(data))
    conv1 = layers.Conv2D(width // 4, (1, 1), use_bias=False)(act1)
    act2 = layers.Activation("relu")(layers.BatchNormalization(**norm)(conv1))
    conv2 = layers.Conv2D(
        width // 4, (3, 3), strides=(stride, stride), padding="same", use_bias=False
    )(act2)
    act3 = layers.Activation("relu")(layers.BatchNormalization(**norm)(conv2))
    conv3 = layers.Conv2D(width, (1, 1), use_bias=False)(act3)
    if first:
        shortcut = layers.Conv2D(width, (1, 1), strides=(stride, stride), use_bias=False)(act1)
    return layers.add([conv3, shortcut])


def build(
    keras: ModuleType,
    side: int,
    classes: int,
    stages: tuple[int, ...],
    filters: tuple[int, ...],
    *,
    dataset: str = "tiny_imagenet",
) -> Any:
    """Build the model; `dataset` chooses the stem as in the tutorial's code."""
    layers = keras.layers
    norm = {"axis": -1, "epsilon": 2e-5, "momentum": 0.9}
    inputs = layers.Input(shape=(side, side, 3))
    x = layers.BatchNormalization(**norm)(inputs)
    if dataset == "cifar":
        x = layers.Conv2D(filters[0], (3, 3), use_bias=False, padding="same")(x)
    else:
        x = layers.Conv2D(filters[0], (5, 5), use_bias=False, padding="same")(x)
        x = layers.BatchNormalization(**norm)(x)
        x = layers.Activation("relu")(x)
        x = layers.ZeroPadding2D((1, 1))(x)
        x = layers.MaxPooling2D((3, 3), strides=(2, 2))(x)
    for number, depth in enumerate(stages):
        stride = 1 if number == 0 else 2
        x = residual_module(layers, x, filters[number + 1], stride, -1, first=True)
        for _ in range(depth - 1):
            x = residual_module(layers, x, filters[number + 1], 1, -1, first=False)
    x = layers.BatchNormalization(**norm)(x)
    x = layers.Activation("relu")(x)
    x = layers.AveragePooling2D((8, 8))(x)
    x = layers.Flatten()(x)
    x = layers.Activation("softmax")(layers.Dense(classes)(x))
    return keras.Model(inputs, x, name="resnet")
