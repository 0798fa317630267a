"""Grad-CAM against the closed form, a functional version, and what it must leave alone."""

import pytest
import torch
import torch.nn.functional as F

from reslab.analyze.grad_cam import grad_cam
from reslab.errors import UsageError
from reslab.models import create_model


def images(network, count=3):
    spec = network.spec
    generator = torch.Generator().manual_seed(4)
    return torch.randn(count, spec.in_chans, spec.img_size, spec.img_size, generator=generator)


@pytest.fixture(scope="module")
def resnet():
    torch.manual_seed(1)
    return create_model("resnet20").train()


@pytest.mark.parametrize("said", [True, False])
def test_behind_an_average_pool_it_is_the_class_activation_map(resnet, said):
    """With logits = W mean(A) + b the weights are W / (h w): Zhou et al. 2016 in closed form."""
    batch = images(resnet)
    with torch.no_grad():
        resnet.eval()
        maps, logits = resnet.forward_features(batch), resnet(batch)
        resnet.train()
    classes = logits.argmax(1) if said else torch.tensor([2, 0, 7])
    weights = resnet.get_classifier().weight[classes].detach()
    expected = torch.einsum("bk,bkhw->bhw", weights, maps).relu() / maps[0, 0].numel()
    found = grad_cam(resnet, batch, None if said else classes)
    torch.testing.assert_close(found, expected)
    assert found.max() > 0


def test_an_inner_module_against_a_functional_version():
    """Ten lines without hooks: the network cut in two by hand."""
    torch.manual_seed(2)
    network = create_model("resnet20").eval()
    batch, classes = images(network, 2), torch.tensor([1, 4])
    found = grad_cam(network, batch, classes, module="stages.stage2")
    with torch.no_grad():
        inner = network.stages.stage2(network.stages.stage1(network.stem(batch)))
    expected = []
    for one, class_number in zip(inner, classes.tolist(), strict=True):

        def logit(a, number=class_number):
            return network.forward_head(network.stages.stage3(a[None]))[0, number]

        weights = torch.func.grad(logit)(one).mean(dim=(1, 2))
        expected.append(F.relu(torch.tensordot(weights, one, 1)))
    torch.testing.assert_close(found, torch.stack(expected).detach())


def test_the_network_is_left_as_it_was(resnet):
    for p in resnet.parameters():
        p.requires_grad_(False)
    before = {k: v.clone() for k, v in resnet.state_dict().items()}
    grad_cam(resnet, images(resnet))
    assert resnet.training
    assert all(torch.equal(v, before[k]) for k, v in resnet.state_dict().items())
    assert all(p.grad is None for p in resnet.parameters())
    assert not any(m._forward_hooks for m in resnet.modules())
    resnet.requires_grad_(True)


def test_an_unknown_module_is_named(resnet):
    with pytest.raises(UsageError, match="stage9"):
        grad_cam(resnet, images(resnet), module="stages.stage9")


@pytest.mark.parametrize(
    "name", ["plain_cnn10", "inception_resnet_small", "preact_resnet20", "highway10"]
)
def test_networks_of_other_kinds(name):
    torch.manual_seed(0)
    network = create_model(name).eval()
    batch = images(network, 1)
    found = grad_cam(network, batch)
    assert found.shape[0] == 1
    assert found.ndim == 3
    assert torch.isfinite(found).all()
    assert (found >= 0).all()
