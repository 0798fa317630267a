"""The runtimes there are, and building one of them by name."""

from __future__ import annotations

import importlib.util
import shutil
from functools import partial

import torch

from reslab.errors import MachineError, UsageError, unknown
from reslab.networks.network import Network
from reslab.predict.runtimes import compiled, eager, onnxruntime, openvino
from reslab.predict.runtimes.runtime import Kind, Runtime, Shape

EXTRAS = {
    "onnxruntime": ("onnx", ("onnxruntime", "onnxscript")),
    "openvino": ("openvino", ("openvino",)),
}


def _nothing(device: torch.device) -> str:
    return ""


def _lacks_compiler(device: torch.device) -> str:
    if device.type == "mps":
        return "torch's compiler is used on processors and CUDA devices"
    if device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++", "cl"))):
        return "there is no C++ compiler"
    return ""


def _lacks_package(name: str, device: torch.device) -> str:
    if device.type != "cpu":
        return f"it computes on the processor, not on {device}"
    extra, packages = EXTRAS[name]
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        return f"{' and '.join(missing)} not installed: pip install 'reslab[{extra}]'"
    return ""


KINDS = {
    kind.name: kind
    for kind in (
        Kind("eager", eager.build, _nothing, 0.3, {"fp32": 1.2, "bf16": 2.0, "fp16": 2.0}),
        Kind(
            "openvino",
            openvino.build,
            partial(_lacks_package, "openvino"),
            4.0,
            {"fp32": 2.0, "bf16": 4.0},
        ),
        Kind(
            "onnxruntime", onnxruntime.build, partial(_lacks_package, "onnxruntime"), 8.0,
            {"fp32": 1.7},
        ),
        Kind(
            "compiled",
            compiled.build,
            _lacks_compiler,
            45.0,
            {"fp32": 1.7, "bf16": 3.5, "fp16": 3.5},
        ),
    )
}  # fmt: skip


def kind_of(name: str, precision: str, device: torch.device) -> Kind:
    """Return the kind of a name that can be used on this machine.

    Args:
        name: one of `KINDS`.
        precision: what it is to compute in, or "auto".
        device: where.

    Raises:
        UsageError: there is no such runtime, or it does not have that precision.
        MachineError: it is not installed, or cannot compute on this device.
    """
    if name not in KINDS:
        raise unknown("runtime", name, KINDS)
    kind = KINDS[name]
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
        name: one of `KINDS`.
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
