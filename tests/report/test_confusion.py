import numpy as np
import pytest
from make_run import decode

from reslab.report.confusion import TABLE_CLASSES, confusion


def test_cells_pairs_and_sentence() -> None:
    counts = np.array([[8, 2, 0], [3, 7, 0], [0, 0, 0]])
    made = confusion(counts, ["cat", "dog", "eel"])
    assert [[cell.count for cell in row] for row in made.rows] == counts.tolist()
    assert [[cell.kind for cell in row] for row in made.rows] == [
        ["hit", "miss", "zero"],
        ["miss", "hit", "zero"],
        ["zero", "zero", "zero"],
    ]
    assert [(p.true, p.said, p.count, p.share_pct) for p in made.pairs] == [
        ("dog", "cat", 3, pytest.approx(30)),
        ("cat", "dog", 2, pytest.approx(20)),
    ]
    assert made.rows[0][1].title == "2 of 10 cat taken for dog"
    assert made.sentence == (
        "5 of 20 images were taken for another class. "
        "The most frequent mistake: dog taken for cat, 3 times."
    )
    assert not made.map_uri


def test_without_mistakes() -> None:
    made = confusion(np.diag([4, 5]), ["a", "b"])
    assert made.sentence == "None of 9 images was taken for another class."
    assert not made.pairs


def test_many_classes_become_a_map_of_one_pixel_a_cell() -> None:
    size = TABLE_CLASSES + 15
    counts = np.diag(np.full(size, 10))
    counts[3, 7] = 5
    made = confusion(counts, [f"class {i}" for i in range(size)])
    assert not made.rows
    pixels = np.asarray(decode(made.map_uri))
    assert pixels.shape == (size, size, 4)
    assert (pixels[..., 3] > 0).tolist() == (counts > 0).tolist()
    red, _, blue, _ = pixels[3, 7].astype(int)
    assert red > blue  # a mistake
    red, _, blue, _ = pixels[5, 5].astype(int)
    assert red < blue  # a hit
