"""The network computed by OpenVINO's CPU plugin."""

from __future__ import annotations

import torch
from torch import Tensor

from reslab.nn import Network
from reslab.predict.runtimes.exported import exported, quiet
from reslab.predict.runtimes.prepared import Prepared
from reslab.predict.runtimes.runtime import Compute, Shape

HINTS = {"fp32": "f32", "bf16": "bf16"}


def build(network: Network, shape: Shape, precision: str, device: torch.device) -> Compute:
    """Convert and compile for any number of images; torch's number of threads is taken."""
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    with quiet():
        graph = exported(Prepared(network, "fp32", device), shape).run_decompositions().module()
        # The same as `openvino.convert_model`, which would also report to its makers.
        frontend = FrontEndManager().load_by_framework("pytorch")
        decoder = TorchFXPythonDecoder(graph, dynamic_shapes=True)
        model = frontend.convert(frontend.load(decoder))  # decoder must live until here
    model.reshape([-1, *shape[1:]])
    settings = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def compute(images: Tensor) -> Tensor:
        found = request.infer([images.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(found[0].copy())

    return compute
