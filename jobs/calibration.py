"""From the fan that a model gave to the band that is served.

Baselines are never corrected: a yardstick does not move. Whatever goes wrong here costs a forecast its correction, and
never the forecast: it is issued as the model gave it, its row says so by having no calibration, and the run says why.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import stamina
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from candlecast.calibration import Correction, corrected
from candlecast.clock import Interval
from candlecast.forecasts import LEVELS
from candlecast.lookback import Prepared
from candlecast.store.calibration import Asked, Moment, read_corrections
from candlecast.store.engine import DatabaseUnavailable
from candlecast.store.predictions import PredictionRow, check

log = logging.getLogger(__name__)

UNCORRECTED: Final = "baseline-"
P10, P50, P90 = (LEVELS.index(level) for level in (0.1, 0.5, 0.9))


@dataclass(slots=True)
class Calibrator:
    """The corrections of a slot's forecasts, and in `failures` a sentence for each thing that went wrong."""

    corrections: dict[Asked, Correction] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def serve(self, row: PredictionRow) -> PredictionRow:
        """The row with the band that is served in place of the model's own, and with what made it of the fan."""
        correction = self.corrections.get(Asked(row.symbol, Moment(row.synthetic, row.issued_at)))
        if correction is None or row.model_name.startswith(UNCORRECTED):
            return row
        try:
            fan = corrected(np.asarray(row.fan, dtype=np.float64), row.last_close, correction)
            p10, p50, p90 = fan[:, P10], fan[:, P50], fan[:, P90]
            served = replace(row, p10=p10, p50=p50, p90=p90, calibration=correction.to_json())
            check(served)
        except Exception as error:
            self.fail(f"{row.symbol} is served as the model gave it, its correction failed: {_sentence(error)}")
            return row
        return served

    def fail(self, sentence: str) -> None:
        """Note what went wrong, for the run and for whoever reads its log."""
        log.warning("%s", sentence)
        self.failures.append(sentence)


def calibrator(
    engine: Engine, interval: Interval, model_name: str, prepared: Sequence[Prepared], *, store: bool
) -> Calibrator:
    """The corrections of the model's forecasts from these series; `store` keeps snapshots for the next slot."""
    found = Calibrator()
    if prepared and not model_name.startswith(UNCORRECTED):
        asked = [Asked(one.series.symbol, Moment(one.synthetic, one.series.issued_at)) for one in prepared]
        try:
            found.corrections = _corrections(engine, interval, model_name, asked, store)
        except Exception as error:
            found.fail(
                f"{model_name} {interval} is served as the model gives it, the calibration failed: {_sentence(error)}"
            )
    return found


@stamina.retry(on=(OperationalError, DatabaseUnavailable), attempts=3, timeout=20)
def _corrections(
    engine: Engine, interval: Interval, model_name: str, asked: Sequence[Asked], store: bool
) -> dict[Asked, Correction]:
    while True:
        with engine.begin() as conn:
            corrections = read_corrections(conn, interval, model_name, asked, store=store)
        if corrections is not None:
            return corrections


def _sentence(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"  # SQLAlchemy goes on with the statement
