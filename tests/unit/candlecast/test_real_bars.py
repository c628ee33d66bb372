"""The real bars beside the repository, where they are there: every calendar fits its feed, and the odd is kept."""

from pathlib import Path

import pytest

from candlecast.bars import ImportReport, validate
from candlecast.instruments import load_instruments
from candlecast.sessions import Sessions
from jobs.providers.files import BarFile, bar_files, read_bar_file

FOLDER = Path(__file__).parents[3] / "../shared/market-data"
INSTRUMENTS = {one.symbol: one for one in load_instruments()}

if not FOLDER.is_dir():
    pytest.skip("the real bars are not there: ../shared/market-data", allow_module_level=True)

FILES = {f"{file.interval}-{file.symbol}": file for file in bar_files(FOLDER)}
# Two outages of the feed, and the short holidays of 2021; futures without the settlements that the source dropped.
SPARSE = {"1h-DXY": 0.985, "1d-BRENT": 0.98, "1d-GC": 0.99}


def check(file: BarFile) -> tuple[ImportReport, int]:
    """What validation says, and how many bars the schedule has between the first and the last."""
    instrument = INSTRUMENTS[file.symbol]
    frame, findings = read_bar_file(file.path)
    assert findings == ()
    clean, report = validate(frame, instrument, file.interval)
    first, last = (clean["ts"].iloc[place].to_pydatetime() for place in (0, -1))
    opened_at, _ = Sessions.of(instrument.calendar).scheduled(file.interval, first, last)
    return report, opened_at.size + 1


@pytest.mark.parametrize("name", FILES)
def test_every_row_is_a_bar_and_the_schedule_is_what_the_feed_keeps(name: str) -> None:
    report, n_scheduled = check(FILES[name])

    present = 1 - report.count("hole") / n_scheduled
    assert report.n_dropped == 0
    assert present >= SPARSE.get(name, 0.998)
    assert report.count("off_schedule") / report.n_clean < 0.007


def test_true_shocks_and_prices_below_zero_pass() -> None:
    crude, _ = validate(read_bar_file(FILES["1d-CL"].path)[0], INSTRUMENTS["CL"], "1d")
    bitcoin, _ = validate(read_bar_file(FILES["1h-BTCUSDT"].path)[0], INSTRUMENTS["BTCUSDT"], "1h")

    assert crude.set_index("ts").loc["2020-04-20T00:00Z", "close"] == -37.63
    assert len(bitcoin[bitcoin["ts"].dt.strftime("%Y-%m-%d") == "2020-03-12"]) == 24


def test_the_half_hour_of_short_days_is_the_only_hole_in_the_shares() -> None:
    # SOURCES.md speaks of four bars on such days; the files hold three, the bar of 12:30 New York is missing.
    apple, _ = validate(read_bar_file(FILES["1h-AAPL"].path)[0], INSTRUMENTS["AAPL"], "1h")
    opened_at = apple["ts"].dt.tz_localize(None).to_numpy().astype("datetime64[s]")

    assert [str(at) for at in Sessions.of("XNYS").missing("1h", opened_at)] == [
        "2022-11-25T17:30:00",
        "2023-07-03T16:30:00",
        "2023-11-24T17:30:00",
        "2024-07-03T16:30:00",
        "2024-11-29T17:30:00",
        "2024-12-24T17:30:00",
    ]
