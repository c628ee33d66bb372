"""The first page's rows: pictures to scale, ages and staleness put in late, and every name escaped."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.answers import HTML, Moment
from gateway.content.board import N_CLOSES, Board, Line, Outlook
from gateway.content.overview import Drawn
from gateway.pages.overview import OverviewPage
from gateway.pages.sparklines import EDGE, HEIGHT, WIDTH, range_of, reach, sparkline

ISSUED_AT = datetime(2025, 7, 1, 12, tzinfo=UTC)


def outlook(**other: Any) -> Outlook:
    """Issued at a price of 100: the band is 90 to 120 at the third and last step."""
    fields: dict[str, Any] = {
        "model_name": "kronos-nano",
        "issued_at": ISSUED_AT,
        "expected_next_at": ISSUED_AT + timedelta(minutes=115),
        "next_close_at": ISSUED_AT + timedelta(hours=1),
        "last_target_at": ISSUED_AT + timedelta(hours=3),
        "last_close": 100.0,
        "steps": (1, 3),
        "p10": (99.0, 90.0),
        "p50": (100.0, 110.0),
        "p90": (101.0, 120.0),
        "synthetic": False,
        "status": "on_time",
    }
    return Outlook(**fields | other)


def line(symbol: str = "BTCUSDT", name: str = "Bitcoin", shown: Outlook | None = None, **other: Any) -> Line:
    return Line(symbol, name, other.get("asset_class", "crypto"), "USDT", shown, other.get("closes", ()))


def page(*lines: Line, second: int | None = None, unconfirmed: str | None = None, model_name: str = "") -> str:
    """The page of these lines, an hour after the issue time."""
    moment = Moment(second or int((ISSUED_AT + timedelta(hours=1)).timestamp()), 0, unconfirmed)
    return OverviewPage(Board("1h", model_name, ("kronos-nano",), lines)).draw(moment, ()).decode()


def points(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


def test_closes_and_fan_share_one_scale_in_price_and_time() -> None:
    drawn = sparkline(line(shown=outlook(), closes=(80.0, 100.0)))

    bar = WIDTH / (N_CLOSES - 1 + 3)
    now = (N_CLOSES - 1) * bar
    height = HEIGHT - 2 * EDGE  # for prices of 80 to 120
    assert drawn.now == pytest.approx(now, abs=0.06)
    assert points(drawn.closes) == [
        pytest.approx((now - bar, EDGE + height), abs=0.06),
        pytest.approx((now, EDGE + height / 2), abs=0.06),
    ]
    assert points(drawn.median)[-1] == pytest.approx((WIDTH, EDGE + height / 4), abs=0.06)
    assert points(drawn.band)[2] == pytest.approx((WIDTH, EDGE), abs=0.06)  # 120, the top
    assert points(drawn.band)[3] == pytest.approx((WIDTH, EDGE + 0.75 * height), abs=0.06)  # 90


def test_a_price_that_never_moved_is_a_flat_line() -> None:
    still = outlook(p10=(100.0, 100.0), p50=(100.0, 100.0), p90=(100.0, 100.0))

    assert len({y for _, y in points(sparkline(line(shown=still, closes=(100.0,) * 48)).closes)}) == 1


def test_the_widest_band_of_a_class_reaches_the_edge() -> None:
    widest = outlook()
    assert reach(widest) == pytest.approx(0.2)

    drawn = range_of(widest, 0.2)

    assert (drawn.low, drawn.median, drawn.high) == (30.0, 90.0, 120.0)  # -10 %, +10 %, +20 % around 60


def test_a_forecast_is_stale_once_its_successor_is_overdue_and_no_second_sooner() -> None:
    overdue = int(
        (ISSUED_AT + timedelta(minutes=115 + 15)).timestamp()
    )  # due at 13:55, and a quarter of an hour's grace

    before, after = (page(line(shown=outlook()), second=second) for second in (overdue - 1, overdue))

    assert 'class="badge stale"' not in before
    assert "Every forecast on this page is overdue" not in before
    assert "overdue: the next forecast was expected at 2025-07-01T13:55Z" in after
    assert "the newest knew the market of 2 h ago" in after


def test_each_row_has_its_own_age() -> None:
    html = page(
        line("AAA", shown=outlook()),
        line("BBB", shown=outlook(issued_at=ISSUED_AT - timedelta(hours=4))),
        line("CCC"),
    )

    rows = html.split("<tr ")
    ages = {row.split('data-symbol="')[1][:3]: row for row in rows if "data-symbol" in row}
    assert ">1 h</time>" in ages["AAA"]
    assert ">5 h</time>" in ages["BBB"]
    assert "No forecast yet." in ages["CCC"]


def test_names_are_text_and_never_markup() -> None:
    html = page(line("A&B", '<script>alert("1")</script>', outlook(model_name='"><img>')))

    assert "<script>" not in html
    assert "<img>" not in html
    assert 'href="/instrument/A%26B?interval=1h"' in html


def test_a_row_of_a_named_model_leads_to_that_model() -> None:
    html = page(line(shown=outlook()), model_name="kronos-nano")

    assert 'href="/instrument/BTCUSDT?interval=1h&amp;model_name=kronos-nano"' in html
    assert "No forecast yet by kronos-nano." in page(line(), model_name="kronos-nano")


def test_synthetic_bars_and_records_that_are_not_live_are_marked_and_explained() -> None:
    html = page(
        line("AAA", shown=outlook(synthetic=True)),
        line("BBB", shown=outlook(status="late")),
        line("CCC", shown=outlook()),
    )

    assert "Forecasts marked synthetic are synthetic" in html
    assert "Forecasts marked late were recorded after" in html
    assert "marked replay" not in html
    assert html.count('class="badge synthetic"') == html.count('class="badge late"') == 1


def test_without_instruments_the_page_says_which_command_to_run() -> None:
    assert "There are no instruments yet" in page()
    assert "<code>candlecast demo</code>" in page()
    assert "<code>candlecast predict</code>" in page(line())


def test_while_the_database_is_away_the_page_says_so() -> None:
    html = page(line(shown=outlook()), unconfirmed="unconfirmed: the database has not been reachable since 13:00")

    assert "The database cannot be reached: what you see is the newest known." in html
    assert 'class="badge stale"' in html


async def test_thousands_of_rows_are_drawn_anew_while_the_older_page_is_served() -> None:
    bodies, go_on = iter([b"older", b"newer"]), threading.Event()
    go_on.set()

    def make() -> bytes:
        go_on.wait(30)
        return next(bodies)

    drawn = Drawn(lambda _: make, HTML, n_instruments=5000)
    await drawn.prepare(Moment(0, 0, None))
    go_on.clear()

    assert drawn.at(Moment(1000, 0, None)).body == b"older"
    go_on.set()
    async with asyncio.timeout(30):
        while drawn.at(Moment(1000, 0, None)).body != b"newer":
            await asyncio.sleep(0.01)
