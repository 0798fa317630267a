"""The Inception networks of 2016 layer by layer, as data.

Source: Szegedy et al. 2016 (arXiv 1602.07261), figures 3 to 19. Branches stand in the order
of the authors' released code (TF-slim), and so do 1x7 and 7x1, 1x3 and 3x1.
"""

from __future__ import annotations

from dataclasses import dataclass

from reslab.nn.inception_blocks import Conv, Fork, Layer, Pool, fork


@dataclass(frozen=True)
class Plan:
    """The layers of one network.

    Args:
        stem: the first convolutions.
        entry: what follows up to the second subsampling's map.
        reductions: what opens the modules A, B and C: each halves the map.
        modules: A, B and C; without the expansion and the shortcut of the residual ones.
        last: a convolution after the last module.
        last_is_linear: the last module is neither scaled nor followed by an activation.
    """

    stem: tuple[Layer, ...]
    entry: tuple[Layer, ...]
    reductions: tuple[tuple[Layer, ...], ...]
    modules: tuple[Fork, ...]
    last: Conv | None = None
    last_is_linear: bool = False


STEM = (Conv(32, 3, stride=2, valid=True), Conv(32, 3, valid=True), Conv(64, 3))
MAX = Pool("max", stride=2, valid=True)
AVERAGE = Pool("average")

# Figure 3, the stem of Inception-v4 and Inception-ResNet-v2.
FORKED_ENTRY = (
    fork([MAX], [Conv(96, 3, stride=2, valid=True)]),
    fork(
        [Conv(64), Conv(96, 3, valid=True)],
        [Conv(64), Conv(64, (1, 7)), Conv(64, (7, 1)), Conv(96, 3, valid=True)],
    ),
)
FORKED_REDUCTION = (fork([Conv(192, 3, stride=2, valid=True)], [MAX]),)

# Figure 14, the stem of Inception-ResNet-v1, which TF-slim gives to Inception-ResNet-v2 too.
CHAINED_ENTRY = (MAX, Conv(80), Conv(192, 3, valid=True))


def reduction_a(k: int, l: int, m: int, n: int) -> tuple[Layer, ...]:  # noqa: E741 (the paper's)
    """Figure 7, with the widths of table 1."""
    return (
        fork(
            [Conv(n, 3, stride=2, valid=True)],
            [Conv(k), Conv(l, 3), Conv(m, 3, stride=2, valid=True)],
            [MAX],
        ),
    )


def reduction_b(first: int, second: int, third: tuple[int, int]) -> tuple[Layer, ...]:
    """Figures 13 and 18: the reduction before modules C of the residual networks."""
    return (
        fork(
            [Conv(256), Conv(first, 3, stride=2, valid=True)],
            [Conv(256), Conv(second, 3, stride=2, valid=True)],
            [Conv(256), Conv(third[0], 3), Conv(third[1], 3, stride=2, valid=True)],
            [MAX],
        ),
    )


V4 = Plan(
    stem=STEM,
    entry=FORKED_ENTRY,
    reductions=(
        FORKED_REDUCTION,
        reduction_a(192, 224, 256, 384),
        (
            fork(
                [Conv(192), Conv(192, 3, stride=2, valid=True)],
                [
                    Conv(256),
                    Conv(256, (1, 7)),
                    Conv(320, (7, 1)),
                    Conv(320, 3, stride=2, valid=True),
                ],
                [MAX],
            ),
        ),
    ),
    modules=(
        fork(
            [Conv(96)],
            [Conv(64), Conv(96, 3)],
            [Conv(64), Conv(96, 3), Conv(96, 3)],
            [AVERAGE, Conv(96)],
        ),
        fork(
            [Conv(384)],
            [Conv(192), Conv(224, (1, 7)), Conv(256, (7, 1))],
            [
                Conv(192),
                Conv(192, (7, 1)),
                Conv(224, (1, 7)),
                Conv(224, (7, 1)),
                Conv(256, (1, 7)),
            ],
            [AVERAGE, Conv(128)],
        ),
        fork(
            [Conv(256)],
            [Conv(384), fork([Conv(256, (1, 3))], [Conv(256, (3, 1))])],
            [
                Conv(384),
                Conv(448, (3, 1)),
                Conv(512, (1, 3)),
                fork([Conv(256, (1, 3))], [Conv(256, (3, 1))]),
            ],
            [AVERAGE, Conv(256)],
        ),
    ),
)

