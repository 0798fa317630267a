"""torchvision's network in the runtimes that people answer with."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.peers.networks import make
from bench.session import Session

Call = Callable[[Tensor], Any]


def eager(network: nn.Module, images: Tensor, settings: dict[str, Any]) -> Call:
    """Run torch as it is."""

    def call(batch: Tensor) -> Tensor:
        with torch.inference_mode():
            return network(batch)

    return call


def frozen(network: nn.Module, images: Tensor, settings: dict[str, Any]) -> Call:
    """Compile with the weights as constants, in float32 or bf16."""
    import torch._inductor.config as inductor

    inductor.freezing = True
    dtype = torch.bfloat16 if settings["bf16"] else torch.float32
    network = network.to(dtype).to(memory_format=torch.channels_last)
    compiled = torch.compile(network)

    def call(batch: Tensor) -> Tensor:
        with torch.no_grad():
            return compiled(batch.to(dtype).contiguous(memory_format=torch.channels_last)).float()

    return call


def onnxruntime(network: nn.Module, images: Tensor, settings: dict[str, Any]) -> Call:
    """Run ONNX Runtime on all cores."""
    import onnxruntime as runtime

    file = Path(settings["own"], "network.onnx")
    torch.onnx.export(network, (images,), str(file), dynamo=False, input_names=["images"])
    options = runtime.SessionOptions()
    options.intra_op_num_threads = settings["threads"]
    session = runtime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(None, {"images": batch.numpy()})[0]


def openvino(network: nn.Module, images: Tensor, settings: dict[str, Any]) -> Call:
    """Run OpenVINO on all cores, in float32 or bf16."""
    import openvino as runtime

    model = runtime.convert_model(network, example_input=images, input=[tuple(images.shape)])
    compiled = runtime.compile_model(
        model,
        "CPU",
        {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if settings["bf16"] else "f32",
            "INFERENCE_NUM_THREADS": settings["threads"],
        },
    )
    request = compiled.create_infer_request()
    return lambda batch: request.infer([batch.numpy()], share_inputs=True)[0]


RUNTIMES = {
    "eager": eager,
    "frozen": frozen,
    "onnxruntime": onnxruntime,
    "openvino": openvino,
}


def prepared(settings: dict[str, Any]) -> tuple[nn.Module, Call, Tensor]:
    """Build the network with our weights and set its runtime up for the batch."""
    shared = torch.load(Path(settings["scratch"], "shared.pt"))
    network = make("torchvision", settings["their_network"], 1000)
    network.load_state_dict(shared["weights"])
    images = shared["images"]
    return network, RUNTIMES[settings["runtime"]](network.eval(), images, settings), images


def measure(session: Session, settings: dict[str, Any]) -> None:
    """Compute logits of a batch, as often as each chunk says."""
    session.mark("import_s")
    _, call, images = prepared(settings)
    for _ in range(3):
        call(images)
    session.ready(torch=torch.__version__)
    for units in session.chunks():
        began = time.perf_counter()
        for _ in range(units):
            call(images)
        session.answer(units * len(images), time.perf_counter() - began)


def check(settings: dict[str, Any]) -> dict[str, Any]:
    """Say what this runtime makes of our weights and images."""
    network, call, images = prepared(settings)
    logits = np.asarray(call(images), dtype=np.float32).copy()
    found = {"parameters": sum(p.numel() for p in network.parameters()), "logits": logits}
    return found if settings["bf16"] else {**found, "float32": logits}
