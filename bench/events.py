"""What one encode of the event tensor costs: `python -m bench.events`.

Side by side in one run: the encoder and the definitions read one bar and one entry at a time (`events_plain`), on the
same 512 hourly bars, calendar and leaders; then the whole of an hourly run's encoding, 23 instruments.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from bench.events_plain import encode_plain
from bench.results import machine, replace_section
from candlecast.events import EventEncoder
from candlecast.sessions import Sessions
from jobs.providers.calendar_files import read_calendar_file
from jobs.providers.calendar_synthetic import synthetic_calendar

ARCHIVE = Path(__file__).parents[2] / "shared" / "market-data" / "economic_calendar.csv.gz"
ISSUED_AT = datetime(2025, 5, 14, 12, tzinfo=UTC)
N_LOOKBACK, N_HORIZON, N_INSTRUMENTS = 392, 120, 23
BAR_MS = 10.0
HOUR = np.timedelta64(3600, "s")
BTC: Any = SimpleNamespace(symbol="BTCUSDT", calendar="24/7", asset_class="crypto")


def main() -> None:
    """Measure, print, and replace the section of bench/RESULTS.md."""
    real = ARCHIVE.exists()
    span = (datetime(2018, 1, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC))
    frame = read_calendar_file(ARCHIVE)[0] if real else synthetic_calendar(*span)
    issue = np.datetime64(ISSUED_AT.replace(tzinfo=None), "s")
    opened = issue + np.arange(-N_LOOKBACK, N_HORIZON) * HOUR
    closed = opened + HOUR
    leaders = _leaders(issue)

    load_ms = _ms(lambda: EventEncoder(frame, leaders), 3)
    encoder = EventEncoder(frame, leaders)
    split = (opened[:N_LOOKBACK], closed[:N_LOOKBACK], opened[N_LOOKBACK:], closed[N_LOOKBACK:])

    def encode() -> np.ndarray:
        return encoder.encode(BTC, "1h", *split, issued_at=ISSUED_AT)

    def context() -> dict[str, Any]:
        return encoder.context(BTC, "1h", *split, issued_at=ISSUED_AT)

    # Only what the plain reading needs to see, or it would take minutes.
    near = frame[(frame["ts"] - pd.Timestamp(ISSUED_AT)).abs() < pd.Timedelta(days=1100)]
    near = near[near["family"].notna() | (near["impact"] == "High")]
    times = (opened.astype(int).tolist(), closed.astype(int).tolist())
    began = time.perf_counter()
    plain = encode_plain(near, leaders, _elapsed, "BTCUSDT", "24/7", *times, N_LOOKBACK, int(issue.astype(int)))
    plain_ms = 1e3 * (time.perf_counter() - began)
    apart = float(np.abs(encode() - plain).max())
    assert apart < 1e-5, f"the encoder and its definitions differ by {apart}"

    one_ms, context_ms = _ms(encode, 200), _ms(context, 50)
    all_ms = _ms(lambda: [(encode(), context()) for _ in range(N_INSTRUMENTS)], 5)
    what = "the real archive" if real else "a synthetic calendar"
    lines = [
        f"{machine()}. {N_LOOKBACK} + {N_HORIZON} hourly bars, {len(frame):,} vintages of {what}, four leaders.",
        "",
        "| what | ms | |",
        "|---|---:|---|",
        f"| one encode of 512 rows (bar: < {BAR_MS:.0f} ms) | {one_ms:.2f} "
        f"| {plain_ms / one_ms:,.0f} times faster than reading the definitions |",
        f"| the definitions, one bar and one entry at a time | {plain_ms:.0f} "
        f"| {len(near):,} vintages; differs by at most {apart:.0e} |",
        f"| one event context for the ledger | {context_ms:.2f} | |",
        f"| tensor and context of {N_INSTRUMENTS} instruments | {all_ms:.0f} | |",
        f"| an encoder from its vintages, once a run | {load_ms:.0f} | an hourly run reads about 1,000 of them |",
    ]
    body = "\n".join(lines)
    print(body)
    replace_section("Event tensor", body)


def _elapsed(calendar: str, closed_at: np.ndarray) -> np.ndarray:
    return Sessions.of(calendar).session_elapsed(closed_at)


def _leaders(issue: np.datetime64) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Hourly random walks from 900 hours before the issue to its horizon."""
    rng = np.random.default_rng(0)
    closed = issue + np.arange(-900, N_HORIZON) * HOUR
    return {
        name: (closed, np.exp(np.cumsum(rng.normal(0, 0.01, len(closed))))) for name in ("BTC", "SPY", "DXY", "VIX")
    }


def _ms(run: Callable[[], object], times: int) -> float:
    """Median milliseconds of `times` runs after one to warm up."""
    run()
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    return 1e3 * median(taken)


if __name__ == "__main__":
    main()
