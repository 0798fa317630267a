"""What machine this is: processes, device, precision, cores and memory, and a line for the record.

torch is imported by the functions that need it: processes that only decode images count their
cores here, too.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.errors import MachineError, UsageError

if TYPE_CHECKING:
    import torch

MIB = 1 << 20

# --- processes: what a launcher says -------------------------------------------------------------


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


# --- device --------------------------------------------------------------------------------------


def _local_device() -> int:
    """Return the number of the CUDA device of this process among those of its machine."""
    import torch

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
    import torch

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


# --- precision -----------------------------------------------------------------------------------


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """Return the type of the forward pass's arithmetic, or None for float32.

    "auto" is bfloat16 where the processor multiplies it natively, else float32.

    Raises:
        MachineError: float16 on a processor, or bfloat16 on a GPU that lacks it.
    """
    import torch

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


def autocast(
    device: torch.device, precision: torch.dtype | None
) -> contextlib.AbstractContextManager[object]:
    """Compute in a shorter type where it is safe; None for float32 throughout."""
    import torch

    if precision is None:
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=precision)


def has_bf16(device: torch.device) -> bool:
    """Tell whether a device has instructions that multiply bf16, and may use them."""
    import torch

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
    import torch

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


# --- the processor: what it is, its cores, and who else uses them --------------------------------


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


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def with_threads(threads: int) -> dict[str, str]:
    """Return this process's environment for a child that computes with so many threads.

    Args:
        threads: of its arithmetic; 0 to leave the choice to torch.
    """
    if not threads:
        return dict(os.environ)
    return {**os.environ, "OMP_NUM_THREADS": str(threads)}


class OtherPrograms:
    """The share of the processors that other programs take from now on.

    Processes that this one starts, as a compiler's, are others too.
    """

    def __init__(self) -> None:
        self._began = self._read()

    def share(self) -> float:
        """Return what they took so far of the processors this process may use, in [0, 1]."""
        (wall, own, busy), now = self._began, self._read()
        elapsed = (now[0] - wall) * available_cores()
        return min(1.0, max(0.0, (now[2] - busy) - (now[1] - own)) / elapsed) if elapsed else 0.0

    @staticmethod
    def _read() -> tuple[float, float, float]:
        own, wall = time.process_time(), time.perf_counter()
        busy = busy_s()
        return wall, own, own if busy is None else busy


def busy_s() -> float | None:
    """Return how long the processors that this process may use were busy since the machine began.

    Time that a hypervisor gave to other machines counts too. None where the system does not tell.
    """
    try:
        text = Path("/proc/stat").read_text(encoding="ascii")
    except OSError:
        return None
    allowed = os.sched_getaffinity(0)
    ticks = 0
    for number, counts in re.findall(r"^cpu(\d+) (.+)$", text, re.MULTILINE):
        if int(number) in allowed:
            # Beyond the eighth column guests are listed, which user and nice hold already.
            user, nice, system, _idle, _waiting, *others = map(int, counts.split()[:8])
            ticks += user + nice + system + sum(others)
    return ticks / os.sysconf("SC_CLK_TCK")


# --- memory --------------------------------------------------------------------------------------

_SHARE_FOR_A_RUN = 0.9  # of the memory that is free; the rest stays for everything else
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


def available_mib(device_name: str) -> float | None:
    """Return the memory that is free for a run now, MiB; None where the system does not tell.

    On a processor that is what Linux calls available, or what the control group of a container
    still grants where that is less; on a GPU, what no other process holds.
    """
    import torch

    device = torch.device(device_name)
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return _SHARE_FOR_A_RUN * free / MIB
    found = [size for size in (_system_bytes(), _group_bytes()) if size is not None]
    return _SHARE_FOR_A_RUN * min(found) / MIB if found else None


def process_mib(largest: bool = False) -> float:
    """Return the memory of this process now, or the largest so far, MiB."""
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
    except OSError:  # not Linux: only the largest is told
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most / MIB if sys.platform == "darwin" else most * 1024 / MIB
    # Not ru_maxrss here: it begins with what the parent process had.
    match = re.search(rf"^{'VmHWM' if largest else 'VmRSS'}:\s+(\d+) kB$", status, re.MULTILINE)
    assert match is not None, status
    return int(match[1]) * 1024 / MIB


def peak_mib(device: torch.device) -> float:
    """Return the largest memory so far, of this process or of the GPU, MiB."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    return process_mib(largest=True)


@contextlib.contextmanager
def enough_memory(batch_size: int, size: int) -> Iterator[None]:
    """Raise a lack of memory inside as MachineError that names batch and image size."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise MachineError(
            f"out of memory with {batch_size} images of {size}x{size} at once",
            remedy="use a smaller --batch-size, or --device cpu",
        ) from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether an error of torch's is a lack of memory.

    torch.OutOfMemoryError is one of a GPU; a processor's allocator has only a message.
    """
    return any(words in str(error) for words in ("out of memory", "can't allocate"))


def _system_bytes() -> int | None:
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return None
    match = re.search(r"^MemAvailable:\s+(\d+) kB$", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _group_bytes() -> int | None:
    """Return what the container may still take; memory that only caches files is free."""
    folder = Path("/sys/fs/cgroup")
    for limit, used in (
        ("memory.max", "memory.current"),  # version 2 of control groups, then version 1
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            most = (folder / limit).read_text(encoding="ascii").strip()
            now = int((folder / used).read_text(encoding="ascii"))
            statistics = (folder / limit).with_name("memory.stat").read_text(encoding="ascii")
        except (OSError, ValueError):
            continue
        if not most.isdigit():
            return None
        cached = re.search(r"^(?:total_)?inactive_file (\d+)$", statistics, re.MULTILINE)
        return int(most) - now + (int(cached[1]) if cached else 0)
    return None


# --- the record ----------------------------------------------------------------------------------


def describe(device: torch.device) -> dict[str, Any]:
    """Return what a run records about the machine it ran on."""
    import torch

    on_gpu = device.type == "cuda"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": processor_name(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if on_gpu else str(device),
    }
