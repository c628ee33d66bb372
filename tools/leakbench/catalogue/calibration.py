"""Leaks of the calibrator: outcomes that were not known when the forecast was issued."""

from typing import Final

from tools.leakbench.mutant import Edit, Mutant

LABELS: Final = "sql/queries/calibration_labels.sql"
STORE: Final = "candlecast/store/calibration.py"
KNOWN_AT: Final = "greatest(bars.closed_at + make_interval(secs => instrument.settle_s), bars.first_seen)"
CANARY: Final = "forecasting.md §3.7: a tracker fed immature outcomes beat the oracle (3.09 against 3.36)"

MUTANTS: Final = (
    Mutant(
        "immature-labels",
        "the calibrator is taught outcomes up to a day after the issue",
        CANARY,
        (
            Edit(
                "jobs/calibration.py",
                "asked = [Asked(one.series.symbol, Moment(one.synthetic, one.series.issued_at)) for one in prepared]",
                "asked = [Asked(one.series.symbol, Moment(one.synthetic, one.series.issued_at)) for one in prepared]\n"
                "        day, real = np.timedelta64(1, 'D').item(), False\n"
                "        ahead = [Asked(one.symbol, Moment(real, one.moment.at + day)) for one in asked]",
            ),
            Edit(
                "jobs/calibration.py",
                "            found.corrections = _corrections(engine, interval, model_name, asked, store)\n",
                "            later = _corrections(engine, interval, model_name, ahead, store)\n"
                "            found.corrections = dict(zip(asked, (later[one] for one in ahead), strict=True))\n",
            ),
        ),
        ("test_calibration.py",),
    ),
    Mutant(
        "labels-known-at-their-issue",
        "an outcome counts as known when its forecast was issued",
        CANARY + "; textbook adaptive conformal inference assumes immediate labels (Gibbs and Candès 2021)",
        (
            Edit(LABELS, KNOWN_AT, "greatest(bars.closed_at, bars.first_seen) - interval '24 hours'"),
            Edit(LABELS, "AND bars.closed_at <= asked.upto\n", "AND bars.closed_at <= asked.upto + interval '1 day'\n"),
        ),
        ("test_calibration.py",),
    ),
    Mutant(
        "labels-before-they-settled",
        "an outcome teaches the second its bar closes",
        "forecasting.md §3.8 L6: label_time + settle <= issue",
        (Edit(LABELS, KNOWN_AT, "greatest(bars.closed_at, bars.first_seen)"),),
        ("test_calibration.py",),
    ),
    Mutant(
        "labels-before-they-came",
        "an outcome that arrived late teaches from its close on",
        "Feast #6615: backfills",
        (
            Edit(
                LABELS,
                KNOWN_AT,
                "bars.closed_at + make_interval(secs => instrument.settle_s)",
            ),
        ),
        ("test_calibration.py",),
    ),
    Mutant(
        "labels-corrected-later",
        "what the calibrator learns is the outcome as corrected since",
        "Feast #6615; forecasting.md §3.8 L5",
        (Edit(LABELS, "coalesce(before.old_close, bar.close) AS outcome", "bar.close AS outcome"),),
        ("test_calibration.py",),
    ),
    Mutant(
        "snapshot-of-the-future",
        "the newest snapshot is taken, whatever it knows",
        "freqtrade #10801, FreqAI's expiration_hours: a stored state outlives the moment that it fits",
        (
            Edit(
                "sql/queries/calibration_begin.sql",
                "      AND states.known_until <= asked.moment\n",
                "",
            ),
            Edit(STORE, "        if after <= moment.at:\n", "        if after is not None:\n"),
        ),
        ("test_calibration.py",),
    ),
    Mutant(
        "replay-with-all-labels",
        "a walk forward is corrected by a tracker that has seen the whole record",
        "MAPIE #799: tuned and calibrated on the data that it is judged on",
        (
            Edit(
                "candlecast/calibration/replay.py",
                'known = int(np.searchsorted(known_at, moment, side="right"))',
                "known = len(known_at)",
            ),
        ),
        ("test_calibration.py",),
    ),
    Mutant(
        "replay-by-target-time",
        "a label teaches as soon as a later forecast is issued, before its own outcome was known",
        CANARY,
        (
            Edit(
                "candlecast/calibration/replay.py",
                'known = int(np.searchsorted(known_at, moment, side="right"))',
                "known = int(np.searchsorted(known_at, moment + np.timedelta64(24, 'h'), side=\"right\"))",
            ),
        ),
        ("test_calibration.py",),
    ),
)
