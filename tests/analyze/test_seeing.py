"""Filters, stage maps, maximal images, occlusion and embeddings against plain references."""

import numpy as np
import pytest
import torch
from torch import nn

from reslab.analyze.embedding import feature_vectors, principal_components, t_sne
from reslab.analyze.feature_images import stage_maps
from reslab.analyze.filters import as_pictures, first_filters
from reslab.analyze.maximal import maximal_images
from reslab.analyze.occlusion import occlusion
from reslab.errors import DataError, UsageError
from reslab.models import create_model
from tolerance import assert_same, rounding_of


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return create_model("resnet20").train()


@pytest.fixture(scope="module")
def images():
    return torch.randn(7, 3, 32, 32, generator=torch.Generator().manual_seed(2))


@pytest.fixture(autouse=True)
def unchanged(network):
    """What is true of every function here: nothing stays behind."""
    before = {k: v.clone() for k, v in network.state_dict().items()}
    yield
    assert network.training
    assert not any(m._forward_hooks for m in network.modules())
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())


def plain(network):
    other = create_model("resnet20").eval()
    other.load_state_dict(network.state_dict())
    return other


def test_the_first_filters_are_a_copy_of_the_stem(network):
    found = first_filters(network)
    assert found.module == "stem.conv"
    assert torch.equal(found.weights, network.stem.conv.weight)
    found.weights.zero_()
    assert network.stem.conv.weight.abs().max() > 0
    with pytest.raises(UsageError, match="no convolution"):
        first_filters(nn.Linear(2, 2))


def test_filters_keep_their_zero_in_the_middle():
    weights = torch.tensor([[[[2.0, -1.0]], [[0.0, 1.0]]], [[[0.0, 0.0]], [[0.0, 0.0]]]])
    pictures = as_pictures(weights)
    assert pictures[0].tolist() == [[[1.0, 0.25]], [[0.5, 0.75]]]
    assert (pictures[1] == 0.5).all()


def test_stage_maps_are_the_channels_that_vary_most(network, images):
    other = plain(network)
    with torch.no_grad():
        inner = other.stages.stage2(other.stages.stage1(other.stem(images)))
    variance = inner.var(dim=(0, 2, 3), unbiased=False)
    found = stage_maps(network, images, channels=4)
    assert [s.module for s in found] == ["stem", "stages.stage1", "stages.stage2", "stages.stage3"]
    assert found[2].channels.tolist() == variance.topk(4).indices.tolist()
    assert_same(network, found[2].maps, inner[:, found[2].channels])


def test_maximal_images_against_all_maps_at_once(network, images):
    steps = []
    (found,) = maximal_images(
        network,
        images,
        ["stages.stage1"],
        top=4,
        batch_size=3,
        progress=lambda *step: steps.append(step),
    )
    assert steps == [(3, 7), (6, 7), (7, 7)]
    other = plain(network)
    with torch.no_grad():
        maps = other.stages.stage1(other.stem(images))
    for unit in range(maps.shape[1]):
        values = maps[:, unit].flatten(1).max(dim=1).values
        best = values.argsort(descending=True, stable=True)[:4]
        assert_same(network, found.values[unit], values[best])
        assert found.images[unit].tolist() == best.tolist()
        for rank, image in enumerate(best.tolist()):
            row, column = found.places[unit, rank].tolist()
            assert_same(network, maps[image, unit, row, column], found.values[unit, rank])


def test_occlusion_against_one_cover_at_a_time(network, images):
    classes = torch.tensor([0, 3])
    steps = []
    found = occlusion(
        network,
        images[:2],
        classes,
        patch=9,
        cell=8,
        batch_size=5,
        progress=lambda *step: steps.append(step),
    )
    other = plain(network)
    assert found.covered.shape == (2, 4, 4)
    assert steps[-1] == (32, 32)
    for i, c in enumerate(classes.tolist()):
        for row, column in ((0, 0), (1, 2), (3, 3)):
            x = images[i : i + 1].clone()
            centre_y, centre_x = row * 8 + 4, column * 8 + 4
            for y in range(32):
                for z in range(32):
                    # A square of nine pixels centred on the cell of eight: one more before.
                    if -5 <= y - centre_y <= 3 and -5 <= z - centre_x <= 3:
                        x[0, :, y, z] = 0
            with torch.no_grad():
                logits = other(x)
            chance, bound = logits.softmax(1)[0, c], rounding_of(network, logits)
            torch.testing.assert_close(found.covered[i, row, column], chance, rtol=0, atol=bound)
    with torch.no_grad():
        whole = other(images[:2]).softmax(1)[[0, 1], classes]
    drop = whole[:, None, None] - found.covered
    torch.testing.assert_close(found.drop, drop, rtol=0, atol=bound)


def test_occlusion_covers_every_pixel_of_a_map_of_any_size(network):
    x = torch.randn(1, 3, 20, 20)
    assert occlusion(network, x, torch.tensor([0]), patch=6, cell=6).covered.shape == (1, 4, 4)
    with pytest.raises(UsageError, match="cell"):
        occlusion(network, x, torch.tensor([0]), patch=6, cell=21)


def test_occlusion_of_a_calibrated_model_is_in_its_probabilities(network, images):
    classes = torch.tensor([0, 3])
    found = occlusion(network, images[:2], classes, patch=9, cell=16, temperature=2.5)
    with torch.no_grad():
        logits = plain(network)(images[:2])
    whole = (logits / 2.5).softmax(1)[[0, 1], classes]
    torch.testing.assert_close(found.whole, whole, rtol=0, atol=rounding_of(network, logits))
    plainly = occlusion(network, images[:2], classes, patch=9, cell=16)
    assert not torch.allclose(found.covered, plainly.covered)


def test_feature_vectors_are_what_the_classifier_sees(network, images):
    vectors = feature_vectors(network, images, batch_size=4)
    other = plain(network)
    with torch.no_grad():
        found = other(images)
        classifier = other.get_classifier().double()
    expected = vectors @ classifier.weight.numpy(force=True).T + classifier.bias.numpy(force=True)
    bound = rounding_of(network, found)
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=bound)
    with pytest.raises(DataError, match="no images"):
        feature_vectors(network, images[:0])


def test_principal_components_against_scikit_learn():
    from sklearn.decomposition import PCA

    vectors = np.random.default_rng(0).normal(size=(40, 6)) * [5, 3, 1, 1, 0.5, 0.1]
    found = principal_components(vectors)
    reference = PCA(2).fit(vectors)
    np.testing.assert_allclose(found.shares, reference.explained_variance_ratio_)
    np.testing.assert_allclose(np.abs(found.points), np.abs(reference.transform(vectors)))
    np.testing.assert_allclose(principal_components(-vectors).points, -found.points)
    assert principal_components(vectors[:, :1]).points.shape == (40, 2)


def test_t_sne_keeps_clusters_apart_and_repeats_itself():
    generator = np.random.default_rng(1)
    centres = np.repeat(np.eye(3) * 20, 12, axis=0)
    vectors = centres + generator.normal(size=(36, 3))
    points = t_sne(vectors, seed=3)
    assert np.array_equal(points, t_sne(vectors, seed=3))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (distances.argmin(axis=1) // 12 == np.arange(36) // 12).all()
    with pytest.raises(DataError, match="four"):
        t_sne(vectors[:3])


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_t_sne_of_equal_vectors_is_one_point(value):
    assert t_sne(np.full((12, 16), value)).tolist() == [[0.0, 0.0]] * 12
