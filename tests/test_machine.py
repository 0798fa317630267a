import platform
import re
import subprocess
import sys

import pytest
import torch

from reslab import machine
from reslab.cli.main import main
from reslab.errors import MachineError

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


def test_bf16_without_instructions_for_it_is_said_and_by_how_much(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")  # as an ordinary processor sees it
    cpu = torch.device("cpu")
    assert machine.autocast_dtype("auto", cpu) is None
    machine._bf16_times_slower.cache_clear()
    line = machine.slow_precision("bf16", cpu)
    if line:  # a processor with AVX-512 may still be quick
        found = re.match(r"bf16 is about ([\d.e+]+) times slower than fp32", line)
        assert found is not None
        assert float(found[1]) > 1
        assert "--precision fp32" in line
    if not {"avx512f", "bf16", "avx512_bf16"} & machine._processor_flags():
        assert line
    assert all(not machine.slow_precision(other, cpu) for other in ("auto", "fp32", "fp16"))


def test_measuring_leaves_the_random_state_alone(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    before = torch.get_rng_state()
    machine._bf16_times_slower.cache_clear()
    machine.slow_precision("bf16", torch.device("cpu"))
    assert torch.equal(before, torch.get_rng_state())


WHOLE = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"WORLD_SIZE": "abc"}, "WORLD_SIZE is 'abc'"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE is '0'"),
        ({"WORLD_SIZE": "-2"}, "WORLD_SIZE is '-2'"),
        ({"WORLD_SIZE": "2.0"}, "WORLD_SIZE is '2.0'"),
        ({"WORLD_SIZE": None}, "RANK is 1, but WORLD_SIZE is not set"),
        ({"WORLD_SIZE": "1"}, "RANK is 1, but WORLD_SIZE is 1"),
        ({"RANK": None}, "RANK is not set"),
        ({"RANK": "", "MASTER_PORT": None}, "RANK, MASTER_PORT are not set"),
        ({"RANK": "x"}, "RANK is 'x'"),
        ({"RANK": "2"}, "RANK is 2, but must be 0 to 1"),
        ({"LOCAL_RANK": "x"}, "LOCAL_RANK is 'x'"),
        ({"MASTER_ADDR": None}, "MASTER_ADDR is not set"),
        ({"MASTER_PORT": "abc"}, "MASTER_PORT is 'abc'"),
        ({"MASTER_PORT": "99999"}, "MASTER_PORT is 99999"),
    ],
)
def test_a_launch_that_is_half_told_is_refused_in_a_line(monkeypatch, capsys, changes, expected):
    for name, value in {**WHOLE, **changes}.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    with pytest.raises(MachineError, match=re.escape(expected)):
        machine.launch()
    assert main(["train", "digits", "--steps", "1"]) == 5
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert expected in line
    assert "unset WORLD_SIZE" in line


def test_what_schedulers_set_beside_a_single_process_changes_nothing(monkeypatch):
    for name in (*WHOLE, "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert machine.launch() == machine.Launch()
    for name in ("SLURM_PROCID", "SLURM_NTASKS", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMI_SIZE"):
        monkeypatch.setenv(name, "3")
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": ""}.items():
        monkeypatch.setenv(name, value)
    assert machine.launch() == machine.Launch(local_rank=0)
    for name, value in {**WHOLE, "LOCAL_RANK": "5"}.items():
        monkeypatch.setenv(name, value)
    assert machine.launch() == machine.Launch(rank=1, size=2, local_rank=5)


def test_who_counts_cores_or_evaluates_loads_no_more_than_that():
    script = (
        "import sys, reslab.machine, reslab.data.preprocess; assert 'torch' not in sys.modules;"
        "import reslab.training.job;"
        "assert not [name for name in sys.modules if name.startswith('reslab.predict')]"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
