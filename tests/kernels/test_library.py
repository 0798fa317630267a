"""The kernels are there where they can be: a source that fails to compile is not just skipped."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

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


def computed():
    """The sum of 1, 3, ... 63 over 63, by way of a batch norm that has seen nothing."""
    x = torch.linspace(-1, 1, 64).reshape(1, 16, 2, 2).contiguous(memory_format=torch.channels_last)
    return float(kernels.norm_act(torch.nn.BatchNorm2d(16).eval(), x).detach().sum())


def test_turned_off(kernels_with):
    assert kernels_with(RESLAB_NATIVE="0") == "plain torch (RESLAB_NATIVE=0)"
    assert not kernels.available()
    assert computed() == pytest.approx(16.254, abs=1e-3)


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"CC": "no-such-compiler", "PATH": ""}, "no C compiler"),
        ({"CC": "false"}, "do not compile here"),
        ({library.MORE_FLAGS: "-O2 '"}, "do not compile here"),
    ],
    ids=["absent", "failing", "quotes"],
)
def test_without_a_compiler_the_answers_are_the_same(kernels_with, environment, why):
    assert why in kernels_with(**environment)
    assert not kernels.available()
    assert computed() == pytest.approx(16.254, abs=1e-3)


@pytest.mark.skipif(COMPILER is None, reason="needs a C compiler: apt-get install gcc")
def test_more_flags_make_kernels_of_their_own(kernels_with):
    """As a processor without AVX-512 has them; others stay in the cache under their name."""
    kernels_with(**{library.MORE_FLAGS: "-O1 -mno-avx2 -mno-avx512f"})
    assert kernels.available()
    assert not library.has("conv3x3")
    assert computed() == pytest.approx(16.254, abs=1e-3)
    (first,) = Path(os.environ["RESLAB_CACHE"], "kernels").glob("*.so")
    kernels_with(**{library.MORE_FLAGS: "-O1 -mno-avx"})
    assert len(list(first.parent.glob("*.so"))) == 2
