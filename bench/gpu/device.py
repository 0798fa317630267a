"""The device itself: its name, its memory, and what it can do at most.

`python -m bench.gpu.device cuda` prints its ceilings as JSON; the bench runs it in a process of
its own.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator

import torch

SIDE, QUICK_SIDE = 8192, 256
COPY_BYTES, QUICK_COPY_BYTES = 1 << 32, 1 << 22
TIMES = 10


def wait(device: torch.device) -> None:
    """Wait until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def gpu_peak_mib(device: torch.device) -> float | None:
    """Return the most memory that torch has taken of a GPU; None elsewhere."""
    if device.type != "cuda":
        return None
    return round(torch.cuda.max_memory_reserved(device) / 2**20, 1)


@contextlib.contextmanager
def exact_convolutions() -> Iterator[None]:
    """Let cuDNN compute in float32 what is float32, for a while: TF32 rounds to 10 bits."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def seconds(call: Callable[[], object], device: torch.device) -> float:
    """Return the mean time of some calls that follow each other, after three that warm up."""
    for _ in range(3):
        call()
    wait(device)
    began = time.perf_counter()
    for _ in range(TIMES):
        call()
    wait(device)
    return (time.perf_counter() - began) / TIMES


def product_tflops(dtype: torch.dtype, side: int, device: torch.device) -> float:
    """Return the rate of a square product of random numbers."""
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / seconds(lambda: a @ b, device) / 1e12


def copy_gb_s(num_bytes: int, device: torch.device) -> float:
    """Return bytes read and written by the second."""
    source = torch.ones(num_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * num_bytes / seconds(lambda: target.copy_(source), device) / 1e9


def ceilings(name: str, quick: bool) -> dict[str, object]:
    """Measure a device."""
    device = torch.device(name)
    on_gpu = device.type == "cuda"
    side, num_bytes = (QUICK_SIDE, QUICK_COPY_BYTES) if quick else (SIDE, COPY_BYTES)
    return {
        "device": torch.cuda.get_device_name(device) if on_gpu else "processor",
        "torch": torch.__version__,
        "cuda": torch.version.cuda if on_gpu else None,
        "bf16_tflops": product_tflops(torch.bfloat16, side, device),
        "float32_tflops": product_tflops(torch.float32, side, device),
        "copy_gb_s": copy_gb_s(num_bytes, device),
    }


if __name__ == "__main__":
    print(json.dumps(ceilings(sys.argv[1], "--quick" in sys.argv)))
