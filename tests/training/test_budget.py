"""How many updates fit into a time."""

from __future__ import annotations

import pytest

from reslab.training.budget import Budget, Clock


class Told(Clock):
    """A clock that tells the time it is given."""

    now_s = 0.0

    def elapsed_s(self) -> float:
        return self.now_s


def clock(step_s: float, now_s: float, row_s: float = 0.0) -> Told:
    made = Told(0.0, 0.0)
    made.step_s.extend([step_s] * 8)
    made.now_s, made.row_s = now_s, row_s
    return made


def budget(**changes: float) -> Budget:
    values = {
        "total_s": 600.0,
        "steps_per_row": 390.0,
        "most_steps": 1_000_000,
        "batch_size": 128,
        "row_images": 0,
        "final_images": 20_000,
    }
    return Budget(**{**values, **changes})  # type: ignore[arg-type]


def test_without_a_validation_split_the_test_images_alone_are_left_time_for():
    # 0.1 s for 128 images trained, 0.3 of it evaluated: 20,000 images take 4.7 s.
    total = budget().total_steps(8, clock(0.1, 1.0))
    assert total == pytest.approx((600 - 1 - 3 - 4.7) / 0.1 + 8, rel=0.01)


def test_before_the_first_row_the_images_still_to_evaluate_are_counted():
    # 60 s at 0.5 s an update: twice 10,000 images take 23 s at the end, whatever a row takes.
    total = budget(total_s=60.0, row_images=1).total_steps(8, clock(0.5, 4.0))
    assert total == pytest.approx((60 - 4 - 3 - 23.4) / 0.5 + 8, abs=2)


def test_a_row_tells_what_an_image_takes():
    # A row of 1,000 images in 1 s: 20 s for the end.
    told = budget(row_images=1_000).total_steps(400, clock(0.5, 201.0, row_s=1.0))
    assert told == pytest.approx((600 - 201 - 3 - 20) / (0.5 + 1 / 390) + 400, rel=0.01)


def test_what_a_row_takes_besides_its_images_is_not_multiplied():
    # Ten images in a row of 1 s: writing took the time, and evaluating is no slower than training.
    told = budget(row_images=10).total_steps(400, clock(0.1, 41.0, row_s=1.0))
    assert told > 400 + 4_500
