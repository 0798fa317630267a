import pytest
import torch

from reslab import artifact, networks
from reslab.data.preprocess import Preprocess
from reslab.errors import CheckpointError, UsageError
from reslab.models import create_model, named_spec
from reslab.networks.network import FeatureMaps, build
from tolerance import assert_same


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A saved resnet20 of four classes whose weights are not those of a new one."""
    torch.manual_seed(5)
    network = build(networks.replace(networks.entry("resnet20").spec, num_classes=4))
    network(torch.randn(8, 3, 32, 32))
    folder = tmp_path_factory.mktemp("run") / "model"
    artifact.save(
        artifact.Artifact(
            network=network.eval(),
            classes=("a", "b", "c", "d"),
            preprocess=Preprocess(img_size=32, resize_size=32),
        ),
        folder,
    )
    return network, folder


def test_a_new_network_has_what_was_asked_for():
    network = create_model("resnet20", num_classes=3, in_chans=1, img_size=16)
    assert network.training
    assert network.spec == named_spec("resnet20", num_classes=3, in_chans=1, img_size=16)
    assert network(torch.randn(2, 1, 16, 16)).shape == (2, 3)


def test_the_small_stem_is_the_net_people_train_on_cifar():
    network = create_model("resnet18", num_classes=10, img_size=32, stem="small")
    assert sum(p.numel() for p in network.parameters()) == 11_173_962
    assert network.feature_info.reduction() == [1, 1, 2, 4, 8]
    assert network.stages.stage1[0] is network.stages.stage1.block1


def test_the_imagenet_stem():
    network = create_model("resnet20", img_size=64, stem="imagenet")
    assert network.feature_info.reduction() == [2, 4, 8, 16]
    assert network.stem.conv.kernel_size == (7, 7)


def test_features_only():
    backbone = create_model("resnet20", features_only=True, out_indices=(1, 3))
    assert isinstance(backbone, FeatureMaps)
    assert [m.shape[1] for m in backbone(torch.randn(1, 3, 32, 32))] == [16, 64]


def test_pretrained_brings_weights_and_head(trained):
    network, folder = trained
    x = torch.randn(2, 3, 32, 32)
    for path in (folder, folder.parent, str(folder)):
        again = create_model("resnet20", pretrained=path)
        assert again.training
        assert torch.equal(again.eval()(x), network(x))


def test_pretrained_with_another_number_of_classes(trained):
    network, folder = trained
    again = create_model("resnet20", pretrained=folder, num_classes=9).eval()
    x = torch.randn(2, 3, 32, 32)
    assert again(x).shape == (2, 9)
    assert torch.equal(again.forward_features(x), network.forward_features(x))


@pytest.mark.parametrize("in_chans", [1, 4])
def test_pretrained_with_other_channels_is_the_same_function_of_grey(trained, in_chans):
    network, folder = trained
    again = create_model("resnet20", pretrained=folder, in_chans=in_chans).eval()
    grey = torch.randn(2, 1, 32, 32)
    found, expected = again(grey.expand(-1, in_chans, -1, -1)), network(grey.expand(-1, 3, -1, -1))
    assert_same(network, found, expected)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("resnet32", {}, "holds a resnet20, asked for was resnet32"),
        ("resnet20", {"stem": "imagenet"}, "another stem than 'imagenet'"),
    ],
)
def test_pretrained_must_be_the_network_asked_for(trained, name, arguments, message):
    with pytest.raises(UsageError, match=message):
        create_model(name, pretrained=trained[1], **arguments)


def test_pretrained_that_is_not_there(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        create_model("resnet20", pretrained=tmp_path / "nothing")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "resnt20"}, "did you mean 'resnet20'"),
        ({"name": "resnet20", "stem": "tiny"}, "unknown stem 'tiny'"),
        ({"name": "resnet20", "num_classes": -1}, "num_classes must be 0 or more"),
        ({"name": "resnet20", "in_chans": 0}, "in_chans must be 1 or more"),
        ({"name": "resnet50", "img_size": 31}, "at least 32x32"),
        ({"name": "resnet20", "out_indices": (1,)}, "features_only=True"),
    ],
)
def test_what_cannot_be_built(arguments, message):
    with pytest.raises(UsageError, match=message):
        create_model(**arguments)
