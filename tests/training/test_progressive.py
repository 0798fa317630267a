import pytest
import torch
from parts import make_training

from reslab.errors import UsageError
from reslab.training.progressive import cost_of_the_rest, resized, training_size
from reslab.training.recipe import Recipe, override
from reslab.training.schedule import Plan
from reslab.training.step import train_step

RECIPE = Recipe(name="x", img_size=32, progressive_size=24, progressive_share=0.4)


@pytest.mark.parametrize(("progress", "size"), [(0.0, 24), (0.39, 24), (0.4, 32), (1.0, 32)])
def test_the_size_is_a_function_of_the_progress(progress, size):
    assert training_size(RECIPE, progress) == size


def test_without_an_early_part_every_image_keeps_its_size():
    assert training_size(Recipe(name="x", img_size=32), 0.0) == 32


@pytest.mark.parametrize("field", ["progressive_size", "progressive_share"])
def test_one_without_the_other_is_refused(field):
    with pytest.raises(UsageError, match="progressive_size and progressive_share go together"):
        override(RECIPE, {field: 0})


@pytest.mark.parametrize(
    ("progress", "wanted"),
    [(0.0, 0.4 + 0.6 * 16 / 9), (0.2, 0.25 + 0.75 * 16 / 9), (0.4, 1.0), (0.9, 1.0)],
)
def test_the_rest_of_a_run_costs_more_than_its_beginning(progress, wanted):
    assert cost_of_the_rest(RECIPE, progress) == pytest.approx(wanted)


def test_fewer_pixels_are_averages_of_the_old_ones():
    images = torch.randn(3, 2, 32, 32)
    smaller = resized(images, 24)
    assert smaller.shape == (3, 2, 24, 24)
    torch.testing.assert_close(smaller.mean((2, 3)), images.mean((2, 3)), atol=0.02, rtol=0)
    assert smaller.std() < 0.8 * images.std()
    ramp = torch.arange(32.0).expand(1, 1, 32, 32)
    wanted = (torch.arange(24.0) + 0.5) * 32 / 24 - 0.5  # the positions of the new pixels
    torch.testing.assert_close(resized(ramp, 24)[0, 0, 5, 2:-2], wanted[2:-2], atol=0.02, rtol=0)
    assert resized(images, 32) is images


def test_the_network_sees_the_size_of_the_moment():
    training = make_training({"img_size": 16, "progressive_size": 8, "progressive_share": 0.5})
    seen = []
    training.network.stem.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0].shape))
    training.state.plan = Plan(4)
    for step in range(4):
        train_step(training, training.loader.batch(step), 0.01)
        training.state.step += 1
    assert [shape[-1] for shape in seen] == [8, 8, 16, 16]
