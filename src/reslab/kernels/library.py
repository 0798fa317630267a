"""The compiled kernels: built once for this machine and loaded."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
import tempfile
from importlib import resources
from pathlib import Path

import torch

SWITCH = "RESLAB_NATIVE"  # "0" turns the compiled kernels off
COMPILE_SECONDS = 60
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fPIC", "-std=gnu11")
DTYPES = {torch.bfloat16: "bf16", torch.float32: "f32"}
LANES = 16


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


@functools.cache
def _find() -> tuple[ctypes.CDLL | None, str]:
    if os.environ.get(SWITCH, "1") == "0":
        return None, f"plain torch ({SWITCH}=0)"
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", "cc"), "gcc"))), None)
    if os.name != "posix" or compiler is None:
        return None, "plain torch (no C compiler)"
    try:
        library = ctypes.CDLL(str(_compiled(compiler)))
    except (OSError, subprocess.SubprocessError) as error:
        return None, f"plain torch (the kernels do not compile here: {type(error).__name__})"
    return library, "compiled for this machine"


def _compiled(compiler: str) -> Path:
    """Return the shared library for this source, compiler and processor, made if need be."""
    source = resources.files(__package__).joinpath("norm_act.c").read_bytes()
    identity = b"\0".join((source, *(f.encode() for f in FLAGS), _version(compiler), _processor()))
    name = f"norm_act-{hashlib.sha256(identity).hexdigest()[:16]}.so"
    folder = _folder()
    wanted = folder / name
    if wanted.exists():
        return wanted
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        text, made, linked = (Path(scratch) / n for n in ("norm_act.c", "norm_act.o", name))
        text.write_bytes(source)
        _run(compiler, *FLAGS, "-fopenmp", "-c", str(text), "-o", str(made))
        # Not linked with a libgomp of its own: its threads would fight with torch's. The names
        # are found in the one that torch has loaded.
        _run(compiler, "-shared", str(made), "-lm", "-o", str(linked))
        os.replace(linked, wanted)
    return wanted


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


def _folder() -> Path:
    folder = Path(os.environ.get("RESLAB_CACHE") or "~/.cache/reslab").expanduser() / "kernels"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
