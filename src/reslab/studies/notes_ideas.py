"""Three ideas: shortcuts in VGG, residual Inception, highway layers in a plain network."""

from __future__ import annotations

from reslab.studies import small_forms
from reslab.studies.scales import small, tiny
from reslab.study import Arm, Ordered, Study

PAIRS = (
    ("VGG", small_forms.vgg("vgg_small"), small_forms.vgg("vgg_small_residual", shortcut="A")),
    (
        "Inception",
        small_forms.inception("inception_plain_tiny", None),
        small_forms.inception("inception_residual_tiny", 0.2),
    ),
    (
        "ten convolutions",
        small_forms.highway_cnn("plain_cnn10_narrow", gated=False),
        small_forms.highway_cnn("highway_cnn_narrow", gated=True),
    ),
    ("five blocks", "five_block_plain", "five_block_residual"),
)
IDEAS = {
    "VGG": "with shortcuts",
    "Inception": "residual",
    "ten convolutions": "with highway layers",
    "five blocks": "with shortcuts",
}


def arms() -> tuple[Arm, ...]:
    """Return each network without and with the idea."""
    return tuple(
        Arm(name=name, group=base, model=model)
        for base, plain, changed in PAIRS
        for name, model in ((base, plain), (f"{base} {IDEAS[base]}", changed))
    )


OWN = "Small forms and widths of our own; the ideas come without numbers."
STUDY = Study(
    name="notes-ideas",
    title="Shortcuts put into other networks",
    question="Do shortcuts, residual Inception modules and highway layers help small networks?",
    source="reslab; after Szegedy et al. 2016 (arXiv 1602.07261) and Srivastava et al. 2015",
    scales={
        "tiny": tiny(
            arms(), steps=250, recipe="small-images", overrides={"img_size": 16}, differs=(OWN,)
        ),
        "small": small(arms(), steps=500, side=16, recipe="small-images", differs=(OWN,)),
    },
    expectations=tuple(
        Ordered(
            sentence=f"{base} {IDEAS[base]}: a lower error than without.",
            better=f"{base} {IDEAS[base]}",
            worse=base,
        )
        for base in IDEAS
    ),
)
