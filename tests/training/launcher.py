"""A process that has imported everything and forks children that run commands.

A child is a real process with its own memory, started in milliseconds instead of the seconds
that importing torch, compiling the kernels and counting a first network's costs take.

Line in: {"argv": [...], "env": {...}, "log": "...", "out": "..."};
line out: the child's pid. Without "out", stdout goes into the log too.
"""

from __future__ import annotations

import gc
import json
import os
import sys

import sklearn.datasets  # noqa: F401 - the children must not wait for it
import torch

import reslab.cli.train
import reslab.report.page
import reslab.training.job  # noqa: F401
from reslab import kernels, networks
from reslab.cli.main import main
from reslab.networks.cost import measure


def run_child(order: dict) -> None:
    os.environ.update(order["env"])
    os.chdir(order.get("cwd") or ".")
    torch.set_num_threads(1)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    out = order.get("out")
    os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) if out else log, 1)
    os.dup2(log, 2)
    sys.argv = ["reslab", *order["argv"]]
    code = 1
    try:
        code = main(order["argv"])
    finally:
        sys.stdout.flush()
        os._exit(code)


torch.set_num_threads(1)
measure(networks.entry("resnet20").spec)  # imports what torch computes shapes with
kernels.available()
gc.freeze()  # a child's collections then leave the pages alone that it shares

for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        _, status = os.waitpid(order["wait"], 0)
        code = os.waitstatus_to_exitcode(status)
        print(code, flush=True)
        continue
    pid = os.fork()
    if pid == 0:
        run_child(order)
    print(pid, flush=True)
