import math

import numpy as np
import pytest

from candlecast.statistics.bootstrap import circular_block

X = np.random.default_rng(8).standard_normal(400) + 0.3


def test_blocks_of_one_give_the_error_of_independent_values() -> None:
    """999 draws know a standard error to 2.2 %."""
    estimate = circular_block(np.mean, (X,), block=1)

    assert estimate.value == pytest.approx(X.mean())
    assert estimate.se == pytest.approx(X.std() / 20, rel=0.08)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * estimate.se, rel=0.1)


def test_blocks_see_what_neighbours_have_in_common() -> None:
    """Each value five times: a fifth as many, so √5 times the error; blocks of 40 cut one run in eight."""
    fivefold = np.repeat(X[:80], 5)

    narrow, wide = (circular_block(np.mean, (fivefold,), block=block).se for block in (1, 40))

    assert wide / narrow == pytest.approx(math.sqrt(5), rel=0.2)


def test_rows_are_drawn_together() -> None:
    """The ratio of two equal rows is 1 in every draw, so there is nothing to read an error off."""
    estimate = circular_block(lambda a, b: float(a.sum() / b.sum()), (X + 5.0, X + 5.0), block=4)

    assert estimate.value == 1.0
    assert estimate.low == -math.inf


def test_the_p_value_agrees_with_the_basic_interval() -> None:
    at_end = circular_block(np.mean, (X,), block=2, null=circular_block(np.mean, (X,), block=2).low)

    assert at_end.p_value == pytest.approx(0.05, abs=0.004)  # two draws of 999 on either side
    assert circular_block(np.mean, (X,), block=2, null=float(X.mean())).p_value == pytest.approx(1.0, abs=0.1)


def test_the_same_seed_gives_the_same_interval() -> None:
    first, again, other = (circular_block(np.mean, (X,), block=5, n=99, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert first != other


@pytest.mark.parametrize(("n", "block"), [(0, 1), (30, 8), (3, 1)])
def test_fewer_than_four_blocks_have_no_interval(n: int, block: int) -> None:
    estimate = circular_block(lambda x: float(x.mean()) if len(x) else math.nan, (X[:n],), block=block)

    assert (estimate.low, estimate.high, estimate.p_value) == (-math.inf, math.inf, 1.0)
