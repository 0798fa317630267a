"""The kernels are there where they can be: a source that fails to compile is not just skipped."""

import os
import shutil
import subprocess
import sys

import pytest

from reslab import kernels
from reslab.kernels import library

COMPILER = shutil.which("cc") or shutil.which("gcc")


def instructions() -> set[str]:
    """Return the extensions that the compiler is told to use, as it names them itself."""
    words = [str(COMPILER), *library._flags(), "-dM", "-E", "-x", "c", "-"]
    found = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return {line.split()[1] for line in found.stdout.splitlines()}


@pytest.mark.skipif(
    os.environ.get(library.SWITCH) == "0", reason="RESLAB_NATIVE=0 turns the kernels off; unset it"
)
@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt-get install gcc")
def test_every_kernel_is_there():
    assert kernels.available(), kernels.reason()
    with_bf16 = "__AVX512BF16__" in instructions()
    missing = {n for n in library._signatures() if not hasattr(library.load(), n)}
    assert missing == (set() if with_bf16 else {f"reslab_{n}" for n in library._ON_BF16})


SCRIPT = """
import torch
from reslab import kernels
from reslab.kernels import library
x = torch.linspace(-1, 1, 64).reshape(1, 16, 2, 2).contiguous(memory_format=torch.channels_last)
y = kernels.norm_act(torch.nn.BatchNorm2d(16).eval(), x)
print(kernels.available(), library.has("conv3x3"), round(float(y.sum()), 4), kernels.reason())
"""


def computed(cache, **environment):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"RESLAB_CACHE": str(cache), library.SWITCH: "1"} | environment,
    )
    return done.stdout.split(maxsplit=3)


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt-get install gcc")
def test_more_flags_make_kernels_of_their_own(tmp_path):
    """As a processor without AVX-512 has them; both stay in the cache, each under its name."""
    plain = computed(tmp_path, **{library.MORE_FLAGS: "-mno-avx2 -mno-avx512f"})
    assert plain[:2] == ["True", "False"]
    assert float(plain[2]) == pytest.approx(16.254, abs=1e-3)  # the sum of 1, 3, ... 63 over 63
    assert len(list((tmp_path / "kernels").glob("*.so"))) == 1
    refused = computed(tmp_path, **{library.MORE_FLAGS: "-O2 '"})
    assert refused[0] == "False"
    assert "the kernels do not compile here" in refused[3]
    assert float(refused[2]) == pytest.approx(16.254, abs=1e-3)
