import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reslab.report.pictures import most_doubtful, surest_mistakes


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(2, 6))
def test_surest_and_most_doubtful_agree_with_a_plain_search(seed: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    chances = generator.dirichlet(np.ones(classes), 30)
    labels = generator.integers(0, classes, 30)
    wrong = [i for i in range(30) if max(range(classes), key=lambda k: chances[i, k]) != labels[i]]
    expected = sorted(wrong, key=lambda i: -max(chances[i]))[:5]
    assert surest_mistakes(chances, labels, 5).tolist() == expected

    def margin(i: int) -> float:
        second, first = sorted(chances[i])[-2:]
        return float(first - second)

    assert most_doubtful(chances, 5).tolist() == sorted(range(30), key=margin)[:5]
