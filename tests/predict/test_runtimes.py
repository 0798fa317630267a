"""Every runtime computes what torch computes: the same network, any batch, any size."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import Tensor

from reslab import networks
from reslab.errors import MachineError, UsageError
from reslab.networks.network import Network, build
from reslab.networks.resnet import ResNetSpec, StageSpec, StemSpec
from reslab.predict.runtimes import RUNTIMES, build_runtime, kind_of

CPU = torch.device("cpu")
# A form of each family: zero padding and projections, activations in every order, gates, maps
# put side by side, channels shuffled, grouped and depthwise convolutions, LRN, whole layers of
# weights on a map, a whitened stem, several branches.
FAMILIES = {
    "plain20": 32,
    "resnet20": 32,
    "resnet18": 64,
    "preact_resnet20": 32,
    "resnet20_exclusive_gate": 32,
    "highway10": 32,
    "squeezenet1_1": 64,
    "shufflenet_v1_g3_050": 64,
    "mobilenet_v1_025": 64,
    "googlenet": 64,
    "inception_resnet_small": 32,
    "vgg11_lrn": 64,
    "keras_preact_3_4_6": 57,
    "airbench94": 32,
}
# "eager" is torch itself, "compiled" takes half a minute to build: they have tests of their own.
EXTRAS = {name: RUNTIMES[name] for name in RUNTIMES if RUNTIMES[name].packages}
OTHERS = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            any(importlib.util.find_spec(package) is None for package in kind.packages),
            reason=f"needs pip install 'reslab[{kind.extra}]'",
        ),
    )
    for name, kind in ((name, RUNTIMES[name]) for name in RUNTIMES)
    if name not in ("eager", "compiled")
]


def settled(network: Network, images: Tensor) -> Network:
    """Give batch norms the statistics of some images and scales of their own, as training does."""
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
                if module.affine:
                    module.weight.uniform_(0.5, 1.5, generator=draw)
                    module.bias.normal_(0, 0.2, generator=draw)
        network.train()(images)
    return network.eval()


def small(in_chans: int = 3, num_classes: int = 5) -> Network:
    torch.manual_seed(in_chans)
    spec = ResNetSpec(
        name="small",
        num_classes=num_classes,
        in_chans=in_chans,
        img_size=11,
        stem=StemSpec(width=4, kernel=3, stride=1, max_pool=False),
        stages=(StageSpec(width=4, depth=1, stride=1), StageSpec(width=8, depth=1, stride=2)),
        shortcut="A",
    )
    return settled(build(spec), torch.randn(8, in_chans, 11, 11))


def apart(runtime: object, network: Network, images: Tensor) -> float:
    """Return the largest error beside the largest logit."""
    with torch.inference_mode():
        wanted = network(images)
    found = runtime(images)  # type: ignore[operator]
    assert found.dtype == torch.float32
    assert found.device.type == "cpu"
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("name", ["eager", *OTHERS])
def test_any_batch_and_shape_as_torch(name: str) -> None:
    network = small()
    kept = {key: value.clone() for key, value in network.state_dict().items()}
    runtime = build_runtime(name, network, (3, 3, 11, 13), "fp32", CPU)
    for count in (3, 1, 7, 2):
        assert apart(runtime, network, torch.randn(count, 3, 11, 13)) < 1e-4
    now = network.state_dict()
    assert all(torch.equal(now[key], kept[key]) for key in kept), "the network stays as it is"
    assert (runtime.name, runtime.precision) == (name, "fp32")


@pytest.mark.parametrize("name", OTHERS)
def test_images_that_are_no_block_of_memory(name: str) -> None:
    network = small(in_chans=1, num_classes=1)
    runtime = build_runtime(name, network, (1, 1, 11, 11), "fp32", CPU)
    whole = torch.randn(2, 1, 22, 22)
    cut = whole.contiguous(memory_format=torch.channels_last)[:, :, ::2, 5:16]
    assert apart(runtime, network, cut) < 1e-4
    first = runtime(cut)
    kept = first.clone()
    runtime(torch.randn(2, 1, 11, 11))
    assert torch.equal(first, kept), "an answer is not overwritten by the next one"


@pytest.mark.slow
@pytest.mark.parametrize("family", ["resnet20", "highway10", "shufflenet_v1_g3_050"])
def test_compiled_as_torch(family: str) -> None:
    check_family("compiled", family)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["eager", *OTHERS])
def test_every_family_as_torch(name: str, family: str) -> None:
    check_family(name, family)


def check_family(name: str, family: str) -> None:
    torch.manual_seed(0)
    network, size = build(networks.entry(family).spec), FAMILIES[family]
    images = torch.randn(4, network.spec.in_chans, size, size)
    network = settled(network, images)
    runtime = build_runtime(name, network, (2, *images.shape[1:]), "fp32", CPU)
    assert apart(runtime, network, images) < 1e-4
    assert apart(runtime, network, images[:1]) < 1e-4


@pytest.mark.parametrize("name", ["eager", pytest.param("compiled", marks=pytest.mark.slow)])
def test_bf16_is_near_and_keeps_logits_apart(name: str) -> None:
    network = small(num_classes=50)
    images = torch.randn(64, 3, 11, 11)
    runtime = build_runtime(name, network, (64, 3, 11, 11), "bf16", CPU)
    assert 1e-6 < apart(runtime, network, images) < 0.03
    assert apart(runtime, network, images[:5]) < 0.03
    logits = runtime(images)
    assert not torch.equal(logits, logits.bfloat16().float()), "logits are not rounded to 8 bits"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_in_bf16_no_worse_than_autocast(family: str) -> None:
    torch.manual_seed(0)
    network, size = build(networks.entry(family).spec), FAMILIES[family]
    images = torch.randn(4, network.spec.in_chans, size, size)
    network = settled(network, images)
    runtime = build_runtime("eager", network, (4, *images.shape[1:]), "bf16", CPU)

    def usual(x: Tensor) -> Tensor:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            found: Tensor = network(x)
            return found.float()

    assert apart(runtime, network, images) < 1.2 * apart(usual, network, images) + 0.002


def test_four_channels_and_no_classifier() -> None:
    network = small(in_chans=4)
    network.reset_classifier(0)
    for precision, bound in (("fp32", 1e-4), ("bf16", 0.03)):
        runtime = build_runtime("eager", network, (2, 4, 11, 11), precision, CPU)
        assert apart(runtime, network, torch.randn(2, 4, 11, 11)) < bound


def test_names_and_precisions_that_are_not_there() -> None:
    with pytest.raises(UsageError, match="did you mean 'openvino'"):
        kind_of("openvin", "fp32", CPU)
    with pytest.raises(UsageError, match="eager computes in fp32 or bf16 or fp16, not in int8"):
        kind_of("eager", "int8", CPU)
    for name in EXTRAS:
        with pytest.raises(MachineError, match="computes on the processor, not on cuda"):
            kind_of(name, "fp32", torch.device("cuda"))


@pytest.mark.parametrize("name", EXTRAS)
def test_a_missing_package_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
    with pytest.raises(MachineError) as found:
        kind_of(name, "fp32", CPU)
    assert f"pip install 'reslab[{EXTRAS[name].extra}]'" in str(found.value)
    assert "\n" not in str(found.value)
    assert kind_of("eager", "auto", CPU) is RUNTIMES["eager"]


def test_what_a_runtime_cannot_compute_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    network = small()
    monkeypatch.setattr(type(network.head), "forward", lambda self, x: x.no_such_thing())
    with pytest.raises(MachineError, match="cannot compute small"):
        build_runtime("compiled", network, (2, 3, 11, 11), "fp32", CPU)
