"""The assembled networks against independent functional versions of them."""

import pytest
import torch
import torch.nn.functional as F

from reslab import networks
from reslab.networks.network import build


def norm(x, state, name, training):
    return F.batch_norm(
        x,
        state[f"{name}.running_mean"].clone(),
        state[f"{name}.running_var"].clone(),
        state[f"{name}.weight"],
        state[f"{name}.bias"],
        training=training,
    )


def reference_cifar_resnet(x, state, depth, training):
    """ResNet-(6n+2) with option A, of functions alone: He et al. 2015, section 4.2."""
    x = F.conv2d(x, state["stem.conv.weight"], padding=1)
    x = F.relu(norm(x, state, "stem.norm", training))
    for stage in (1, 2, 3):
        for block in range(1, (depth - 2) // 6 + 1):
            at = f"stages.stage{stage}.block{block}.branch"
            stride = 2 if stage > 1 and block == 1 else 1
            y = F.conv2d(x, state[f"{at}.conv1.weight"], stride=stride, padding=1)
            y = F.relu(norm(y, state, f"{at}.norm1", training))
            y = F.conv2d(y, state[f"{at}.conv2.weight"], padding=1)
            y = norm(y, state, f"{at}.norm2", training)
            if stride == 2:
                half = x[:, :, ::2, ::2]
                x = torch.cat([half, torch.zeros_like(half)], dim=1)
            x = F.relu(y + x)
    x = F.adaptive_avg_pool2d(x, 1).flatten(1)
    return F.linear(x, state["head.classifier.weight"], state["head.classifier.bias"])


def reference_bottleneck(x, state, at, strides, training):
    """One bottleneck with a projection shortcut where the state has one."""
    y = F.conv2d(x, state[f"{at}.branch.conv1.weight"], stride=strides[0])
    y = F.relu(norm(y, state, f"{at}.branch.norm1", training))
    y = F.conv2d(y, state[f"{at}.branch.conv2.weight"], stride=strides[1], padding=1)
    y = F.relu(norm(y, state, f"{at}.branch.norm2", training))
    y = F.conv2d(y, state[f"{at}.branch.conv3.weight"])
    y = norm(y, state, f"{at}.branch.norm3", training)
    if f"{at}.shortcut.conv.weight" in state:
        stride = strides[0] * strides[1]
        x = F.conv2d(x, state[f"{at}.shortcut.conv.weight"], stride=stride)
        x = norm(x, state, f"{at}.shortcut.norm", training)
    return F.relu(y + x)


def reference_resnet50(x, state, stride_on_3x3, training):
    """ResNet-50 with option B, of functions alone: He et al. 2015, table 1."""
    x = F.conv2d(x, state["stem.conv.weight"], stride=2, padding=3)
    x = F.relu(norm(x, state, "stem.norm", training))
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    for stage, depth in enumerate((3, 4, 6, 3), start=1):
        for block in range(1, depth + 1):
            strides = (1, 1)
            if stage > 1 and block == 1:
                strides = (1, 2) if stride_on_3x3 else (2, 1)
            at = f"stages.stage{stage}.block{block}"
            x = reference_bottleneck(x, state, at, strides, training)
    x = x.mean((2, 3))
    return F.linear(x, state["head.classifier.weight"], state["head.classifier.bias"])


def unlike_at_start(network):
    """Give norms values that differ from their start, so that each one matters."""
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if ".norm" in name and value.is_floating_point():
                value.copy_(torch.rand_like(value) + 0.5)
    return network


@pytest.mark.parametrize("training", [True, False])
def test_resnet20_equals_the_functional_version(training):
    torch.manual_seed(0)
    network = unlike_at_start(build(networks.entry("resnet20").spec)).train(training)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.randn(3, 3, 32, 32)
    expected = reference_cifar_resnet(x, state, 20, training)
    torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize("name", ["resnet50", "resnet50_v15"])
def test_resnet50_equals_the_functional_version(name):
    torch.manual_seed(0)
    network = unlike_at_start(build(networks.entry(name).spec)).train()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.randn(2, 3, 64, 64)
    expected = reference_resnet50(x, state, name.endswith("v15"), True)
    torch.testing.assert_close(network(x), expected, rtol=1e-3, atol=1e-3)


def test_plain_is_residual_without_its_shortcuts():
    torch.manual_seed(0)
    plain = build(networks.entry("plain20").spec)
    residual = build(networks.entry("resnet20").spec)
    residual.load_state_dict(plain.state_dict())
    for module in residual.modules():
        if hasattr(module, "shortcut"):
            module.shortcut.register_forward_hook(lambda _m, _i, y: torch.zeros_like(y))
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(plain(x), residual(x))


def test_block_computes_the_equation():
    torch.manual_seed(0)
    block = build(networks.entry("resnet20").spec).stages.stage1.block2.eval()
    x = torch.rand(1, 16, 8, 8)
    assert torch.equal(block(x), torch.relu(block.branch(x) + x))
