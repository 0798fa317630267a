"""Fast networks for small images behind a whitening convolution (Jordan 2024)."""

from __future__ import annotations

from reslab.catalog.entry import Entry, Published
from reslab.spec.whitened import WhitenedSpec

SOURCE = "Jordan 2024, 94% on CIFAR-10 in 3.29 Seconds on a Single GPU (arXiv 2404.00498)"
PROTOCOL = "CIFAR-10 test, mean over runs, six views an image"
ANY_SIZE = (
    "the max over all positions closes the network at any image size; the paper's 3x3 pool does at "
    "32 px"
)
ALIKE = (
    "the sign of each row of the whitening is fixed (its largest entry is positive), and it is "
    "computed in float64"
)


def _entry(
    spec: WhitenedSpec,
    summary: str,
    *,
    family: str,
    source: str,
    paper: Published | None = None,
    deviations: tuple[str, ...] = (),
) -> Entry:
    return Entry(
        family=family,
        spec=spec,
        source=f"{SOURCE}, {source}",
        summary=summary,
        paper=paper or {},
        deviations=(*deviations, ANY_SIZE, ALIKE),
    )


def _spec(name: str, **changes: object) -> WhitenedSpec:
    return WhitenedSpec(name=name, num_classes=10, img_size=32, **changes)  # type: ignore[arg-type]


ENTRIES: tuple[Entry, ...] = (
    _entry(
        _spec("airbench94"),
        "whitened, GELU",
        family="plain",
        source="section 3.1",
        paper={"error_pct": 5.99, "params": 1.97e6, "protocol": PROTOCOL},
    ),
    _entry(
        _spec("airbench94_relu", act="relu"),
        "whitened, ReLU",
        family="plain",
        source="section 3.1",
        deviations=(
            "ReLU in place of GELU: with batch norm it is one pass over the map on a processor",
        ),
    ),
    _entry(
        _spec("airbench96", widths=(128, 384, 512), convolutions=3, norm_momentum=0.1),
        "whitened residual",
        family="resnet",
        source="the author's release of airbench96",
        paper={"error_pct": 3.97, "protocol": PROTOCOL},
    ),
)
