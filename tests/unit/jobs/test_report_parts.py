"""The five tests and the portfolios of the report, by hand."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobs.report.five import against, direction, envelope, quiet_days
from jobs.report.portfolios import Daily, daily, narrow_only

DAY = np.timedelta64(1, "D")
FIRST = np.datetime64("2025-03-03", "D")
KEY = {"interval": "1h", "record": "live", "model_name": "kronos"}


def signals(widths: list[float], signal: int = 1) -> pd.DataFrame:
    n = len(widths)
    return pd.DataFrame({**KEY, "step": 1, "symbol": "BTC", "signal": [signal] * n, "width": widths})


def test_a_band_is_narrow_beside_those_before_it_and_no_later_one_counts() -> None:
    widths = [1.0, 3.0] * 10 + [1.9, 2.1, 1.9]

    found = narrow_only(signals(widths))["signal"].tolist()

    # The first twenty have too few before them. Then the median of all before is 2, 1.9 after it 2 again.
    assert found == [0] * 20 + [1, 0, 1]
    assert narrow_only(signals([*widths, 1e-6, 1e-6]))["signal"].tolist()[:23] == found


def test_each_series_has_its_own_median() -> None:
    loud = signals([10.0] * 20 + [5.0]).assign(symbol="LOUD")
    calm = signals([1.0] * 20 + [5.0]).assign(symbol="CALM")

    found = narrow_only(pd.concat([loud, calm], ignore_index=True))

    assert found["signal"].tolist() == [0] * 20 + [1] + [0] * 20 + [0]


def widths_by_day(width: dict[int, float], n_days: int = 40) -> pd.DataFrame:
    days = [FIRST + place * DAY for place in range(n_days)]
    values = [10 * width.get(place, 2.0) for place in range(n_days)]
    return pd.DataFrame({**KEY, "asset_class": "all", "step": 1, "day": days, "n": 10, "width": values}).astype(
        {"day": "datetime64[s]"}
    )


def test_the_band_of_an_event_day_is_set_beside_the_quiet_days_within_a_week() -> None:
    # Day 10 is told beside days 3 to 17, day 30 beside 23 to 37; day 12 is another family's and not quiet.
    days = widths_by_day({10: 3.0, 30: 4.0, 12: 100.0, 20: 100.0})
    events = {"CPI": np.array([FIRST + 10 * DAY, FIRST + 30 * DAY]), "NFP": np.array([FIRST + 12 * DAY])}

    cpi, nfp = envelope(days, events)

    # ratios 1.5 and 2: geometric mean sqrt(3); the logarithms err by ln(2 / 1.5) / 2, with one degree: t = 12.706
    assert (cpi["family"], cpi["n_events"]) == ("CPI", 2)
    assert cpi["ratio"]["value"] == pytest.approx(3**0.5)
    assert cpi["ratio"]["high"] == pytest.approx(3**0.5 * np.exp(12.7062 * np.log(2 / 1.5) / 2), rel=1e-4)
    assert cpi["gate"] == "undecided"
    assert (nfp["n_events"], nfp["ratio"]["low"]) == (1, 0.0)


def test_a_surprise_that_strengthens_the_dollar_is_expected_to_lift_what_has_it_first() -> None:
    at = pd.Timestamp("2025-03-12T12:30:00Z")
    rows = [("EURUSD", "forex_commodity", -0.2), ("USDJPY", "forex_commodity", 0.3), ("SPY", "equity", 0.1)]
    shifts = pd.DataFrame(
        [
            {**KEY, "released_at": at, "step": 4, "symbol": symbol, "asset_class": asset_class}
            | {"drift_before": 0.1, "drift_after": 0.1 + shift}
            for symbol, asset_class, shift in rows
        ]
    )
    large = pd.DataFrame({"family": ["CPI"], "released_at": [int(at.timestamp())], "sign": [1.0]})

    (found,) = direction(shifts, large)

    # More inflation than expected: EURUSD down right, USDJPY up right, shares up wrong.
    assert (found["n_events"], found["n"]) == (1, 3)
    assert found["share"]["value"] == pytest.approx(2 / 3)
    (turned,) = direction(shifts, large.assign(sign=-1.0))
    assert turned["share"]["value"] == pytest.approx(1 / 3)


def test_quiet_days_leave_out_the_days_of_releases() -> None:
    days = widths_by_day({}, 30).assign(model_name="kronos-event", n_common=10)
    days["base_abs_error"] = 100.0
    days["common_abs_error"] = [500.0 if place == 5 else 98.0 + place % 2 for place in range(30)]

    (found,) = quiet_days(days, {"CPI": np.array([FIRST + 5 * DAY])})

    assert found["gain"]["value"] == pytest.approx(1 - (98.0 * 15 + 99.0 * 14) / 2900)
    assert found["gate"] == "passed"


def portfolio(values: list[float]) -> Daily:
    return Daily(FIRST + np.arange(len(values)) * DAY, np.array(values), np.zeros(len(values)))


def test_a_model_is_set_against_the_best_of_the_others() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0.0, 0.01, 200)
    portfolios: dict[tuple[Any, ...], Daily] = {
        ("1h", "live", "ensemble", 1): portfolio((noise + 0.002).tolist()),
        ("1h", "live", "good", 1): portfolio((noise + 0.001).tolist()),
        ("1h", "live", "bad", 1): portfolio((noise - 0.001).tolist()),
        ("1h", "replay", "good", 1): portfolio((noise + 0.009).tolist()),
    }

    (found,) = against(portfolios, "ensemble", ["bad", "good"], 0.1)

    assert (found["against"], found["record"]) == ("good", "live")
    ratio = {name: (noise + mean).mean() / noise.std() * 365**0.5 for name, mean in (("mine", 0.002), ("good", 0.001))}
    assert found["gain"]["value"] == pytest.approx(ratio["mine"] - ratio["good"])
    assert found["gate"] == "passed"
    assert against(portfolios, "kronos-event", ["good"], 0.0) == []


def test_instruments_that_are_live_share_the_portfolio_equally_and_pay_for_what_they_trade() -> None:
    hour = 3600
    start = int((FIRST - np.datetime64("1970-01-01", "D")).astype(int)) * 86_400
    times = (start + np.arange(4) * hour).astype("datetime64[s]")
    bars = {
        ("1h", "A"): (times, np.array([100.0, 110.0, 110.0, 110.0])),
        ("1h", "B"): (times, np.array([50.0, 40.0, 40.0, 50.0])),
    }
    rows = pd.DataFrame(
        {
            **KEY,
            "step": 1,
            "symbol": ["A", "B", "B"],
            "issued_at": [times[0], times[0], times[2]],
            "target_at": [times[1], times[1], times[3]],
            "signal": [1, -1, 1],
        }
    ).astype({"issued_at": "datetime64[s]", "target_at": "datetime64[s]"})

    found = daily(rows, bars)

    # First bar: long A and short B, half each; third bar: B alone. Each position is taken up and given back.
    assert found.value.tolist() == pytest.approx([(np.log(1.1) - np.log(0.8)) / 2 + np.log(1.25)])
    assert found.net(0.01)[0] < found.value[0]
