"""A record gone through again from its beginning, each forecast corrected by what was known when it was issued."""

import numpy as np

from candlecast.calibration.correction import Floats
from candlecast.calibration.tracker import Labels, Tracker
from candlecast.forecasts import LEVELS


def replay(labels: Labels, tracker: Tracker) -> Floats:
    """[N, Q] the factors that `tracker` gives each forecast of `labels` at its issue, from the labels known by then.

    The tracker is fed as it goes, from labels known after its `known_until` up to the last issue. Every step of
    `labels` has to be one that the tracker follows.
    """
    factors = np.ones((len(labels), len(LEVELS)))
    by_known = np.argsort(labels.known_at, kind="stable")
    known_at = labels.known_at[by_known]
    learned = int(np.searchsorted(known_at, tracker.known_until, side="right"))
    anchor = np.searchsorted(tracker.steps, labels.step)
    by_issue = np.argsort(labels.issued_at, kind="stable")
    moments, begins = np.unique(labels.issued_at[by_issue], return_index=True)
    for moment, rows in zip(moments, np.split(by_issue, begins[1:]), strict=True):
        known = int(np.searchsorted(known_at, moment, side="right"))
        if known > learned:
            tracker.learn(labels.where(by_known[learned:known]))
            learned = known
        for symbol in np.unique(labels.symbol[rows]):
            of_symbol = rows[labels.symbol[rows] == symbol]
            factors[of_symbol] = tracker.correction(str(symbol)).factors[anchor[of_symbol]]
    return factors
