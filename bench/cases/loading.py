"""An epoch over JPEG files, without a network."""

from __future__ import annotations

from typing import Any

from bench.case import OURS, Arm, Case, Options
from bench.cases.data import image_folder


def _setup(options: Options) -> dict[str, Any]:
    folder, name = image_folder(options)
    return {
        "data": folder,
        "data_name": name,
        "batch_size": 128,
        "img_size": 32,
        "pad_crop": 4,
        "flip": True,
    }


# Pillow and simplejpeg round colours differently, by a few of 255 levels.
DECODERS = 0.02


def _case(name: str, title: str, target: float, *, cold: bool) -> Case:
    return Case(
        name=name,
        title=title,
        unit="images/s",
        ours=Arm(
            name="TrainLoader over the store",
            group=OURS,
            module="bench.ours.loading",
            settings={"cold": cold},
        ),
        peers=(
            Arm(
                name="DataLoader with 2 workers, ImageFolder, Pillow",
                group="as found",
                module="bench.peers.epochs",
                settings={"cold": cold},
                needs=("torchvision",),
            ),
            Arm(
                name="all decoded by 2 processes, batches by one indexing",
                group="tuned",
                module="bench.peers.decoded",
                settings={"cold": cold},
            ),
        ),
        targets={"as found": target},
        setup=_setup,
        agree={"images": 0.0, "histogram": 0.0, "pixels": DECODERS},
        most_units=1 if cold else 0,
    )


CASES = (
    _case("load-cold", "load JPEG files, an epoch from cold", 3.0, cold=True),
    _case("load", "load JPEG files, from the second epoch on", 20.0, cold=False),
)
