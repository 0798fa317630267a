import pytest
import torch
from awake import assert_untouched, awake, fingerprint, images

from reslab.analyze.layers import layer_costs
from reslab.analyze.receptive import effective_field, receptive_field
from reslab.errors import UsageError
from reslab.models import named_spec
from reslab.networks.network import build


def on_meta(name, **changes):
    with torch.device("meta"):
        return build(named_spec(name, **changes)).eval()


def test_three_quarters_of_vgg16_are_one_layer():
    found = layer_costs(on_meta("vgg16"))
    assert found.largest.name == "head.features.fc6"
    assert found.largest.params == 102_760_448 + 4096
    assert found.largest.params_share == pytest.approx(0.743, abs=5e-4)
    assert found.params == sum(layer.params for layer in found.layers) == 138_357_544
    assert found.macs == sum(layer.macs for layer in found.layers)
    first = found.layers[0]
    assert (first.name, first.output_shape) == ("stem.conv1_1", (64, 224, 224))
    assert first.activation_bytes == 64 * 224 * 224 * 4
    assert (found.layers[1].name, found.layers[1].params) == ("stem.act1_1", 0)
    assert all(layer.time_s is None for layer in found.layers)


def test_time_is_measured_where_there_are_images():
    network = awake("resnet20")
    before = fingerprint(network)
    found = layer_costs(network, images(4), repeats=3)
    assert (found.batch_size, found.repeats) == (4, 3)
    assert all(layer.time_s > 0 for layer in found.layers)
    assert found.time_s > 0
    leaves = [layer.name for layer in found.layers]
    assert leaves[:3] == ["stem.conv", "stem.norm", "stem.act"]
    assert leaves[-1] == "head.classifier"
    assert found.to_json()["layers"][0]["time_s"] == found.layers[0].time_s
    assert_untouched(network, before)
    with pytest.raises(UsageError, match="repeats"):
        layer_costs(network, images(4), repeats=0)


@pytest.mark.parametrize(
    ("name", "layer", "side"),
    [
        ("plain20", "stem.conv", 3),
        ("plain20", "stages.stage1.block1.branch.conv1", 5),  # two 3x3 are one 5x5
        ("plain20", "stages.stage1.block1.branch.conv2", 7),  # and three one 7x7
        ("resnet20", "stages.stage2.block2.branch.conv1", 25),
        ("vgg11", "stages.stage3.conv3_1", 18),
        ("alexnet", "stages.stage1.conv2", 51),
        ("highway_cnn", "stages.stage1.highway1.transform.conv", 5),
    ],
)
def test_the_measured_field_is_the_computed_one(name, layer, side):
    network = on_meta(name)
    found = receptive_field(network, layer)
    assert found.measured == found.computed
    assert found.computed == side


def test_the_effective_field_lies_inside():
    network = awake("resnet20")
    before = fingerprint(network)
    x = images(5, side=32)
    found = effective_field(network, "stages.stage1.block2", x, batch_size=3)
    strength = torch.tensor(found.strength)
    rows = strength.sum(1).nonzero().flatten()
    assert (
        rows[-1] - rows[0] + 1
        == receptive_field(network, "stages.stage1.block2.branch.conv2").computed
    )
    assert strength.max() == 1
    assert 1 <= found.side < rows[-1] - rows[0] + 1
    image = x.clone().requires_grad_()
    y = network.stages.stage1.block2(network.stages.stage1.block1(network.stem(image)))
    (gradient,) = torch.autograd.grad(y[:, :, 16, 16].sum(), image)
    expected = gradient.square().sum((0, 1)).sqrt()
    assert torch.allclose(strength, expected / expected.max(), atol=1e-4)
    assert_untouched(network, before)


def test_fields_that_cannot_be_measured_are_refused():
    with pytest.raises(UsageError, match="no layer"):
        receptive_field(on_meta("plain20"), "head.classifier")
    with pytest.raises(UsageError, match="too many"):
        receptive_field(on_meta("resnet101"), "stages.stage4.block3.branch.conv3")
    with pytest.raises(UsageError, match="no module"):
        effective_field(awake("plain20"), "stages.stage9", images(2))
