"""The runtimes there are, each in a file that registers it, and building one of them by name."""

from __future__ import annotations

import torch

from reslab.errors import MachineError, UsageError
from reslab.networks.network import Network

# In the order in which they are tried.
from reslab.predict.runtimes import eager as eager  # isort: skip
from reslab.predict.runtimes import openvino as openvino  # isort: skip
from reslab.predict.runtimes import onnxruntime as onnxruntime  # isort: skip
from reslab.predict.runtimes import compiled as compiled  # isort: skip
from reslab.predict.runtimes.runtime import RUNTIMES, Runtime, RuntimeKind, Shape


def kind_of(name: str, precision: str, device: torch.device) -> RuntimeKind:
    """Return the kind of a name that can be used on this machine.

    Args:
        name: one of `RUNTIMES`.
        precision: what it is to compute in, or "auto".
        device: where.

    Raises:
        UsageError: there is no such runtime, or it does not have that precision.
        MachineError: it is not installed, or cannot compute on this device.
    """
    kind = RUNTIMES[name]
    lacking = kind.lacking(device)
    if lacking:
        raise MachineError(f"runtime {name} cannot be used: {lacking}")
    if precision not in (*kind.precisions, "auto"):
        raise UsageError(
            f"runtime {name} computes in {' or '.join(kind.precisions)}, not in {precision}"
        )
    return kind


def build_runtime(
    name: str, network: Network, shape: Shape, precision: str, device: torch.device
) -> Runtime:
    """Build a runtime for a network.

    Args:
        name: one of `RUNTIMES`.
        network: what it computes; it stays as it is.
        shape: of the usual batch (B, in_chans, H, W); other B are computed too.
        precision: "fp32", "bf16" or "fp16".
        device: where.

    Raises:
        UsageError: there is no such runtime, or it does not have that precision.
        MachineError: it is not here, or it cannot compute this network.
    """
    kind = kind_of(name, precision, device)
    try:
        compute = kind.build(network, shape, precision, device)
    except (ImportError, RuntimeError, ValueError, TypeError, AssertionError) as error:
        line = " ".join(str(error).split())[:300]
        raise MachineError(
            f"runtime {name} {precision} cannot compute {network.spec.name}: {line}",
            remedy="use --runtime eager",
        ) from error
    return Runtime(name, precision, compute)
