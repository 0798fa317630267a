import pytest
import torch
import torch.nn.functional as F
from awake import assert_untouched, awake, fingerprint, images

from reslab.analyze.responses import layer_responses
from reslab.analyze.view import Moments, view_of
from reslab.errors import CheckpointError, DataError, UsageError
from reslab.networks.fused import fuse
from reslab.networks.surgery import fold_batch_norm
from tolerance import rounding, terms_of


def norm(x, tensors, name):
    mean, var = tensors[f"{name}.running_mean"], tensors[f"{name}.running_var"]
    return F.batch_norm(x, mean, var, tensors[f"{name}.weight"], tensors[f"{name}.bias"])


def by_hand(network, x):
    """Figure 7's quantity for a CIFAR network of 2015, with bare functions."""
    t, found = network.state_dict(), []
    stages = network.spec.stages

    def response(x, conv, norm_name, stride):
        y = norm(F.conv2d(x, t[f"{conv}.weight"], stride=stride, padding=1), t, norm_name)
        found.append(y.double().std(correction=0).item())
        return y

    x = F.relu(response(x, "stem.conv", "stem.norm", 1))
    for number, stage in enumerate(stages, 1):
        for block in range(1, stage.depth + 1):
            stride = stage.stride if block == 1 else 1
            at = f"stages.stage{number}.block{block}.branch"
            y = F.relu(response(x, f"{at}.conv1", f"{at}.norm1", stride))
            y = response(y, f"{at}.conv2", f"{at}.norm2", 1)
            if network.spec.shortcut == "A":
                x = x[:, :, ::stride, ::stride]
                y = y + F.pad(x, (0, 0, 0, 0, 0, y.shape[1] - x.shape[1]))
            x = F.relu(y)
    return found


@pytest.mark.parametrize("name", ["plain20", "resnet20"])
def test_responses_are_those_of_a_functional_version(name):
    network = awake(name)
    before = fingerprint(network)
    found = layer_responses(network, images(10), batch_size=4)
    assert len(found.layers) == 19, "6n + 1 layers of 3x3"
    bound = rounding(torch.float32, terms_of(network))
    assert found.stds == pytest.approx(by_hand(network, images(10)), rel=bound)
    assert found.sorted_stds == tuple(sorted(found.stds, reverse=True))
    assert found.to_json()["layers"][0]["measured_at"] == "stem.norm"
    assert_untouched(network, before)


def test_fused_passes_change_nothing():
    network = awake("resnet20")
    expected = layer_responses(network, images(6))
    fuse(network)
    assert layer_responses(network, images(6)) == expected


def test_without_a_norm_behind_it_a_convolution_answers_itself():
    found = layer_responses(awake("preact_resnet20"), images(4))
    places = {layer.name: layer.measured_at for layer in found.layers}
    block = "stages.stage1.block2.branch"
    assert places[f"{block}.conv1"] == f"{block}.norm2"
    assert places[f"{block}.conv2"] == f"{block}.conv2", "F itself, which is added"


def test_other_kernels():
    network = awake("squeezenet1_1", stem="small", img_size=32)
    kernels = {
        name: module.kernel_size[0]
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }
    some = layer_responses(network, images(2))
    assert [layer.name for layer in some.layers] == [n for n, k in kernels.items() if k == 3]
    assert len(layer_responses(network, images(2), kernel=0).layers) == len(kernels)
    with pytest.raises(UsageError, match="7x7"):
        layer_responses(network, images(2), kernel=7)


def test_moments_of_parts_are_those_of_the_whole():
    values = torch.randn(1000, dtype=torch.float64) * 3 + 100
    moments = Moments()
    for part in values.split(77):
        moments.add(part)
    assert moments.mean == pytest.approx(values.mean().item(), rel=1e-12)
    assert moments.std == pytest.approx(values.std(correction=0).item(), rel=1e-12)
    assert moments.rms == pytest.approx(values.square().mean().sqrt().item(), rel=1e-12)


def test_what_cannot_be_looked_at_is_refused():
    network = awake("resnet20")
    with pytest.raises(DataError, match="no images"):
        layer_responses(network, images(4)[:0])
    with pytest.raises(UsageError, match="batch size"):
        layer_responses(network, images(4), batch_size=0)
    with pytest.raises(CheckpointError, match="another network"):
        view_of(fold_batch_norm(network))
