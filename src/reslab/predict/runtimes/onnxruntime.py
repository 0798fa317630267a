"""The network computed by ONNX Runtime's CPU provider."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from reslab.networks.network import Network
from reslab.predict.runtimes.exported import exported, quiet
from reslab.predict.runtimes.prepared import Prepared
from reslab.predict.runtimes.runtime import Compute, Shape, runtime


@runtime(
    "onnxruntime",
    startup_s=8.0,
    speed={"fp32": 1.7},
    packages=("onnxruntime", "onnxscript"),
    extra="onnx",
)
def build(network: Network, shape: Shape, precision: str, device: torch.device) -> Compute:
    """Export to ONNX in memory and load it, for any number of images."""
    import onnxruntime

    assert precision == "fp32", "its convolutions on a processor are float32"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        _onnx(Prepared(network, precision, device), shape),
        options,
        providers=["CPUExecutionProvider"],
    )
    (name,) = (given.name for given in session.get_inputs())

    def compute(images: Tensor) -> Tensor:
        (logits,) = session.run(None, {name: images.contiguous().numpy()})
        return torch.from_numpy(logits)

    return compute


def _onnx(prepared: Prepared, shape: Shape) -> bytes:
    with quiet(), _without_advice():
        program = torch.onnx.export(exported(prepared, shape), dynamo=True, verbose=False)
        assert program is not None
        model: bytes = program.model_proto.SerializeToString()
    return model


@contextmanager
def _without_advice() -> Iterator[None]:
    """Hold back what torch's exporter says of packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
