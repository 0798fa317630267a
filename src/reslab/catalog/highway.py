"""Highway networks (Srivastava et al. 2015, arXiv 1507.06228)."""

from __future__ import annotations

from reslab.catalog.entry import Entry
from reslab.spec.highway import HighwaySpec, HighwayStageSpec

SOURCE = (
    "Srivastava et al. 2015, Training Very Deep Networks, section 3 and tables 1 and 2; the "
    "authors' Caffe specifications"
)
LAST_LAYERS = (
    "layer for layer the released Caffe specification, a fully-connected layer behind the average "
    "of 100 channels; its shipped log ends at 7.86%"
)
OTHER_SIZES = (
    "where the last map is not 3x3 (images that are not 28x28) it is averaged to 3x3 for the "
    "fully-connected layer; at 28x28 nothing differs"
)


def _mnist(name: str, width: int, summary: str, error: float, mean: float, std: float) -> Entry:
    return Entry(
        family="highway",
        spec=HighwaySpec(
            name=name,
            num_classes=10,
            in_chans=1,
            img_size=28,
            dropout=0.5,
            stem_width=width,
            stem_kernel=5,
            stem_padding=0,
            stages=(
                HighwayStageSpec(width=width, depth=2),
                HighwayStageSpec(width=width, depth=3, pool=3, dropout=0.3),
                HighwayStageSpec(width=width, depth=3, pool=3, dropout=0.4),
            ),
            grid=3,
            gate_bias=-1.0,
        ),
        source=SOURCE,
        summary=summary,
        paper={
            "error_pct": error,
            "error_mean_pct": mean,
            "error_std_pct": std,
            "params": {16: 39e3, 32: 151e3}[width],
            "protocol": "MNIST test, best run",
        },
        deviations=(OTHER_SIZES,),
    )


ENTRIES: tuple[Entry, ...] = (
    _mnist("highway10", 16, "MNIST, width 16", 0.57, 0.60, 0.03),
    _mnist("highway10_w32", 32, "MNIST, width 32", 0.45, 0.46, 0.02),
    Entry(
        family="highway",
        spec=HighwaySpec(
            name="highway19",
            num_classes=10,
            img_size=32,
            dropout=0.2,
            stem_width=32,
            stages=(
                HighwayStageSpec(width=32, depth=4),
                HighwayStageSpec(width=80, depth=5, pool=2, dropout=0.2),
                HighwayStageSpec(width=128, depth=5, pool=2, dropout=0.2),
            ),
            last_width=100,
        ),
        source=SOURCE,
        summary="H T + x (1 - T)",
        paper={
            "error_pct": 7.54,
            "error_mean_pct": 7.72,
            "error_std_pct": 0.16,
            "params": 2.3e6,
            "protocol": "CIFAR-10 test, best run",
        },
        deviations=(LAST_LAYERS,),
    ),
)
