"""Without batch norm: do shortcuts still let deep networks train?"""

from __future__ import annotations

from reslab.studies.scales import WITHOUT_NORM, small, tiny
from reslab.studies.small_forms import vgg
from reslab.studies.unnormalised import network
from reslab.study import Arm, Ordered, RisesWith, Study


def arms(width: int, *layers: int) -> tuple[Arm, ...]:
    """Return plain and residual networks without norms by depth, and a VGG with and without."""
    return (
        *(
            Arm(
                name=f"{kind}-{depth}",
                group=kind,
                model=network(kind, depth, width),
                x=depth,
                overrides=WITHOUT_NORM,
            )
            for kind in ("plain", "residual")
            for depth in layers
        ),
        Arm(name="VGG", group="VGG", model=vgg("vgg_small"), overrides=WITHOUT_NORM),
        Arm(
            name="VGG with batch norm",
            group="VGG",
            model=vgg("vgg_small_bn", batch_norm=True),
            overrides=WITHOUT_NORM,
        ),
    )


OWN = "The networks and the recipe (AdamW) are ours: the paper has batch norm everywhere."
STUDY = Study(
    name="no-batchnorm",
    title="Shortcuts without batch norm, and batch norm without shortcuts",
    question="Do shortcuts help networks to train that have no batch norm?",
    source="He et al. 2015 (arXiv 1512.03385), section 4.1, which names batch norm as the reason "
    "why vanishing gradients do not explain the degradation",
    metric="train_error_pct",
    x_label="depth, layers",
    scales={
        "tiny": tiny(arms(16, 13, 31, 49), steps=200, overrides={"img_size": 16}, differs=(OWN,)),
        "small": small(arms(16, 13, 31, 49), steps=500, side=16, differs=(OWN,)),
    },
    expectations=(
        RisesWith(
            sentence="Without batch norm the plain network's training error rises with depth.",
            group="plain",
        ),
        Ordered(
            sentence="At 49 layers without batch norm the residual network trains better.",
            better="residual-49",
            worse="plain-49",
        ),
        Ordered(
            sentence="VGG trains better with batch norm.",
            better="VGG with batch norm",
            worse="VGG",
        ),
    ),
)
