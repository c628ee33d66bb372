"""Histories to learn from: every bar of a folder of files, as arrays.

Axes: N bars, 6 columns (open, high, low, close, volume, amount).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from candlecast.clock import Interval
from candlecast.errors import CandlecastError
from candlecast.instruments import AssetClass, load_instruments
from inference_server.kronos.scaling import complete_bars

COLUMNS = ("open", "high", "low", "close", "volume")


class NoHistories(CandlecastError):
    """A folder holds nothing to learn from."""

    exit_code = 64


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """bars [N, 6] float64 in the unit of the market, opened_at [N] datetime64[s], rising."""

    symbol: str
    interval: Interval
    asset_class: AssetClass
    bars: NDArray[np.float64]
    opened_at: NDArray[np.datetime64]

    def first_from(self, moment: np.datetime64) -> int:
        """Index of the first bar that opens at `moment` or later."""
        return int(np.searchsorted(self.opened_at, moment))

    def before(self, moment: np.datetime64) -> "History":
        """Only the bars that open strictly before `moment`."""
        end = self.first_from(moment)
        return History(self.symbol, self.interval, self.asset_class, self.bars[:end], self.opened_at[:end])


def load_histories(folder: Path, symbols: Iterable[str] | None = None) -> list[History]:
    """One history per file `ohlcv_1h/SYMBOL.csv[.gz]` and `ohlcv_1d/…` whose symbol the instruments file names.

    Raises
    ------
    NoHistories : no such file, or columns are missing.
    """
    classes = {one.symbol: one.asset_class for one in load_instruments()}
    wanted = None if symbols is None else set(symbols)
    found: list[History] = []
    for interval in get_args(Interval):
        for path in sorted((folder / f"ohlcv_{interval}").glob("*.csv*")):
            symbol = path.name.split(".")[0]
            if symbol in classes and (wanted is None or symbol in wanted):
                found.append(_read(path, symbol, interval, classes[symbol]))
    if not found:
        raise NoHistories(
            f"{folder} holds no bars of known instruments; expected are files such as {folder}/ohlcv_1h/BTCUSDT.csv.gz "
            "with the columns ts, open, high, low, close, volume"
        )
    return found


def _read(path: Path, symbol: str, interval: Interval, asset_class: AssetClass) -> History:
    try:
        frame = pd.read_csv(path, usecols=["ts", *COLUMNS])
        opened_at = pd.to_datetime(frame["ts"], utc=True).dt.tz_localize(None).to_numpy().astype("datetime64[s]")
        bars = frame[list(COLUMNS)].to_numpy(dtype=np.float64)
    except (ValueError, OSError) as error:
        raise NoHistories(f"{path} cannot be read as bars ({error})") from error
    sound = np.isfinite(bars).all(axis=1)
    order = np.argsort(opened_at[sound], kind="stable")
    opened_at, bars = opened_at[sound][order], bars[sound][order]
    fresh = np.ones(len(opened_at), dtype=bool)
    fresh[1:] = opened_at[1:] > opened_at[:-1]
    bars = np.concatenate([bars[fresh], np.zeros((int(fresh.sum()), 1))], axis=1)
    return History(symbol, interval, asset_class, complete_bars(bars), opened_at[fresh])
