"""The made-up calendar: plausible places, invented values, and honest about being invented."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from candlecast.calendar import FAMILIES, FirstPrints, first_prints
from jobs.providers.calendar_synthetic import synthetic_calendar

START, END = datetime(2023, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC)


def test_every_row_says_that_it_is_synthetic() -> None:
    frame = synthetic_calendar(START, END)

    assert set(frame["source"]) == {"synthetic"}
    assert frame["entry_id"].str.endswith("|synthetic").all()


def test_releases_come_at_the_clock_times_of_real_ones() -> None:
    frame = synthetic_calendar(START, END).drop_duplicates("entry_id").set_index("family")

    local = frame["ts"].dt.tz_convert("America/New_York")
    payrolls, decisions = local["NFP"], local["FOMC"].drop_duplicates()
    assert len(payrolls) == 24
    assert set(payrolls.dt.strftime("%a %H:%M")) == {"Fri 08:30"}
    assert payrolls.dt.day.max() <= 7
    assert len(decisions) == 16
    assert set(decisions.dt.strftime("%a %H:%M")) == {"Wed 14:00"}


def test_every_family_is_there_and_surprises_can_be_told() -> None:
    frame = synthetic_calendar(START, END, earnings=["AAPL", "NVDA"])

    assert set(frame["family"].dropna()) == set(FAMILIES)
    assert frame.loc[frame["family"] == "EARNINGS", "symbol"].value_counts().to_dict() == {"AAPL": 8, "NVDA": 8}
    told = FirstPrints.surprises(first_prints(frame), "CPI")
    assert told.told.sum() == 24 - 5
    assert np.any(FirstPrints.rate_changes(first_prints(frame)).value != 0.0)


def test_an_entry_is_listed_before_its_consensus_and_its_consensus_before_its_print() -> None:
    frame = synthetic_calendar(START, END)
    payrolls = frame[frame["family"] == "NFP"]

    lead = (payrolls["ts"] - payrolls["known_at"]).groupby(payrolls["entry_id"]).agg(list)
    days = {tuple(one.days for one in leads[:3]) for leads in lead}
    assert days == {(60, 5, 0)}
    assert payrolls.loc[payrolls["known_at"] < payrolls["ts"], "actual"].isna().all()


def test_a_longer_calendar_holds_a_shorter_one_unchanged() -> None:
    long, short = (
        synthetic_calendar(START, END),
        synthetic_calendar(START + timedelta(days=100), END - timedelta(days=90)),
    )

    inside = long[long["entry_id"].isin(short["entry_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(inside, short)


def test_another_seed_invents_other_values_at_the_same_places() -> None:
    one, other = synthetic_calendar(START, END, seed=1), synthetic_calendar(START, END, seed=2)

    assert set(one["ts"]) == set(other["ts"])
    assert not one["actual"].equals(other["actual"])


def test_nothing_is_told_before_it_is_known() -> None:
    now = START + timedelta(days=400)

    frame = synthetic_calendar(START, END, now=now)

    assert frame["known_at"].max() <= now
    assert (frame["ts"] > now).any()  # the next 60 days are on the schedule
    assert frame.loc[frame["ts"] > now, "actual"].isna().all()


def test_an_empty_span_is_an_empty_calendar() -> None:
    assert synthetic_calendar(START, START).empty
