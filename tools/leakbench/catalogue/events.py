"""Leaks of the calendar and of the leaders: what was published, revised, moved or measured later."""

from typing import Final

from tools.leakbench.mutant import Edit, Mutant

CALENDAR: Final = "candlecast/calendar.py"
CHANNELS: Final = "candlecast/channels.py"
EVENTS: Final = "candlecast/events.py"
LEADERS: Final = "candlecast/leaders.py"
ARCHIVE: Final = "jobs/providers/calendar_files.py"

MUTANTS: Final = (
    Mutant(
        "revised-actual",
        "the number of a release is the one it was revised to",
        "Feast #6615, PR #6617: revisions served as of the event; ALFRED exists because of it",
        (
            Edit(
                CALENDAR,
                'ordered[np.isfinite(ordered["actual"])].drop_duplicates("entry_id", keep="first")',
                'ordered[np.isfinite(ordered["actual"])].drop_duplicates("entry_id", keep="last")',
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "later-consensus",
        "a surprise is measured against a consensus of after the release",
        "forecasting.md §4: surprise uses later consensus",
        (
            Edit(
                CALENDAR,
                'before = (snapshots["known_at"] < snapshots["ts_print"]) & '
                '(snapshots["known_at"] <= snapshots["known_at_print"])',
                'before = snapshots["known_at"] >= snapshots["known_at"]',
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "revised-previous",
        "the value of the month before is the one that it was revised to since",
        "forecasting.md §4: previous revised in place, keep previous_as_known (Feast #6615)",
        (
            Edit(
                CALENDAR,
                '    prints["forecast"] = np.where(',
                '    last = ordered.drop_duplicates("entry_id", keep="last").set_index("entry_id")["previous"]\n'
                '    prints["previous"] = last.reindex(prints["entry_id"]).to_numpy(dtype=np.float64)\n'
                '    prints["forecast"] = np.where(',
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "print-visible-at-its-scheduled-time",
        "a number that was published late is read from the scheduled minute on",
        "histdata #579: scheduled is not published; forecasting.md §3.8 L5",
        (
            Edit(
                CALENDAR,
                'np.maximum(epoch(prints["known_at"]), epoch(prints["ts"]))',
                'epoch(prints["ts"])',
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "sigma-of-future-surprises",
        "a surprise is measured by the spread of all surprises, those to come among them",
        "mlforecast #465: statistics of the evaluation span; Kronos #227: scaled with the future",
        (Edit(CALENDAR, "earlier = surprise[max(0, stop - SIGMA_RELEASES) : stop]", "earlier = surprise"),),
        ("test_encoding.py",),
    ),
    Mutant(
        "schedule-known-for-ever",
        "a release's newest time is taken to have been known always, an emergency meeting too",
        "histdata #579: rescheduled and shut-down releases; forecasting.md §4: schedule vintages",
        (
            Edit(
                CHANNELS,
                "return np.searchsorted(self.knows, spells.known_from), np.searchsorted(self.knows, spells.known_to)",
                "return np.zeros_like(spells.ts), np.searchsorted(self.knows, spells.known_to)",
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "future-schedule-change",
        "a bar of the horizon knows the schedule of its own time, not that of the issue",
        "mlforecast #465: cross-validation feeds the actual future values of exogenous columns",
        (
            Edit(
                EVENTS,
                "knows = np.r_[closed, np.full(len(target_closed), issued)]",
                "knows = np.r_[closed, target_closed]",
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "lookback-knows-the-issue",
        "every bar of the lookback knows what was known at the issue, days after it",
        "Feast #6615: point in time of the request instead of that of the row",
        (
            Edit(
                EVENTS,
                "knows = np.r_[closed, np.full(len(target_closed), issued)]",
                "knows = np.full(len(closed) + len(target_closed), issued)",
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "values-past-the-issue",
        "past-only channels are filled over the horizon too",
        "Chronos-2 #345, fixed by PR #344: past-only covariates used as known ahead",
        (
            Edit(
                EVENTS,
                "return LookbackRows(opened, closed, closed), ",
                "return LookbackRows(timeline_opened, timeline_closed, timeline_closed), ",
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "release-on-the-bar-before",
        "a number stands on the bar that closed before it was published",
        "freqtrade PR #7737: off by one candle; forecasting.md §3.8 L3",
        (
            Edit(
                CHANNELS,
                "    row, inside = rows.carrying(prints.visible_at)\n",
                "    row, inside = rows.carrying(prints.visible_at)\n    row = np.maximum(row - 1, 0)\n",
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "leader-closing-next",
        "a row takes the leader's bar that closes next, instead of the one that closed last",
        "freqtrade #13475: a merge that looks ahead by one candle",
        (
            Edit(
                LEADERS,
                'newest = np.searchsorted(self.closed, closed, side="right") - 1',
                'newest = np.minimum(np.searchsorted(self.closed, closed, side="right"), len(self.closed) - 1)',
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "leader-return-of-the-next-bar",
        "a leader's return stands on the bar that it starts from",
        "freqtrade FreqAI: labels by shift(-n) among the features (strategy FAQ, lookahead-analysis)",
        (Edit(LEADERS, "np.r_[0.0, np.log(ratio)]", "np.r_[np.log(ratio), 0.0]"),),
        ("test_encoding.py",),
    ),
    Mutant(
        "level-of-the-whole-history",
        "the level of the VIX is measured by mean and spread of the whole series",
        "Kronos #227: normalised with what was still to come; MAPIE #799: fitted on the evaluated data",
        (
            Edit(
                LEADERS,
                "    return LeaderBars(bars.closed, z)\n",
                "    whole = np.clip((close - close.mean()) / close.std(ddof=1), -MAX_LEVEL_Z, MAX_LEVEL_Z)\n"
                "    return LeaderBars(bars.closed, np.where(np.arange(len(z)) < MIN_LEVELS, 0.0, whole))\n",
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "level-includes-what-follows",
        "the window that a level is measured by is centred on it",
        "pandas rolling(center=True), the classic of freqtrade's lookahead-analysis",
        (
            Edit(
                LEADERS,
                "z[LEVEL_BARS:] = _z(close[LEVEL_BARS:], sliding_window_view(close[:-1], LEVEL_BARS))",
                "z[LEVEL_BARS:] = _z(close[LEVEL_BARS:], sliding_window_view(np.r_[close[101:], close[-100:]], "
                "LEVEL_BARS))",
            ),
        ),
        ("test_encoding.py",),
    ),
    Mutant(
        "archive-numbers-known-ahead",
        "the archive's numbers are stored as known when the release was scheduled",
        "mlforecast #465: the actual values of the future handed to the forecast",
        (
            Edit(
                ARCHIVE,
                'released = good.assign(known_at=good["ts"])[has_numbers]',
                'released = good.assign(known_at=good["ts"] - pd.Timedelta(minutes=1))[has_numbers]',
            ),
        ),
        ("test_archives.py",),
    ),
    Mutant(
        "emergency-meeting-on-the-schedule",
        "the meeting of 3 March 2020, called the same morning, is listed 60 days ahead",
        "forecasting.md §4: scheduled is not published; archives list what happened as if it had been planned",
        (Edit(ARCHIVE, "lead[unscheduled] = pd.Timedelta(0)", "lead[unscheduled] = SCHEDULE_LEAD"),),
        ("test_archives.py",),
    ),
    Mutant(
        "calendar-without-as-of",
        "the calendar is read as it is now, and the encoder believes whatever it is given",
        "Feast #6615; forecasting.md §3.8: known_at <= :as_of belongs into the join",
        (
            Edit("sql/queries/calendar_as_of.sql", "    WHERE vintage.known_at <= :as_of\n", "    WHERE true\n"),
            Edit(
                CHANNELS,
                "return np.searchsorted(self.knows, spells.known_from), np.searchsorted(self.knows, spells.known_to)",
                "return np.where(spells.known_from > self.knows[-1], 0, np.searchsorted(self.knows, spells.known_from))"
                ", np.searchsorted(self.knows, spells.known_to)",
            ),
        ),
        ("test_reading.py",),
    ),
)
