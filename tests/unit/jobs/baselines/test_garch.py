import numpy as np
import pytest
from scipy.stats import t as student

from candlecast.forecasts import LEVELS, Refusal
from jobs.baselines import garch
from jobs.baselines.garch import Fit, Garch, fit, next_bar, simulated
from tests.baseline_series import issue, series, walk


def garch_returns(seed: int, n: int, alpha: float = 0.08, beta: float = 0.9, freedom: float = 5.0) -> np.ndarray:
    """[n] returns of a GARCH(1,1)-t whose long-run standard deviation is 1."""
    draws = np.random.default_rng(seed).standard_t(freedom, n) * np.sqrt((freedom - 2) / freedom)
    variance = 1.0
    for k in range(n):
        draws[k] *= np.sqrt(variance)
        variance = (1 - alpha - beta) + alpha * draws[k] ** 2 + beta * variance
    return draws


def test_the_next_bar_has_the_quantiles_of_the_published_table_of_t() -> None:
    # Four degrees of freedom: 1.533 at 0.9 and 2.132 at 0.95; their variance is 4 / 2, here asked to be 2.
    law = Fit(omega=0.1, alpha=0.1, beta=0.8, freedom=4.0, variance=2.0)

    assert next_bar(law)[-2:] == pytest.approx([1.533, 2.132], abs=5e-4)


def test_the_first_step_is_the_quantile_of_the_law_that_arch_fits_and_forecasts() -> None:
    from arch import arch_model

    closes = 100.0 * np.exp(np.cumsum(0.004 * garch_returns(1, 392)))
    # Per cent and not units of their own size: another scale and another way in than the baseline's.
    result = arch_model(100.0 * np.diff(np.log(closes)), mean="Zero", dist="t").fit(disp="off")
    variance = float(result.forecast(horizon=1).variance.to_numpy()[-1, 0])
    freedom = float(result.params["nu"])
    expected = student.ppf(LEVELS, freedom) * np.sqrt(variance * (freedom - 2) / freedom) / 100.0

    made = issue(Garch(), series(closes))

    assert np.log(made.fan[0] / closes[-1]) == pytest.approx(expected, rel=5e-3, abs=1e-9)


def test_simulated_variance_returns_to_the_long_run_at_the_speed_of_its_persistence() -> None:
    law = Fit(omega=0.05, alpha=0.05, beta=0.9, freedom=30.0, variance=4.0)  # long run 0.05 / 0.05 = 1
    expected = np.cumsum(1.0 + 3.0 * 0.95 ** np.arange(60))

    sums = simulated(law, 60, 40_000, seed=5)

    assert (sums**2).mean(axis=0)[[0, 5, 20, 59]] == pytest.approx(expected[[0, 5, 20, 59]], rel=0.04)


def test_the_parameters_of_a_long_simulated_world_are_found_again() -> None:
    found = fit(garch_returns(3, 8000))

    assert found.alpha == pytest.approx(0.08, abs=0.025)
    assert found.beta == pytest.approx(0.90, abs=0.03)
    assert found.freedom == pytest.approx(5.0, abs=0.8)


def test_after_a_storm_the_band_is_wide_and_grows_slower_than_the_square_root_of_time() -> None:
    returns = garch_returns(11, 391, alpha=0.15, beta=0.8)
    returns[-10:] = 4.0 * np.sign(returns[-10:])
    closes = 100.0 * np.exp(np.concatenate([[0.0], np.cumsum(0.004 * returns)]))

    made = issue(Garch(), series(closes, horizon=100))
    width = np.log(made.p90 / made.p10)

    assert width[0] > 2 * 1.282 * 0.004 * 2
    assert width[99] < 0.8 * 10 * width[0]


def test_bands_cover_what_they_claim_in_garch_worlds() -> None:
    n_worlds, horizon = 80, 24
    inside = np.zeros((n_worlds, horizon), dtype=bool)
    for world in range(n_worlds):
        closes = 100.0 * np.exp(np.cumsum(0.005 * garch_returns(world, 392 + horizon)))
        made = issue(Garch(), series(closes[:392], horizon))
        inside[world] = (made.p10 <= closes[392:]) & (closes[392:] <= made.p90)

    assert inside.mean(axis=0)[[0, 3, 23]] == pytest.approx([0.8, 0.8, 0.8], abs=0.13)  # standard error 0.045
    assert inside.mean() == pytest.approx(0.8, abs=0.08)


def test_paths_are_the_first_of_those_that_the_fan_was_read_off() -> None:
    one = series(walk(1))
    few, many = issue(Garch(), one, 10), issue(Garch(), one, 5000)

    assert few.paths is not None
    assert many.paths is not None
    assert few.paths.tobytes() == many.paths[:10].tobytes()
    assert few.fan.tobytes() == many.fan.tobytes()
    below = (many.paths[:, :, None] <= many.fan).mean(axis=0)
    assert below == pytest.approx(np.tile(LEVELS, (24, 1)), abs=0.03)


def test_a_fit_that_finds_no_maximum_is_refused_and_nothing_else_speaks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garch, "MAX_ITERATIONS", 1)

    (made,) = Garch().forecast([series(walk(1))], horizon=24, n_paths=0)

    assert isinstance(made, Refusal)
    assert made.code == "not_converged"
    assert "the likelihood of a GARCH(1,1)-t found no maximum on 391 returns (Iteration limit reached)" in made.message
