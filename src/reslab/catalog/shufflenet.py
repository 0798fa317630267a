"""ShuffleNet (Zhang et al. 2017, arXiv 1707.01083)."""

from __future__ import annotations

from reslab.catalog.entry import Entry, Published
from reslab.spec.shufflenet import ShuffleNetSpec

SOURCE = "Zhang et al. 2017, ShuffleNet (arXiv 1707.01083)"
PROTOCOL = "ImageNet validation, centre crop"
# Errors and millions of multiply-adds, by groups: tables 1 and 2.
FULL_WIDTH = {1: (33.6, 143), 2: (32.7, 140), 3: (32.6, 137), 4: (32.8, 133), 8: (32.4, 137)}
# The same by groups and width multiplier: tables 2 and 5.
OTHER_WIDTHS = {
    (3, 0.5): (43.2, 38),
    (3, 1.5): (28.5, 292),
    (3, 2.0): (26.3, 524),
    (8, 0.5): (42.3, 38),
    (8, 1.5): None,
    (8, 2.0): None,
}
WITHOUT_SHUFFLE = {3: 34.5, 8: 37.6}  # errors: table 3
START = "weights begin as in He et al. 2015 (arXiv 1502.01852); the paper does not say how"
MACS = "the paper's multiply-adds leave out the classifier's"
IN_RELEASE_ONLY = "not in the paper: a width of the authors' later release"
STEM = (
    "the width of the first convolution is that of the authors' later release; the paper does "
    "not say how it is scaled"
)


def _entry(
    name: str,
    summary: str,
    table: str,
    *,
    groups: int,
    width_multiplier: float = 1.0,
    shuffle: bool = True,
    paper: Published | None = None,
    deviations: tuple[str, ...] = (),
) -> Entry:
    return Entry(
        family="shufflenet",
        spec=ShuffleNetSpec(
            name=name, groups=groups, width_multiplier=width_multiplier, shuffle=shuffle
        ),
        source=f"{SOURCE}, {table}",
        summary=summary,
        paper=paper or {},
        deviations=(*deviations, START),
    )


def _paper(error: float, macs: float) -> Published:
    return {"error_pct": error, "macs": macs * 1e6, "protocol": PROTOCOL}


ENTRIES: tuple[Entry, ...] = (
    *(
        _entry(
            f"shufflenet_v1_g{groups}",
            f"{groups} groups" if groups > 1 else "no groups",
            "tables 1 and 2",
            groups=groups,
            paper=_paper(*known),
            deviations=(MACS,),
        )
        for groups, known in FULL_WIDTH.items()
    ),
    *(
        _entry(
            f"shufflenet_v1_g{groups}_{round(100 * multiplier):03}",
            f"{groups} groups, {multiplier:g}x",
            "tables 2 and 5",
            groups=groups,
            width_multiplier=multiplier,
            paper=_paper(*known) if known else {},
            deviations=(STEM,) if known else (IN_RELEASE_ONLY, STEM),
        )
        for (groups, multiplier), known in OTHER_WIDTHS.items()
    ),
    *(
        _entry(
            f"shufflenet_v1_g{groups}_noshuffle",
            f"{groups} groups, apart",
            "table 3",
            groups=groups,
            shuffle=False,
            paper={"error_pct": error, "protocol": PROTOCOL},
        )
        for groups, error in WITHOUT_SHUFFLE.items()
    ),
)
