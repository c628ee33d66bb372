import numpy as np
import pytest

from inference_server.kronos.spread import Spread
from inference_server.pretraining.evaluation import STEPS, Table, by_weeks
from inference_server.pretraining.fitting import fit_spread, needed_factor, spread_factors


def _table(n: int, *, width: float) -> Table:
    """Outcomes from a standard normal, paths from one `width` times as wide; every step, two classes."""
    rng = np.random.default_rng(8)
    step = np.tile(np.array(STEPS), n)
    size = len(step)
    return Table(
        np.full(size, "BTCUSDT"),
        np.full(size, "1h"),
        np.where(np.arange(size) // len(STEPS) % 2 == 0, "crypto", "equity"),
        step,
        np.arange(size) // 100,
        rng.standard_normal(size),
        width * rng.standard_normal((size, 100)),
    )


@pytest.mark.parametrize("width", [0.5, 1.0, 1.6])
def test_the_spread_makes_up_for_paths_that_are_too_narrow_or_too_wide(width: float) -> None:
    table = _table(2000, width=width)
    spread = fit_spread(table)
    # 1,000 pairs or more behind each factor: their standard error is below 4 %
    for row in spread.factors.values():
        np.testing.assert_allclose(row, 1.0 / width, rtol=0.12)
    covered = table.widened(spread_factors(spread, table)).inside().mean()
    assert covered == pytest.approx(0.8, abs=0.02)


def test_the_needed_factor_is_read_off_the_half_of_the_band_on_the_side_of_the_outcome() -> None:
    paths = np.array([[-2.0, -1.0, 0.0, 1.0, 4.0]] * 2)  # p10 −2, p50 0, p90 4 by the Weibull rule, clamped
    table = Table(*(np.array([each] * 2) for each in ("X", "1h", "crypto", 1, 0)), np.array([6.0, -1.0]), paths)
    np.testing.assert_allclose(needed_factor(table), [6.0 / 4.0, 1.0 / 2.0])


def test_each_pair_gets_the_factor_of_its_own_class_and_step() -> None:
    table = _table(3, width=1.0)
    spread = Spread((1, 120), {("1h", "crypto"): (2.0, 2.0), ("1h", "any"): (3.0, 3.0)})
    found = spread_factors(spread, table)
    np.testing.assert_allclose(found, np.where(table.asset_class == "crypto", 2.0, 3.0))


def test_rows_of_a_week_that_move_together_widen_the_interval() -> None:
    """50 weeks of 40 rows: independent rows give ±1.96 · 0.4 / √2000, rows that are all alike ±1.96 · 0.4 / √50."""
    rng = np.random.default_rng(2)
    week = np.repeat(np.arange(50), 40)
    for hits, n in ((rng.random(2000) < 0.8, 2000), (np.repeat(rng.random(50) < 0.8, 40), 50)):
        found = by_weeks(week, lambda pick, hits=hits: float(hits[pick].mean()), block=1)
        assert found.high - found.low == pytest.approx(2 * 1.96 * 0.4 / n**0.5, rel=0.35)
        assert found.low < found.value < found.high
