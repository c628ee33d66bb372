"""Leaks of prices: bars that had not closed, settled or come, corrections, holes, hours and targets."""

from typing import Final

from tools.leakbench.mutant import Edit, Mutant

LOOKBACKS: Final = "sql/queries/bars_lookbacks.sql"
CLOSES: Final = "sql/queries/bars_closes.sql"
SETTLED: Final = "closed_at <= CAST(:as_of AS timestamptz) - make_interval(secs => instrument.settle_s)"

MUTANTS: Final = (
    Mutant(
        "open-stamped-bars",
        "a bar counts as known from its opening on, so the forming one is read",
        "nautilus_trader #4577 (IB adapter), #4711 (Hyperliquid history): bars stamped with their opening",
        (Edit(LOOKBACKS, f"newest.{SETTLED}", f"newest.{SETTLED.replace('closed_at', 'ts', 1)}", everywhere=True),),
        ("test_reading.py",),
    ),
    Mutant(
        "unsettled-bar",
        "the newest bar is read the second it closed, before its numbers are final",
        "cryptofeed #827: candles that are never marked closed; Synth's witness candle (subnet 50, #260)",
        (Edit(LOOKBACKS, f"newest.{SETTLED}", "newest.closed_at <= CAST(:as_of AS timestamptz)", everywhere=True),),
        ("test_reading.py",),
    ),
    Mutant(
        "backfilled-bar",
        "a bar that came hours late counts as known when it closed",
        "Feast #6615: joins by event time let backfills into the past",
        (Edit(LOOKBACKS, "          AND newest.first_seen <= CAST(:as_of AS timestamptz)\n", "", everywhere=True),),
        ("test_reading.py",),
    ),
    Mutant(
        "revised-bar",
        "a past slot is forecast from prices that were corrected later",
        "Feast #6615: revisions in place; yfinance #906, #1543: adjusted closes change under their users",
        (Edit(LOOKBACKS, "coalesce(before.old_close, bar.close) AS close", "bar.close AS close"),),
        ("test_reading.py",),
    ),
    Mutant(
        "newest-of-two-revisions",
        "of two later corrections the newer one's old price is read, which the first one had brought",
        "microsoft/qlib PIT database: a chain of revisions has to be walked from its beginning",
        (Edit(LOOKBACKS, "        ORDER BY revision.revised_at\n", "        ORDER BY revision.revised_at DESC\n"),),
        ("test_reading.py",),
    ),
    Mutant(
        "revision-dated-at-its-bar",
        "a correction is stored as if it had been there from the start",
        "Feast #6615: created_timestamp is not looked at",
        (Edit("sql/queries/bars_revise.sql", "ts, clock_timestamp(), old_open", "ts, ts, old_open"),),
        ("test_archives.py",),
    ),
    Mutant(
        "late-bar-stored-as-punctual",
        "what arrives today is stored as known when it closed, so a replay knows it",
        "Feast #6615; FreqAI: row time is not bar time (stale data looks fresh)",
        (Edit("sql/queries/bars_insert.sql", "coalesce(CAST(:seen_at AS timestamptz), closed_at)", "closed_at"),),
        ("test_archives.py",),
    ),
    Mutant(
        "forming-bar-imported",
        "the bar that is being made is imported and counts as final",
        "Kronos demo: the last bar is dropped by its place (iloc[:-1]); nautilus_trader #2597: first partial bar",
        (
            Edit(
                "candlecast/bars.py",
                'drop("still_open", np.greater(sessions.closes_of(interval, opened_at), instant(now)))',
                'drop("still_open", np.greater(opened_at, instant(now)))',
            ),
        ),
        ("test_time.py",),
    ),
    Mutant(
        "bars-closed-at-their-opening",
        "the importer stamps an hourly bar with the minute after its opening, and everything follows",
        "nautilus_trader #4577: ts_init of a bar is its opening",
        (
            Edit(
                "candlecast/sessions.py",
                "return np.where(schedule.opened_at[found] == at, schedule.closed_at[found], at + LENGTHS[interval])",
                "return at + np.timedelta64(60, 's')",
            ),
        ),
        ("test_time.py",),
    ),
    Mutant(
        "holes-filled-with-the-next-price",
        "missing hours are filled with the price that came after them",
        "gs-quant PR #362: holidays were filled with future prices",
        (
            Edit(
                "candlecast/bars.py",
                '    closed_at = sessions.closes_of(interval, opened_at)\n    clean["closed_at"]',
                '    if instrument.calendar == "24/7" and len(clean):\n'
                '        every = "h" if interval == "1h" else "D"\n'
                '        clean = clean.set_index("ts").resample(every).bfill().reset_index()\n'
                '        opened_at = clean["ts"].dt.tz_localize(None).to_numpy()\n'
                '        silent, flat = clean["volume"] == 0, clean["high"] == clean["low"]\n'
                '    closed_at = sessions.closes_of(interval, opened_at)\n    clean["closed_at"]',
            ),
        ),
        ("test_time.py",),
    ),
    Mutant(
        "read-as-of-the-clock",
        "a slot reads what is known when the job runs, not what was known at the slot",
        "Prefect #9054: a run executed 25 days late; the Kronos demo reads whatever the exchange has by then",
        (
            Edit(
                "jobs/predict.py",
                "conn, [one.symbol for one in wanted], request.interval, as_of=request.slot, n_bars=request.lookback",
                "conn, [one.symbol for one in wanted], request.interval, as_of=datetime.now(UTC), "
                "n_bars=request.lookback",
            ),
        ),
        ("test_reading.py",),
    ),
    Mutant(
        "read-to-the-end-of-the-hour",
        "the slot of minute 55 is rounded up to the hour, so it reads the bar that closes then",
        "freqtrade PR #7737: predictions off by one candle",
        (
            Edit(
                "jobs/predict.py",
                "conn, [one.symbol for one in wanted], request.interval, as_of=request.slot, n_bars=request.lookback",
                "conn, [one.symbol for one in wanted], request.interval, as_of=request.slot + timedelta(hours=1), "
                "n_bars=request.lookback",
            ),
        ),
        ("test_reading.py",),
    ),
    Mutant(
        "targets-one-bar-late",
        "the horizon starts with the second bar ahead: each step is compared with the bar after its own",
        "freqtrade PR #7737: predictions off by one candle",
        (
            Edit(
                "candlecast/sessions.py",
                "return schedule.opened_at[low : low + n], schedule.closed_at[low : low + n]",
                "return schedule.opened_at[low + 1 : low + n + 1], schedule.closed_at[low + 1 : low + n + 1]",
            ),
        ),
        ("test_time.py",),
    ),
    Mutant(
        "targets-one-bar-early",
        "the first step is the bar that the lookback ends with: its outcome is an input",
        "freqtrade #13475: a silent merge by index looks ahead by one candle",
        (
            Edit(
                "candlecast/lookback.py",
                "sessions.next_bars(interval, issued_at, horizon)",
                "sessions.next_bars(interval, lookback.opened_at[-1], horizon)",
            ),
        ),
        ("test_reading.py",),
    ),
    Mutant(
        "hours-by-the-summer-clock",
        "New York opens at 13:30Z all year: in winter a bar is taken to close an hour before it does",
        "investpy #331, #552: the calendar's hour flips between calls; Kronos examples stamp without a time zone",
        (
            Edit(
                "candlecast/venues.py",
                '    opens, closes = _seconds(schedule["open"]), _seconds(schedule["close"])\n',
                '    opens, closes = _seconds(schedule["open"]), _seconds(schedule["close"])\n'
                '    early = np.timedelta64(1, "h") * (opens.astype("datetime64[h]").astype(np.int64) % 24 == 14)\n'
                "    opens, closes = opens - early, closes - early\n",
            ),
        ),
        ("test_time.py",),
    ),
    Mutant(
        "leader-stamped-at-its-opening",
        "a row sees the leader's bar that opens within it, an hour before that one closes",
        "freqtrade #13475: informative candles merged by their date look ahead by one candle",
        (Edit(CLOSES, "        bar.closed_at,\n", "        bar.ts AS closed_at,\n"),),
        ("test_reading.py",),
    ),
    Mutant(
        "leader-not-closed",
        "the leader's forming bar is read at the issue",
        "nautilus_trader #4711; freqtrade #13475",
        (
            Edit(CLOSES, f"bar.{SETTLED}", "bar.ts <= CAST(:as_of AS timestamptz)"),
            Edit(CLOSES, "      AND bar.first_seen <= CAST(:as_of AS timestamptz)\n", ""),
            Edit(CLOSES, "        bar.closed_at,\n", "        least(bar.closed_at, :as_of) AS closed_at,\n"),
        ),
        ("test_reading.py",),
    ),
    Mutant(
        "revised-leader",
        "leaders are read with corrections that came later",
        "Feast #6615",
        (Edit(CLOSES, "coalesce(before.old_close, bar.close) AS close", "bar.close AS close"),),
        ("test_reading.py",),
    ),
)
