"""The fan that was served at one step, from the sealed row: the fan as the model gave it and its correction."""

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from candlecast.calibration.correction import Correction, widened

Floats = NDArray[np.float64]


def served_fans(fan: Floats, last_close: Floats, step: NDArray[np.int32], calibration: Sequence[str | None]) -> Floats:
    """[N, 11] the fans as served. `fan` [N, 11] at `step` [N]; `calibration` as JSON, None where nothing was corrected.

    Row by row what `corrected` gives for all steps of a forecast at once, bit for bit.
    """
    served = fan.copy()
    for row, text in enumerate(calibration):
        if text is not None:
            factors = Correction.from_json(json.loads(text)).along(step[row : row + 1].astype(np.int64))
            served[row] = widened(fan[row : row + 1], factors, logarithmic=bool(last_close[row] > 0.0))[0]
    return served
