"""ResNet-50's logits of a batch that lies in memory."""

from __future__ import annotations

from typing import Any

from bench.case import OURS, Arm, Case, Options

BF16_TOLERANCE = 0.03


def _arm(name: str, group: str, runtime: str, *, bf16: bool, needs: tuple[str, ...] = ()) -> Arm:
    return Arm(
        name=name,
        group=group,
        module="bench.peers.inference",
        settings={"runtime": runtime, "bf16": bf16},
        needs=("torchvision", *needs),
    )


def _case(batch_size: int) -> Case:
    def setup(options: Options) -> dict[str, Any]:
        return {
            "network": "resnet18" if options.quick else "resnet50_v15",
            "their_network": "resnet18" if options.quick else "resnet50",
            "batch_size": min(2, batch_size) if options.quick else batch_size,
            "img_size": 64 if options.quick else 224,
            "tolerance": BF16_TOLERANCE,
        }

    return Case(
        name=f"infer-resnet50-{batch_size}",
        title=f"infer ResNet-50, 224 px, batch {batch_size}",
        unit="images/s",
        ours=Arm(name="reslab.predict", group=OURS, module="bench.ours.inference"),
        peers=(
            _arm("torchvision, torch eager float32", "as found", "eager", bf16=False),
            _arm("torch compiled and frozen, float32", "tuned", "frozen", bf16=False),
            _arm("torch compiled and frozen, bf16", "tuned", "frozen", bf16=True),
            _arm(
                "ONNX Runtime, float32",
                "tuned",
                "onnxruntime",
                bf16=False,
                needs=("onnxruntime", "onnx"),
            ),
            _arm("OpenVINO, float32", "tuned", "openvino", bf16=False, needs=("openvino",)),
            _arm("OpenVINO, bf16", "tuned", "openvino", bf16=True, needs=("openvino",)),
        ),
        targets={"as found": 3.5, "tuned": 1.0},
        setup=setup,
        agree={"parameters": 0.0, "float32": 1e-3, "logits": BF16_TOLERANCE},
        seconds=6.0,
    )


CASES = (_case(1), _case(16))
