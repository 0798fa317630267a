"""The network computed by OpenVINO's CPU plugin."""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor

from reslab.networks.network import Network
from reslab.predict.runtimes.exported import exported, quiet
from reslab.predict.runtimes.prepared import Prepared
from reslab.predict.runtimes.runtime import Compute, Shape, runtime

ANY = -1
HINTS = {"fp32": "f32", "bf16": "bf16"}


@runtime(
    "openvino",
    startup_s=4.0,
    speed={"fp32": 2.0, "bf16": 4.0},
    packages=("openvino",),
    extra="openvino",
)
def build(network: Network, shape: Shape, precision: str, device: torch.device) -> Compute:
    """Convert once; compile for the usual batch, and for any other when one comes.

    Torch's number of threads is taken.
    """
    import openvino

    model = _converted(Prepared(network, "fp32", device), shape)
    core = openvino.Core()
    settings = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }

    @functools.cache
    def request(count: int) -> Any:
        # A fixed number of images is a tenth faster for single ones.
        model.reshape([count, *shape[1:]])
        return core.compile_model(model, "CPU", settings).create_infer_request()

    def compute(images: Tensor) -> Tensor:
        usual = request(shape[0] if len(images) == shape[0] else ANY)
        found = usual.infer([images.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(found[0].copy())

    return compute


def _converted(prepared: Prepared, shape: Shape) -> Any:
    """Return OpenVINO's model, as `openvino.convert_model` does, which reports to its makers."""
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    with quiet():
        graph = exported(prepared, shape).run_decompositions().module()
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchFXPythonDecoder(graph, dynamic_shapes=True)
        return frontend.convert(frontend.load(decoder))  # the decoder must live until here
