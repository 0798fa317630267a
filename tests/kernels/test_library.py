"""The kernels are there where they can be: a source that fails to compile is not just skipped."""

import os
import shutil
from pathlib import Path

import pytest

from reslab import kernels
from reslab.kernels import library

CPUINFO = Path("/proc/cpuinfo")


@pytest.mark.skipif(
    os.environ.get(library.SWITCH) == "0" or not (shutil.which("cc") or shutil.which("gcc")),
    reason="no C compiler, or turned off",
)
def test_every_kernel_is_there():
    assert kernels.available(), kernels.reason()
    flags = CPUINFO.read_text().split() if CPUINFO.exists() else []
    for name in library._signatures():
        needs_bf16 = name.removeprefix("reslab_") in library._ON_BF16
        assert hasattr(library.load(), name) or (needs_bf16 and "avx512_bf16" not in flags), name
