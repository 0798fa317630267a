"""What the machine is and can do at most: products, copies, decoded images by the second.

The bench asks a process of its own (`reslab.child.Child`); `python -m bench.ceilings` prints it.
Each figure takes a bounded time, whatever the processor: sizes grow only as long as the next one
fits into `BUDGET_S`.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from PIL import Image

from reslab import machine
from reslab.child import Parent

SIDES, QUICK_SIDES = (256, 512, 1024, 2048, 4096), (256, 512)
COPY_BYTES, QUICK_COPY_BYTES = 1 << 30, 1 << 26
PHOTOGRAPHS, QUICK_PHOTOGRAPHS = 1000, 40
PHOTOGRAPH = (500, 375)
BUDGET_S = 10.0
TIMES = 5


def best_s(call: Callable[[], object], budget_s: float = BUDGET_S) -> float:
    """Return the least time of some calls, after one that does not count; fewer of slow ones."""
    took: list[float] = []
    for _ in range(1 + TIMES):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
        if sum(took) > budget_s / 2:
            break
    return min(took[1:] or took)


def product_gflops(dtype: torch.dtype, sides: tuple[int, ...]) -> tuple[float, int]:
    """Return the rate of a square product and its side: the largest that time allows."""
    rate, done = 0.0, 0
    for side in sides:
        if done and 2 * side**3 / (rate * 1e9) * 2 > BUDGET_S / 2:
            break
        a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
        rate, done = 2 * side**3 / best_s(lambda a=a, b=b: a @ b) / 1e9, side
    return rate, done


def copy_gb_s(num_bytes: int) -> float:
    """Return bytes read and written by the second."""
    source = torch.ones(num_bytes, dtype=torch.uint8)
    target = torch.empty_like(source)
    return 2 * num_bytes / best_s(lambda: target.copy_(source)) / 1e9


def photograph() -> bytes:
    """Return a JPEG file as large and as smooth as ImageNet's are."""
    draw = np.random.default_rng(0)
    coarse = Image.fromarray(draw.integers(0, 256, (24, 32, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize(PHOTOGRAPH, Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = np.clip(smooth + draw.normal(0, 12, smooth.shape), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(noisy).save(file, "JPEG", quality=90)
    return file.getvalue()


def decoded_by_s(most: int) -> float:
    """Return photographs decoded by the second by all cores."""
    content = photograph()

    def decode(_: int) -> None:
        Image.open(io.BytesIO(content)).load()

    with ThreadPoolExecutor(os.cpu_count()) as pool:

        def seconds(number: int) -> float:
            return best_s(lambda: list(pool.map(decode, range(number))), BUDGET_S / 2)

        few = min(most, QUICK_PHOTOGRAPHS)
        number = max(few, min(most, round(few / seconds(few) * BUDGET_S / 4)))
        return number / seconds(number)


def instructions() -> dict[str, Any]:
    """Say what kind of processor this is: its widest instructions, and whether it has bf16's."""
    return {
        "instructions": torch.backends.cpu.get_cpu_capability().lower().replace("default", ""),
        "bf16": machine.has_bf16(torch.device("cpu")),
    }


def ceilings(*, quick: bool) -> dict[str, Any]:
    """Measure everything; each side says how large the product was."""
    found: dict[str, Any] = {}
    for name, dtype in (("bf16", torch.bfloat16), ("float32", torch.float32)):
        rate, side = product_gflops(dtype, QUICK_SIDES if quick else SIDES)
        found[f"{name}_gflops"], found[f"{name}_side"] = round(rate, 1), side
    copied = copy_gb_s(QUICK_COPY_BYTES if quick else COPY_BYTES)
    decoded = decoded_by_s(QUICK_PHOTOGRAPHS if quick else PHOTOGRAPHS)
    return {
        **found,
        "copy_gb_s": round(copied, 1),
        "photographs_decoded_by_s": round(decoded, 1),
    }


def main(parent: Parent) -> int:
    """Answer {"quick": ...} with the ceilings, anything else with the kind of processor."""
    for asked in parent:
        parent.send(ceilings(quick=asked["quick"]) if asked else instructions())
    return 0


if __name__ == "__main__":
    print(json.dumps({**instructions(), **ceilings(quick="--quick" in sys.argv)}))
