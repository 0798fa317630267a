"""Ancestors: from AlexNet to residual networks on one data set and budget, in small forms."""

from __future__ import annotations

from reslab.networks import NetworkSpec, entry
from reslab.studies import small_forms
from reslab.studies.scales import paper, small, tiny
from reslab.study import Arm, Best, Study

# Arm, year, the small form, the published one for images of 32 pixels.
LINE: tuple[tuple[str, int, NetworkSpec | str, str], ...] = (
    ("AlexNet", 2012, small_forms.alexnet(), "alexnet"),
    ("VGG", 2014, small_forms.vgg("vgg_small"), "vgg16"),
    ("Inception", 2014, small_forms.inception("inception_plain_tiny", None), "googlenet"),
    ("highway", 2015, small_forms.highway(), "highway19"),
    ("plain", 2015, "plain20", "plain20"),
    ("residual", 2015, "resnet20", "resnet20"),
    ("pre-activation", 2016, "preact_resnet20", "preact_resnet20"),
)


def small_arms() -> tuple[Arm, ...]:
    """Return the line in small forms."""
    return tuple(
        Arm(name=name, group=name, model=model, note=str(year)) for name, year, model, _ in LINE
    )


def published_arms() -> tuple[Arm, ...]:
    """Return the published networks in their forms for images of 32 pixels."""
    known = {"residual": 8.75, "highway": 7.72}
    return tuple(
        Arm(
            name=name,
            group=name,
            model=_for_small_images(published),
            paper={"test_error_pct": known[name]} if name in known else {},
            note=str(year),
        )
        for name, year, _, published in LINE
    )


def _for_small_images(name: str) -> str | NetworkSpec:
    if name in ("alexnet", "vgg16", "googlenet"):
        return entry(name).spec.with_stem("small")
    return name


FORMS = (
    "Small forms of 20 layers or fewer and a fraction of the published widths: this compares "
    "ideas at one small budget, not the published networks."
)
RECIPE = (
    "One recipe for all (small-images): SGD with batch norm, AdamW at a tenth of the rate without."
)
STUDY = Study(
    name="ancestors",
    title="From AlexNet to residual networks",
    question="With the same images and updates, which network of the line learns best?",
    source="Krizhevsky et al. 2012, Simonyan and Zisserman 2014, Szegedy et al. 2014, Srivastava "
    "et al. 2015, He et al. 2015 and 2016",
    scales={
        "tiny": tiny(
            small_arms(), recipe="small-images", overrides={"img_size": 16},
            differs=(FORMS, RECIPE),
        ),
        "small": small(
            small_arms(), steps=450, side=20, recipe="small-images", differs=(FORMS, RECIPE)
        ),
        "paper": paper(
            published_arms(), overrides={"img_size": 32}, seeds=3,
            differs=("No paper trains this line on CIFAR-10 with one recipe.",),
        ),
    },
    expectations=(
        Best(
            sentence="The residual network has a lower error than all that came before it.",
            better="residual",
            others=("AlexNet", "VGG", "Inception", "highway", "plain"),
        ),
    ),
)  # fmt: skip
