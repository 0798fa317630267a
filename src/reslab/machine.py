"""What machine this is: device, precision, threads, and a line about each for the record."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import os
import platform
import re
import time
from typing import Any

import torch

from reslab.errors import MachineError, UsageError


@dataclasses.dataclass(frozen=True)
class Launch:
    """What torchrun, or a scheduler like it, says of this process.

    Args:
        rank: number of this process.
        size: number of processes.
        local_rank: number of this process on its machine; None where nobody says.
    """

    rank: int = 0
    size: int = 1
    local_rank: int | None = None


def launch() -> Launch:
    """Read WORLD_SIZE, RANK, LOCAL_RANK, MASTER_ADDR and MASTER_PORT; one process without them.

    Raises:
        MachineError: some are missing, are no numbers, or contradict each other.
    """
    size = _number_in("WORLD_SIZE", 1)
    rank, local_rank = _number_in("RANK", 0), _number_in("LOCAL_RANK", 0)
    if size is None or size == 1:
        if rank:
            told = "is not set" if size is None else "is 1"
            raise MachineError(f"RANK is {rank}, but WORLD_SIZE {told}", remedy=_BY_TORCHRUN)
        return Launch(local_rank=local_rank)
    needed = ("RANK", "MASTER_ADDR", "MASTER_PORT")
    missing = [name for name in needed if not os.environ.get(name, "").strip()]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        what = f"WORLD_SIZE is {size}, but {', '.join(missing)} {are} not set"
        raise MachineError(what, remedy=_BY_TORCHRUN)
    assert rank is not None
    if rank >= size:
        raise MachineError(
            f"RANK is {rank}, but must be 0 to {size - 1} where WORLD_SIZE is {size}",
            remedy=_BY_TORCHRUN,
        )
    port = _number_in("MASTER_PORT", 1)
    if port is not None and port > 65535:
        raise MachineError(f"MASTER_PORT is {port}, no port (1 to 65535)", remedy=_BY_TORCHRUN)
    return Launch(rank, size, local_rank)


_BY_TORCHRUN = (
    "start with torchrun, which sets them all, or unset WORLD_SIZE, RANK and LOCAL_RANK "
    "to train in one process"
)


def _number_in(variable: str, least: int) -> int | None:
    """Return the whole number that a variable holds; None where it is not set or empty."""
    text = os.environ.get(variable, "").strip()
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise MachineError(
            f"{variable} is '{text}', no whole number from {least}", remedy=_BY_TORCHRUN
        )
    return number


def _local_device() -> int:
    """Return the number of the CUDA device of this process among those of its machine."""
    told = launch()
    if told.local_rank is not None:
        return told.local_rank
    return told.rank % max(1, torch.cuda.device_count())


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
            return torch.device("cuda", _local_device())
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UsageError(
            f"unknown device '{name}'", remedy="use auto, cpu, cuda, cuda:N or mps"
        ) from error
    if name == "cuda":
        device = torch.device("cuda", _local_device())
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
    return torch.bfloat16 if has_bf16(device) else None


def has_bf16(device: torch.device) -> bool:
    """Tell whether a device has instructions that multiply bf16, and may use them."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu":
        return False
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA") or os.environ.get("DNNL_MAX_CPU_ISA") or "ALL"
    if limit.upper() in _WITHOUT_BF16:
        return False
    flags = _processor_flags()
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def slow_precision(precision: str, device: torch.device) -> str:
    """Say in a line how much slower bf16 is than fp32 on a processor without bf16 instructions.

    Every product of two bf16 numbers is put together from other instructions there, which takes
    up to hundreds of times as long. It is measured, for a fraction of a second.

    Args:
        precision: as for `autocast_dtype`.
        device: where it would be computed.

    Returns:
        The line; empty for any other precision or device, or where bf16 is not slower.
    """
    if precision != "bf16" or device.type != "cpu" or has_bf16(device):
        return ""
    times = _bf16_times_slower()
    if times < _NOTABLY_SLOWER:
        return ""
    return (
        f"bf16 is about {times:.2g} times slower than fp32 on this processor, which has no bf16 "
        "instructions (a 3x3 convolution, measured now); --precision fp32 or auto is the faster one"
    )


# What ONEDNN_MAX_CPU_ISA may be limited to, so that a processor's bf16 instructions are not used.
_WITHOUT_BF16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX512_CORE", "AVX512_CORE_VNNI"}
_NOTABLY_SLOWER = 1.15
_TRIAL_CALLS, _TRIAL_S = 5, 0.3


@functools.cache
def _bf16_times_slower() -> float:
    """Compare a 3x3 convolution, forward and backward, in bf16 and in float32."""
    with torch.random.fork_rng(devices=[]):
        images = torch.randn(4, 64, 28, 28).to(memory_format=torch.channels_last)
        layer = torch.nn.Conv2d(64, 64, 3, padding=1)

    def call(dtype: torch.dtype) -> float:
        began = time.perf_counter()
        with torch.enable_grad(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            layer(images).float().sum().backward()
        return time.perf_counter() - began

    def best_s(dtype: torch.dtype) -> float:
        call(dtype)
        times = [call(dtype)]
        while len(times) < _TRIAL_CALLS and sum(times) < _TRIAL_S:
            times.append(call(dtype))
        return min(times)

    return best_s(torch.bfloat16) / best_s(torch.float32)


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
