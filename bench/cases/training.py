"""Training steps, data loading included for small images."""

from __future__ import annotations

from typing import Any

from bench.case import OURS, Arm, Case, Options
from bench.cases.data import image_folder

OURS_MODULE, PEERS = "bench.ours.training", "bench.peers.training"
# Both begin with the same weights and see the same batches; what differs is bf16's rounding.
AGREE = {"parameters": 0.0, "logits": 1e-4, "losses": 0.03}

# What guides to training on processors advise: glibc keeps freed memory, in large pages.
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(1 << 30),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}

# Precision, layout, eager or compiled, allocator. Channels first pay compiled, and in float32.
TUNED = (
    *(
        (precision, "NHWC", how, memory)
        for precision in ("float32", "bf16")
        for how in ("eager", "compiled")
        for memory in ({}, KEPT_MEMORY)
    ),
    ("float32", "NCHW", "compiled", KEPT_MEMORY),
)

OURS_ARM = Arm(name="reslab train", group=OURS, module=OURS_MODULE)


def _peers(as_found: str, tuned: str, *, loaders: tuple[str, str], library: str) -> tuple[Arm, ...]:
    """Return a library's network as users train it, and tuned by hand in nine ways.

    Which type is fastest is for the machine to say: bf16 in NHWC where the processor multiplies
    it, float32 elsewhere.
    """
    plain, batched = loaders
    return (
        Arm(
            name=as_found,
            group="as found",
            module=PEERS,
            settings={"library": library, "loader": plain},
            needs=("torchvision",),
        ),
        *(
            Arm(
                name=f"{tuned}, {precision}, {layout}, {how}{', memory kept' if memory else ''}",
                group="tuned",
                module=PEERS,
                settings={
                    "library": library,
                    "loader": batched,
                    "tuned": True,
                    "bf16": precision == "bf16",
                    "channels_last": layout == "NHWC",
                    "compile": how == "compiled",
                },
                needs=("torchvision",) if library == "torchvision" else (),
                environment=memory,
            )
            for precision, layout, how, memory in TUNED
        ),
    )


def small(depth: int) -> Case:
    """Images of 32 px: their files are decoded once, each batch is made anew by both."""

    def setup(options: Options) -> dict[str, Any]:
        folder, name = image_folder(options)
        return {
            "data": folder,
            "data_name": name,
            "network": f"resnet{depth}",
            "their_network": f"resnet{depth}",
            "layout": "akamaster",
            "batch_size": 16 if options.quick else 128,
            "img_size": 32,
            "pad_crop": 4,
            "flip": True,
            "warm_up": 2 if options.quick else 12,
            "check_steps": 3,
        }

    return Case(
        name=f"train-resnet{depth}",
        title=f"train ResNet-{depth}, 32 px, batch 128, with loading",
        unit="images/s",
        ours=OURS_ARM,
        peers=_peers(
            "a trainer like akamaster's (float32, NCHW, DataLoader with 2 workers)",
            "the same with fused SGD, batched loader",
            loaders=("workers", "batched"),
            library="akamaster",
        ),
        targets={"as found": 4.0, "tuned": 1.3},
        setup=setup,
        agree=AGREE,
    )


def large(depth: int, network: str, batch_size: int) -> Case:
    """Images of 224 px that lie in memory: the step alone."""

    def setup(options: Options) -> dict[str, Any]:
        size = 64 if options.quick else 224
        return {
            "data": f"shapes:num={40 if options.quick else 320},size={size}",
            "data_name": f"drawn shapes of {size} px",
            "network": network,
            "their_network": f"resnet{depth}",
            "layout": "torchvision",
            "batch_size": 4 if options.quick else batch_size,
            "img_size": size,
            "pad_crop": 0,
            "flip": False,
            "warm_up": 2 if options.quick else 4,
            "check_steps": 2,
        }

    return Case(
        name=f"train-resnet{depth}",
        title=f"train ResNet-{depth}, 224 px, batch {batch_size}",
        unit="images/s",
        ours=OURS_ARM,
        peers=_peers(
            "torchvision's network (float32, NCHW)",
            "the same with fused SGD",
            loaders=("resident", "resident"),
            library="torchvision",
        ),
        targets={"as found": 3.5, "tuned": 1.1},
        setup=setup,
        agree=AGREE,
        seconds=12.0,
    )


CASES = (
    small(20),
    small(56),
    large(18, "resnet18", 32),
    large(50, "resnet50_v15", 16),
)
