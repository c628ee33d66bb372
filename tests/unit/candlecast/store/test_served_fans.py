import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from candlecast.calibration import Correction, corrected
from candlecast.forecasts import LEVELS
from candlecast.store.served_fans import served_fans


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_one_step_at_a_time_is_served_as_all_steps_at_once(seed: int, positive: bool) -> None:
    """A score that is made again starts from the same bits as the one that was queued with the forecast."""
    rng = np.random.default_rng(seed)
    fan = np.cumsum(rng.exponential(size=(120, 11)), axis=1) + (50.0 if positive else -5.0)
    factors = np.where(np.array(LEVELS) == 0.5, 1.0, rng.uniform(0.5, 4.0, size=(4, 11)))
    correction = Correction((1, 4, 24, 120), factors, np.full(4, 50.0))
    steps = np.array([1, 4, 7, 24, 119, 120], dtype=np.int32)

    whole = corrected(fan, 55.0, correction)
    alone = served_fans(fan[steps - 1], np.full(6, 55.0), steps, [json.dumps(correction.to_json())] * 6)

    assert alone.tolist() == whole[steps - 1].tolist()


def test_what_was_not_corrected_is_served_as_it_is() -> None:
    fan = np.arange(22.0).reshape(2, 11) + 1.0

    served = served_fans(fan, np.ones(2), np.array([1, 4], dtype=np.int32), [None, None])

    assert served.tolist() == fan.tolist()
    assert served is not fan
