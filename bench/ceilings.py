"""What the machine can do at most: products, copies, decoded images by the second.

`python -m bench.ceilings` prints them as JSON; the bench runs it in a process of its own.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from PIL import Image

SIDE, QUICK_SIDE = 4096, 512
COPY_BYTES, QUICK_COPY_BYTES = 1 << 30, 1 << 26
PHOTOGRAPH = (500, 375)


def best_s(call: Callable[[], object], times: int = 5) -> float:
    """Return the least time of some calls, after one that does not count."""
    call()
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return min(took)


def product_gflops(dtype: torch.dtype, side: int) -> float:
    """Return the rate of a square product."""
    a, b = (torch.randn(side, side).to(dtype) for _ in range(2))
    return 2 * side**3 / best_s(lambda: a @ b) / 1e9


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


def decoded_by_s(number: int) -> float:
    """Return photographs decoded by the second by all cores."""
    content = photograph()

    def decode(_: int) -> None:
        Image.open(io.BytesIO(content)).load()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return number / best_s(lambda: list(pool.map(decode, range(number))), times=2)


def main() -> None:
    quick = "--quick" in sys.argv
    side = QUICK_SIDE if quick else SIDE
    print(
        json.dumps(
            {
                "bf16_gflops": round(product_gflops(torch.bfloat16, side), 1),
                "float32_gflops": round(product_gflops(torch.float32, side), 1),
                "copy_gb_s": round(copy_gb_s(QUICK_COPY_BYTES if quick else COPY_BYTES), 1),
                "photographs_decoded_by_s": round(decoded_by_s(40 if quick else 1000), 1),
            }
        )
    )


if __name__ == "__main__":
    main()
