"""The random walk that every model has to beat: today's volatility, yesterday's surprises, no drift.

Filtered historical simulation (Barone-Adesi, Giannopoulos and Vosper 1999) with the drift taken out.
Returns r of one bar are divided by the volatility expected just before them; the residuals z of the whole
lookback, each with both signs, are the pool. A step ahead is sigma times a draw from the pool, a horizon of
h steps the sum of h draws, with sigma the volatility expected at issue and held flat, as an exponentially weighted
variance expects it to stay.

Returns are logarithmic where every close of the lookback is positive, else differences of price.
Symbols: n residuals, H steps, S paths.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from candlecast.forecasts import (
    CLOSE,
    LEVELS,
    Forecast,
    ModelInfo,
    Refusal,
    Result,
    Series,
    forecast_fault,
    never,
    refuse,
    seed_for,
    series_fault,
)

Floats = NDArray[np.float64]

DECAY: Final = 0.97  # weight of yesterday's variance; a half-life of 23 bars
MIN_BARS: Final = 64  # fewer bars than this hold too few residuals for a 5 % quantile

CELLS_PER_SCALE: Final = 32  # grid cells in one typical residual times the square root of the steps
REACH: Final = 6.0  # standard deviations of the sum that the grid spans to each side, beside the largest residual
MAX_CELLS: Final = 1 << 15

# Lengths that an FFT is quick for, close enough to each other that little is rounded up.
_SIZES: Final = sorted(odd << k for odd in (1, 3, 5) for k in range(4, 21))
_UPPER: Final = np.array([2.0 * level - 1.0 for level in LEVELS if level > 0.5])  # P(|sum| <= quantile)


@dataclass(frozen=True, slots=True, eq=False)
class Filtered:
    """A lookback split into its volatility and what was left.

    scale : sigma of the next bar, in log return or in price; 0 for a price that never moved
    residuals : [n] returns in units of the sigma expected before each
    logarithmic : whether returns are logarithmic
    """

    scale: float
    residuals: Floats
    logarithmic: bool


def filtered(closes: Floats) -> Filtered:
    """Volatility and residuals of `closes` [n + 1], n >= 1.

    The variance starts at the mean squared return of the whole lookback, all of it known at issue; after
    k bars that start weighs 0.97^k, so 14 % after 64 bars and nothing after 400.
    """
    closes = np.ascontiguousarray(closes)  # numpy's logarithm of a strided column may differ in the last bit
    logarithmic = bool((closes > 0.0).all())
    returns = np.diff(np.log(closes) if logarithmic else closes)
    squares = returns * returns
    start = float(squares.mean())
    if start == 0.0:
        return Filtered(0.0, np.zeros_like(returns), logarithmic)
    variances = np.fromiter(
        accumulate(squares.tolist(), lambda var, square: DECAY * var + (1.0 - DECAY) * square, initial=start),
        dtype=np.float64,
        count=len(returns) + 1,
    )
    sigmas = np.sqrt(variances)
    return Filtered(float(sigmas[-1]), returns / sigmas[:-1], logarithmic)


def ewma_scale(closes: Floats) -> float:
    """Sigma of one bar as expected after the last close: log return, or price where a close is not positive."""
    if len(closes) < 2:
        raise ValueError(f"a volatility needs two closes or more, got {len(closes)}")
    return filtered(np.asarray(closes, dtype=np.float64)).scale


def sum_quantiles(residuals: Floats, horizon: int) -> Floats:
    """[H, 11] quantiles at `LEVELS` of the sum of 1..H independent draws from the residuals with both signs.

    One draw: read off the sorted residuals, by the Weibull rule as in `quantiles`. More: the law is put on
    a grid and convolved by FFT, one grid for each octave of steps, whose cell grows with the square root of
    the steps as the sum does. Each atom is split between its two neighbours, which keeps mass and mean; what it
    adds to the variance is taken out again by a smaller cell. Measured on 23 real hourly lookbacks against a
    grid 32 times finer, in standard deviations of the sum: at most 8e-4, on average 6e-5. A law of a few
    atoms is right to about one cell per step. Wrapped-around mass lies beyond 6 standard deviations plus the
    largest residual.

    The law is symmetric, so only the upper half is computed: the median is exactly 0 and the fan a mirror image.
    """
    sizes = np.sort(np.abs(residuals))
    upper = np.empty((horizon, len(_UPPER)))
    upper[0] = np.quantile(sizes, _UPPER, method="weibull")
    for first in (1 << octave for octave in range(1, horizon.bit_length())):
        last = min(2 * first - 1, horizon)
        upper[first - 1 : last] = _octave_quantiles(sizes, first, last)
    # The first row comes from another rule, the others from rounded sums: order along the levels is a promise.
    np.maximum.accumulate(upper, axis=1, out=upper)
    return np.concatenate([-upper[:, ::-1], np.zeros((horizon, 1)), upper], axis=1)


def _octave_quantiles(sizes: Floats, first: int, last: int) -> Floats:
    """[last - first + 1, levels above the median] quantiles of |sum| for `first`..`last` draws."""
    rms, largest = float(np.sqrt(np.mean(sizes * sizes))), float(sizes[-1])
    if rms == 0.0:
        return np.zeros((last - first + 1, len(_UPPER)))
    # A lone huge residual raises the rms but not the quantiles that are asked for, so cells follow the residual
    # that two thirds stay below, unless the price mostly stands still.
    typical = float(np.quantile(sizes, 0.6827))
    typical = typical if 1e-3 * rms < typical < rms else rms
    half = REACH * rms * last**0.5 + largest
    wanted = 2.0 * half * CELLS_PER_SCALE / (typical * first**0.5)
    n_cells = next(size for size in _SIZES if size >= min(wanted, MAX_CELLS))
    cell = 2.0 * half / n_cells

    places = sizes / cell
    over = places - np.floor(places)
    square = float(np.mean(places * places))
    shrink = (square / (square + float(np.mean(over * (1.0 - over))))) ** 0.5
    law = np.fft.rfft(_on_grid(places, n_cells)).real  # symmetric, so its transform is real
    powers = np.empty((last - first + 1, len(law)))
    powers[0] = law**first
    for step in range(1, len(powers)):
        np.multiply(powers[step - 1], law, out=powers[step])
    mass = np.fft.irfft(powers, n_cells, axis=1)[:, : n_cells // 2]
    mass[:, 1:] *= 2.0  # both signs of |sum|
    below = np.cumsum(mass, axis=1)  # P(|sum| <= (j + 1/2) cells)

    edges = np.concatenate([[0.0], (np.arange(n_cells // 2) + 0.5) * cell * shrink])
    return np.stack([np.interp(_UPPER, np.concatenate([[0.0], row]), edges) for row in below])


def _on_grid(places: Floats, n_cells: int) -> Floats:
    """[n_cells] mass of atoms at +-`places` (in cells) on a circle, each shared by its two neighbours."""
    places = np.concatenate([places, -places])
    left = np.floor(places)
    over = places - left
    cells = (left.astype(np.intp) + np.arange(2)[:, None]) % n_cells
    mass = np.bincount(cells.ravel(), weights=np.concatenate([1.0 - over, over]), minlength=n_cells)
    return np.asarray(mass / len(places), dtype=np.float64)


def sample_sums(residuals: Floats, horizon: int, n_paths: int, seed: int) -> Floats:
    """[S, H] running sums of independent draws; path s is the same however many paths are asked for."""
    draws = np.random.Generator(np.random.PCG64(seed)).integers(0, 2 * len(residuals), size=(n_paths, horizon))
    pool = np.concatenate([residuals, -residuals])
    return np.cumsum(pool[draws], axis=1)


_DEFINITION: Final = (
    f"baseline-rw|rule 1|decay {DECAY}|min bars {MIN_BARS}|cells {CELLS_PER_SCALE}|reach {REACH}|levels {LEVELS}"
)


class RandomWalk:
    """`baseline-rw` behind the protocol of every model; needs no weights, takes any number of paths."""

    info = ModelInfo(
        name="baseline-rw",
        version=hashlib.sha256(_DEFINITION.encode()).hexdigest(),
        max_context=None,
        takes_events=False,
        determinism="bitwise",
        description="zero-drift random walk: EWMA volatility (0.97) times the lookback's standardised residuals",
        gives_quantiles=True,
    )

    def forecast(
        self,
        series: Sequence[Series],
        *,
        horizon: int,
        n_paths: int,
        base_seed: int = 0,
        cancel: Callable[[], bool] = never,
    ) -> Iterator[Result]:
        """One result per series; refused are fewer than 64 bars, prices that never moved and broken series."""
        for one in series:
            if cancel():
                return
            yield self._one(one, horizon, n_paths, base_seed)

    def _one(self, series: Series, horizon: int, n_paths: int, base_seed: int) -> Result:
        fault = series_fault(series, horizon)
        if fault is not None:
            return fault
        n_bars = len(series.ohlcv)
        if n_bars < MIN_BARS:
            return refuse(series, "too_few_bars", f"{n_bars} bars in the lookback, {self.info.name} needs {MIN_BARS}")
        split = filtered(series.ohlcv[:, CLOSE])
        if split.scale == 0.0:
            return refuse(series, "no_movement", f"the close did not move in {n_bars} bars, so it has no volatility")

        seed = seed_for(self.info.name, self.info.version, series.symbol, series.interval, series.issued_at, base_seed)
        fan = _prices(series.last_close, split, sum_quantiles(split.residuals, horizon))
        paths = None
        if n_paths > 0:
            sums = sample_sums(split.residuals, horizon, n_paths, seed)
            paths = _prices(series.last_close, split, sums).astype(np.float32)
        made = Forecast(
            series.symbol, series.interval, series.issued_at, self.info.name, self.info.version, seed, fan, paths
        )
        wrong = forecast_fault(made, horizon)
        return made if wrong is None else _out_of_range(series, wrong)


def _prices(last_close: float, split: Filtered, sums: Floats) -> Floats:
    """Closes after moves of `sums` volatilities; inf where the number line ends."""
    with np.errstate(over="ignore"):
        moves = split.scale * sums
        return last_close * np.exp(moves) if split.logarithmic else last_close + moves


def _out_of_range(series: Series, wrong: str) -> Refusal:
    return refuse(series, "out_of_range", f"the lookback moves so wildly that {wrong}; check its prices")
