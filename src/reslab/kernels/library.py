"""The compiled kernels: built once for this machine and loaded."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shlex
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from reslab.child import program
from reslab.durable.cache import make_cache_folder
from reslab.errors import MachineError

SWITCH = "RESLAB_NATIVE"  # "0" turns the compiled kernels off
MORE_FLAGS = "RESLAB_NATIVE_FLAGS"  # for the compiler, after ours: "-mno-avx512f"
COMPILE_SECONDS = 60
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fPIC", "-std=gnu11")
SOURCES = ("norm_act.c", "conv3x3.c", "zero_pad.c")
DTYPES = {torch.bfloat16: "bf16", torch.float32: "f32"}
LANES = 16
# What each function takes, in its order: p a pointer, l a long, i an int, f a float. Those that
# work on maps of either type exist once for each.
_SEPARATOR = b"\0"
_TYPES = {"p": ctypes.c_void_p, "l": ctypes.c_long, "i": ctypes.c_int, "f": ctypes.c_float}
_ON_MAPS = {"forward": "pppllpppppppffi", "apply": "pppllppi", "backward": "pppppllpppppi"}
_ON_BF16 = {
    "conv3x3": "pppppllllli",
    "conv3x3_back": "ppppplllll",
    "conv3x3_weights": "ppppllllli",
}
_ON_BYTES = {"zero_pad": "ppllllll", "zero_pad_back": "ppllllll"}


@functools.cache
def load() -> ctypes.CDLL | None:
    """Return the compiled kernels, or None where they cannot be had (`reason` says why)."""
    return _find()[0]


def available() -> bool:
    """Tell whether the compiled kernels are there."""
    return load() is not None


def reason() -> str:
    """Say in a few words what the fused passes run on."""
    return _find()[1]


def fits(x: torch.Tensor) -> bool:
    """Tell whether the kernels can take a map: NHWC on the CPU, whole vectors of channels."""
    return (
        x.device.type == "cpu"
        and x.dtype in DTYPES
        and x.dim() == 4
        and x.shape[1] % LANES == 0
        and x.numel() > 0
        and x.is_contiguous(memory_format=torch.channels_last)
        and load() is not None
    )


def has(name: str) -> bool:
    """Tell whether a kernel is there; some need instructions that not every processor has."""
    kernels = load()
    return kernels is not None and hasattr(kernels, f"reslab_{name}")


def call(name: str, *arguments: Any) -> None:
    """Run a kernel.

    Raises:
        MachineError: it had no memory for its sums.
    """
    kernels = load()
    assert kernels is not None
    if getattr(kernels, f"reslab_{name}")(*arguments):
        raise MachineError("out of memory", remedy="use a smaller batch")


@functools.cache
def _find() -> tuple[ctypes.CDLL | None, str]:
    if os.environ.get(SWITCH, "1") == "0":
        return None, f"plain torch ({SWITCH}=0)"
    compiler = next(filter(None, map(program, (os.environ.get("CC") or "cc", "gcc"))), None)
    if os.name != "posix" or compiler is None:
        return None, "plain torch (no C compiler)"
    try:
        library = ctypes.CDLL(str(_compiled(compiler)))
    except (OSError, ValueError, subprocess.SubprocessError, MachineError) as error:
        return None, f"plain torch (the kernels do not compile here: {type(error).__name__})"
    for name, types in _signatures().items():
        if hasattr(library, name):
            getattr(library, name).argtypes = [_TYPES[letter] for letter in types]
    return library, "compiled for this machine"


def _signatures() -> dict[str, str]:
    maps = {f"{name}_{dtype}": t for name, t in _ON_MAPS.items() for dtype in DTYPES.values()}
    return {f"reslab_{name}": types for name, types in (maps | _ON_BF16 | _ON_BYTES).items()}


def _compiled(compiler: str) -> Path:
    """Return the shared library for these sources, compiler and processor, made if need be."""
    package = resources.files(__package__)
    sources = {name: package.joinpath(name).read_bytes() for name in SOURCES}
    flags = _flags()
    words = (*sources.values(), *(f.encode() for f in flags), _version(compiler), _processor())
    name = f"kernels-{hashlib.sha256(_SEPARATOR.join(words)).hexdigest()[:16]}.so"
    folder = make_cache_folder("kernels")
    wanted = folder / name
    if wanted.exists():
        return wanted
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for source, text in sources.items():
            Path(scratch, source).write_bytes(text)
        made = [str(Path(scratch, source).with_suffix(".o")) for source in sources]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda one: _object(compiler, flags, one), made))
        linked = Path(scratch) / name
        # Not linked with a libgomp of its own: its threads would fight with torch's. The names
        # are found in the one that torch has loaded.
        _run(compiler, "-shared", *made, "-lm", "-o", str(linked))
        os.replace(linked, wanted)
    return wanted


def _flags() -> tuple[str, ...]:
    """Return the compiler's flags: ours, and then what the environment adds."""
    return (*FLAGS, *shlex.split(os.environ.get(MORE_FLAGS, "")))


def _object(compiler: str, flags: tuple[str, ...], made: str) -> None:
    _run(compiler, *flags, "-fopenmp", "-c", str(Path(made).with_suffix(".c")), "-o", made)


def _run(*words: str) -> bytes:
    done = subprocess.run(
        words, check=True, capture_output=True, timeout=COMPILE_SECONDS, stdin=subprocess.DEVNULL
    )
    return done.stdout


@functools.cache
def _version(compiler: str) -> bytes:
    return _run(compiler, "--version")


def _processor() -> bytes:
    """Return what tells machines apart for which code is generated."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return os.uname().machine.encode()
    return "\n".join(sorted({x for x in lines if x.startswith(("flags", "Features"))})).encode()