RESNET_V1 = Plan(
    stem=STEM,
    entry=CHAINED_ENTRY,
    reductions=(
        (Conv(256, 3, stride=2, valid=True),),
        reduction_a(192, 192, 256, 384),
        reduction_b(384, 256, (256, 256)),
    ),
    modules=(
        fork([Conv(32)], [Conv(32), Conv(32, 3)], [Conv(32), Conv(32, 3), Conv(32, 3)]),
        fork([Conv(128)], [Conv(128), Conv(128, (1, 7)), Conv(128, (7, 1))]),
        fork([Conv(192)], [Conv(192), Conv(192, (1, 3)), Conv(192, (3, 1))]),
    ),
)

RESNET_V2_MODULES = (
    fork([Conv(32)], [Conv(32), Conv(32, 3)], [Conv(32), Conv(48, 3), Conv(64, 3)]),
    fork([Conv(192)], [Conv(128), Conv(160, (1, 7)), Conv(192, (7, 1))]),
    fork([Conv(192)], [Conv(192), Conv(224, (1, 3)), Conv(256, (3, 1))]),
)
RESNET_V2_REDUCTIONS = (reduction_a(256, 256, 384, 384), reduction_b(384, 288, (288, 320)))

RESNET_V2 = Plan(
    stem=STEM,
    entry=FORKED_ENTRY,
    reductions=(FORKED_REDUCTION, *RESNET_V2_REDUCTIONS),
    modules=RESNET_V2_MODULES,
)

RESNET_V2_SLIM = Plan(
    stem=STEM,
    entry=CHAINED_ENTRY,
    reductions=(
        (
            MAX,
            fork(
                [Conv(96)],
                [Conv(48), Conv(64, 5)],
                [Conv(64), Conv(96, 3), Conv(96, 3)],
                [AVERAGE, Conv(64)],
            ),
        ),
        *RESNET_V2_REDUCTIONS,
    ),
    modules=RESNET_V2_MODULES,
    last=Conv(1536),
    last_is_linear=True,
)

PLANS: dict[str, Plan] = {
    "v4": V4,
    "resnet_v1": RESNET_V1,
    "resnet_v2": RESNET_V2,
    "resnet_v2_slim": RESNET_V2_SLIM,
}

# reslab's own network for 32x32 images: the paper's three kinds of modules, the factorised ones
# where maps are small, at widths that cost what a residual network of 50 layers does.
SMALL_WIDTH = 64
SMALL_REDUCTIONS: tuple[tuple[Layer, ...], ...] = (
    (
        fork(
            [Conv(32, 3, stride=2)],
            [Conv(24), Conv(24, 3), Conv(32, 3, stride=2)],
            [Pool("max", stride=2)],
        ),
    ),
    (
        fork(
            [Conv(32), Conv(64, 3, stride=2)],
            [Conv(32), Conv(32, 3), Conv(64, 3, stride=2)],
            [Pool("max", stride=2)],
        ),
    ),
)
SMALL_MODULES = (
    fork([Conv(16)], [Conv(16), Conv(16, 3)], [Conv(16), Conv(16, 3), Conv(24, 3)]),
    fork([Conv(48)], [Conv(32), Conv(40, (1, 7)), Conv(48, (7, 1))]),
    fork([Conv(64)], [Conv(64), Conv(72, (1, 3)), Conv(80, (3, 1))]),
)
