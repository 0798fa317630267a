import platform
import subprocess
import sys

import pytest
import torch

from reslab import machine

SCRIPT = """
import resource, sys
import torch
from reslab import create_model, machine
if sys.argv[1] == "keep":
    assert machine.keep_memory()
network = create_model("resnet20", num_classes=10)
images = torch.randn(64, 3, 32, 32)
def step():
    network(images).sum().backward()
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="needs glibc, whose allocator it is about"
)
def test_kept_memory_is_not_cleared_again():
    """The maps of a step are freed and asked for again at the next one."""
    faults = {
        how: int(subprocess.check_output([sys.executable, "-c", SCRIPT, how]))
        for how in ("keep", "plain")
    }
    assert faults["plain"] > 1000, "the system does not take memory back: nothing to keep"
    assert faults["keep"] < 500


def test_a_device_on_which_nothing_was_tried_has_to_be_asked_for(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert machine.choose_device("auto").type == "cpu"
    assert machine.choose_device("mps").type == "mps"
