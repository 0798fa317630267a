"""A Keras tutorial's network under the tutorial's own names: `ResNet.build(width, height, ...)`."""

from __future__ import annotations

from collections.abc import Sequence

from reslab.errors import UsageError
from reslab.networks.keras_tutorial import POOL, KerasTutorialSpec
from reslab.networks.network import Network, build


class ResNet:
    """The tutorial's class; its `residual_module` is `reslab.networks.keras_tutorial`'s."""

    @staticmethod
    def build(
        width: int,
        height: int,
        depth: int,
        classes: int,
        stages: Sequence[int],
        filters: Sequence[int],
        reg: float = 1e-4,
        bn_eps: float = 2e-5,
        bn_mom: float = 0.9,
    ) -> Network:
        """Build the pre-activation network that the tutorial prints, newly initialised.

        Two mistakes of the print are not repeated. In `residual_module`, the second convolution
        lacks a parenthesis (`kernel_regularizer=l2(reg)(act2)` for `...l2(reg))(act2)`) and does
        not run. And `build` does not pass `reg` on, so that all modules use 1e-4 whatever is
        asked for; here it holds for every layer. The network puts out logits, not softmax's
        probabilities.

        Args:
            width: of the images, pixels.
            height: of the images, pixels; the same as the width.
            depth: channels of the images.
            classes: number of logits.
            stages: modules of each stage, e.g. (9, 9, 9) or (3, 4, 6).
            filters: channels of the stem, then of each stage, e.g. (64, 64, 128, 256).
            reg: L2 factor of convolutions and classifier. It stays in `network.spec.reg`; who
                trains takes `network.spec.weight_decay`, which is twice as much, as the weight
                decay of everything but batch norms and biases (the recipe "keras-tutorial").
            bn_eps: what batch norms add to a variance.
            bn_mom: share of the old running statistics that a batch norm keeps.

        Returns:
            The network; `keras_preact_9_9_9` of the catalogue for (9, 9, 9), 10 classes, 64 px.

        Raises:
            UsageError: values that cannot be, or images that leave less than the 8x8 positions
                that the average pooling takes: 32 px with three stages do, for the print has
                only the stem for Tiny ImageNet (`keras_preact_9_9_9_cifar` has the other).
        """
        if width != height:
            raise UsageError(
                f"width and height must be the same, received {width} and {height}",
                remedy="build for the longer side; a network takes images of any shape",
            )
        spec = KerasTutorialSpec(
            name="_".join(["keras_preact", *map(str, stages)]),
            num_classes=classes,
            in_chans=depth,
            img_size=width,
            stages=tuple(stages),
            filters=tuple(filters),
            windows=max(1, -(-width // 2 ** len(stages)) // POOL),
            reg=reg,
            bn_eps=bn_eps,
            bn_mom=bn_mom,
        )
        return build(spec)
