"""What machine this is: device, precision, threads, and a line about each for the record."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from typing import Any

import torch

from reslab.errors import MachineError, UsageError


def choose_device(name: str = "auto") -> torch.device:
    """Return the device asked for; "auto" is a CUDA device where there is one, else the processor.

    "mps" has to be asked for by name: nothing here has been tried on it.

    Args:
        name: "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        UsageError: not a name of a device.
        MachineError: this machine does not have it; there is no silent fallback.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"unknown device '{name}'", remedy="use auto, cpu, cuda, cuda:N or mps"
        ) from error
    if name == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise MachineError(
                f"device '{name}' is not there: this machine has {count} CUDA devices",
                remedy="use --device cpu",
            )
    elif device.type == "mps" and not torch.backends.mps.is_available():
        raise MachineError("device 'mps' is not there", remedy="use --device cpu")
    elif device.type not in ("cpu", "cuda", "mps"):
        raise UsageError(f"unknown device '{name}'", remedy="use auto, cpu, cuda, cuda:N or mps")
    return device


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type of the forward pass's arithmetic, or None for float32.

    "auto" is bfloat16 where the processor multiplies it natively, else float32.

    Raises:
        MachineError: float16 on a processor, or bfloat16 on a GPU that lacks it.
    """
    if precision == "fp32":
        return None
    if precision == "fp16":
        if device.type != "cuda":
            raise MachineError(
                f"fp16 training needs a CUDA device, not '{device}'",
                remedy="use --precision bf16 or fp32",
            )
        return torch.float16
    if precision == "bf16":
        if device.type == "cuda" and not torch.cuda.is_bf16_supported():
            raise MachineError(f"'{device}' has no bf16", remedy="use --precision fp16 or fp32")
        return torch.bfloat16
    return torch.bfloat16 if _native_bf16(device) else None


def _native_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    flags = _processor_flags()
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def _processor_flags() -> set[str]:
    """Return the processor's feature names as Linux lists them (x86 "flags", Arm "Features")."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith(("flags", "Features")):
                    return set(line.split(":", 1)[1].split())
    except OSError:
        pass
    return set()


def processor_name() -> str:
    """Return the processor's own name where the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


_HEAP_STEP_BYTES = 1 << 30
_LARGEST_IN_HEAP_BYTES = 32 << 20  # glibc takes no more
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _MADV_HUGEPAGE = -1, -2, -3, 14


def keep_memory() -> bool:
    """Keep freed memory in this process, in large pages, instead of handing it back.

    Feature maps are freed and asked for again at every step. glibc gives such blocks back to
    the system each time, and the system clears every page anew: a fifth of the time of a
    training step on a processor. Peak memory stays the same.

    Returns:
        Whether it could be done (Linux with glibc).
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, _LARGEST_IN_HEAP_BYTES)
    libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    libc.mallopt(_M_TOP_PAD, _HEAP_STEP_BYTES)
    _grow_heap(libc)
    with open("/proc/self/maps", encoding="utf-8") as file:
        for begin, end in re.findall(r"^(\w+)-(\w+) .*\[heap\]$", file.read(), re.MULTILINE):
            length = ctypes.c_size_t(int(end, 16) - int(begin, 16))
            libc.madvise(ctypes.c_void_p(int(begin, 16)), length, _MADV_HUGEPAGE)
    return True


def _grow_heap(libc: ctypes.CDLL) -> None:
    """Let the heap grow now, so that its pages can be asked to be large before they are used."""
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    libc.free(libc.malloc(ctypes.c_size_t(_LARGEST_IN_HEAP_BYTES - 4096)))


def describe(device: torch.device) -> dict[str, Any]:
    """Return what a run records about the machine it ran on."""
    on_gpu = device.type == "cuda"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": processor_name(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if on_gpu else str(device),
    }
