"""Do corrected bands keep their promise on real bars? `python -m bench.calibration [--data ../shared/market-data]`.

A walk-forward replay over hourly bars, 2024-07 to 2025-06, steps 1, 4, 24 and 120, of the 23 instruments that are
forecast: each forecast is made from what was known at its slot and corrected by the outcomes that had been known at
its issue. Three raw models are corrected: `baseline-rw`; the same with its bands at 0.55 of their width; and the
bundled kronos-nano, which saw the bars before 2025-01 in training. The first 60 days are not judged. "Warm" is a ledger
that began in 2023-01, or with the bars of an instrument; "cold" one that began with the year.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.results import machine, replace_section
from candlecast.baselines import RandomWalk, ewma_scale
from candlecast.calibration import Labels, Tracker, replay
from candlecast.calibration.correction import P10, P90, Floats, widened
from candlecast.forecasts import CLOSE, LEVELS, Forecast, Forecaster, Series
from candlecast.instruments import ASSET_CLASSES, load_instruments
from candlecast.scoring import SCORED_STEPS, interval_loss
from candlecast.sessions import Sessions
from inference_server.kronos.forecaster import KronosForecaster
from inference_server.pretraining.histories import History, load_histories
from inference_server.registry import BUNDLED

Times = NDArray[np.datetime64]
Bools = NDArray[np.bool_]

INSTRUMENTS = {one.symbol: one for one in load_instruments() if one.forecast}
STEPS = np.array(SCORED_STEPS["1h"])
HORIZON, LOOKBACK = 120, 392
HOUR, WEEK = np.timedelta64(3600, "s"), np.timedelta64(7 * 86400, "s")
BEGAN, FIRST, LAST = (np.datetime64(day, "s") for day in ("2023-01-01", "2024-07-01", "2025-07-01"))
JUDGED = FIRST + np.timedelta64(60 * 86400, "s")
NARROW = 0.55
PICTURE = Path(__file__).with_name("calibration.png")


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What a model said at the judged steps; `scale` [N] is sigma of one bar as the baseline expected it."""

    labels: Labels
    scale: Floats

    def since(self, moment: np.datetime64) -> "Drawn":
        """Only the forecasts issued at `moment` or later."""
        rows = self.labels.issued_at >= moment
        return Drawn(self.labels.where(rows), self.scale[rows])


def slots(first: np.datetime64, every: int, shift: int = 0) -> Times:
    """The cron instants hh:55, one every so many hours; a number prime to 24 meets all hours of a day."""
    return np.arange(first + HOUR * 55 // 60 + shift * HOUR, LAST, every * HOUR)


def histories(data: Path) -> list[History]:
    """The hourly bars of the instruments that are forecast."""
    return [one for one in load_histories(data, INSTRUMENTS) if one.interval == "1h"]


def series_of(history: History, at: Times) -> Iterator[tuple[Series, Times]]:
    """(series, closes of its targets) as known at each slot; a slot that brings no new bar is skipped."""
    instrument = INSTRUMENTS[history.symbol]
    sessions = Sessions.of(instrument.calendar)
    closed_at = sessions.closes_of("1h", history.opened_at)
    usable_at = closed_at + np.timedelta64(instrument.settle_s, "s")
    newest = np.unique(np.searchsorted(usable_at, at, side="right") - 1)
    for last in newest[newest >= LOOKBACK - 1]:
        window = slice(last + 1 - LOOKBACK, last + 1)
        targets, target_at = sessions.next_bars("1h", closed_at[last], HORIZON)
        issued_at = datetime.fromtimestamp(int(closed_at[last].astype(np.int64)), UTC)
        bars, opened_at = history.bars[window], history.opened_at[window]
        yield Series(history.symbol, "1h", issued_at, bars, opened_at, targets), target_at


def draw(history: History, at: Times, forecaster: Forecaster, n_paths: int) -> Drawn:
    """The forecasts of one instrument at those slots; a step whose target bar is missing has no row."""
    settle = np.timedelta64(INSTRUMENTS[history.symbol].settle_s, "s")
    asked = list(series_of(history, at))
    answers = forecaster.forecast([one for one, _ in asked], horizon=HORIZON, n_paths=n_paths)
    rows: list[tuple[object, ...]] = []
    for (series, target_at), answer in zip(asked, answers, strict=True):
        if not isinstance(answer, Forecast):
            continue
        opened_at = series.target_opened_at[STEPS - 1].astype("datetime64[s]")
        places = np.minimum(np.searchsorted(history.opened_at, opened_at), len(history.opened_at) - 1)
        issued_at = np.datetime64(series.issued_at.replace(tzinfo=None), "s")
        scale = ewma_scale(series.ohlcv[:, CLOSE])
        came = history.opened_at[places] == opened_at
        for step, place in zip(STEPS[came], places[came], strict=True):
            known_at = target_at[step - 1] + settle
            fan, outcome = answer.fan[step - 1], history.bars[place, CLOSE]
            rows.append((series.symbol, step, issued_at, known_at, series.last_close, fan, outcome, scale))
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    return Drawn(Labels(*columns[:-1]), columns[-1])


def together(parts: Sequence[Drawn]) -> Drawn:
    """One table of several."""
    columns = (np.concatenate([getattr(one.labels, field.name) for one in parts]) for field in fields(Labels))
    return Drawn(Labels(*columns), np.concatenate([one.scale for one in parts]))


def _baseline(history: History) -> Drawn:
    return draw(history, slots(BEGAN, 13), RandomWalk(), 0)


def draw_baseline(data: Path) -> Drawn:
    """`baseline-rw` every 13 hours since 2023."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return together(list(pool.map(_baseline, histories(data))))


def draw_kronos(data: Path) -> Drawn:
    """kronos-nano every 97 hours since 2024-07, 16 paths, each instrument at moments of its own."""
    forecaster = KronosForecaster.load(BUNDLED["nano"], name="kronos-nano")
    asked = enumerate(histories(data))
    return together([draw(one, slots(FIRST, 97, place * 37 % 97), forecaster, 16) for place, one in asked])


def kept(make: Callable[[Path], Drawn], data: Path, folder: Path | None) -> Drawn:
    """What `make` draws, read from a file of an earlier run where `folder` has one."""
    if folder is None:
        return make(data)
    file = folder / f"{make.__name__}.npz"
    names = [field.name for field in fields(Labels)]
    if not file.exists():
        drawn = make(data)
        columns = {name: getattr(drawn.labels, name) for name in names}
        np.savez_compressed(file, allow_pickle=False, scale=drawn.scale, **columns)
    with np.load(file) as read:
        return Drawn(Labels(*(read[name] for name in names)), read["scale"])


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """A replay judged after its first 60 days, all arrays [N]: interval scores in sigmas times the root of the step."""

    labels: Labels
    fan: Floats  # [N, Q] served
    inside: Bools
    loss: Floats

    @classmethod
    def of(cls, drawn: Drawn, factors: Floats) -> "Bands":
        """The bands of `drawn` with distances from the median times `factors` [N, Q]."""
        labels, fan = drawn.labels, widened(drawn.labels.fan, factors)
        unit = drawn.scale * np.sqrt(labels.step)
        low, high, came = (np.log(each / labels.last_close) for each in (fan[:, P10], fan[:, P90], labels.outcome))
        return cls(labels, fan, (came >= low) & (came <= high), interval_loss(low / unit, high / unit, came / unit))

    def rows(self, asset_class: str, step: int, since: np.datetime64 = JUDGED) -> Bools:
        """The forecasts of one cell that were issued at `since` or later."""
        of_class = np.array([INSTRUMENTS[symbol].asset_class == asset_class for symbol in self.labels.symbol.tolist()])
        rows: Bools = of_class & (self.labels.step == step) & (self.labels.issued_at >= since)
        return rows


def ratio(top: Floats, bottom: Floats, at: Times, step: int) -> tuple[float, float]:
    """Sum of `top` over sum of `bottom`, and its standard error with blocks of weeks as independent.

    Blocks are a week, or four for 120 steps, which take a share 17 sessions; all instruments of a block go together.
    """
    value = float(top.sum() / bottom.sum())
    _, block = np.unique((at - at.min()) // (WEEK * (4 if step == 120 else 1)), return_inverse=True)
    sums = np.bincount(block, top - value * bottom)
    return value, float(np.sqrt(np.sum(sums**2) * len(sums) / (len(sums) - 1)) / abs(bottom.sum()))


def narrowed(drawn: Drawn, factor: float) -> Drawn:
    """The same forecasts with too narrow bands."""
    fan = widened(drawn.labels.fan, np.full((len(drawn.scale), len(LEVELS)), factor))
    return Drawn(replace(drawn.labels, fan=fan), drawn.scale)


def judge(name: str, drawn: Drawn, baseline: Drawn) -> tuple[list[str], Bands, Bands]:
    """Lines of the table, the raw bands and the corrected ones. `baseline` [N] has the rows of `drawn`."""
    classes = {symbol: one.asset_class for symbol, one in INSTRUMENTS.items()}
    factors = replay(drawn.labels, Tracker("1h", SCORED_STEPS["1h"], classes))
    neutral = np.ones_like(factors)
    raw, made, base = Bands.of(drawn, neutral), Bands.of(drawn, factors), Bands.of(baseline, neutral)
    lines = []
    for asset_class in ASSET_CLASSES:
        for step in STEPS.tolist():
            rows = made.rows(asset_class, step)
            at, ones = made.labels.issued_at[rows], np.ones(int(rows.sum()))
            covered, covered_se = ratio(made.inside[rows].astype(float), ones, at, step)
            to_raw, to_raw_se = ratio(made.loss[rows], raw.loss[rows], at, step)
            to_base, to_base_se = ratio(made.loss[rows], base.loss[rows], at, step)
            kept_promise = 0.78 <= covered <= 0.82
            lines.append(
                f"| {name} | {asset_class} | {step} | {len(ones):,} | {raw.inside[rows].mean():.1%} "
                f"| {covered:.1%} ± {covered_se:.1%}{'' if kept_promise else ' **!**'} "
                f"| {to_raw - 1:+.1%} ± {to_raw_se:.1%} "
                f"| {to_base - 1:+.1%} ± {to_base_se:.1%}{'' if to_base <= 1.01 else ' **!**'} |"
            )
    return lines, raw, made


def draw_picture(stress: tuple[Bands, Bands], model: tuple[Bands, Bands]) -> None:
    """Coverage of the 80 % band over time (stress) and outcomes below each level (model); grey raw, blue corrected."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(6, 4, figsize=(15, 17), constrained_layout=True)
    for row, asset_class in enumerate(ASSET_CLASSES):
        for column, step in enumerate(STEPS.tolist()):
            over_time, levels = axes[row, column], axes[row + 3, column]
            rows = stress[0].rows(asset_class, step, FIRST)
            fortnight = (stress[0].labels.issued_at[rows] - FIRST) // (2 * WEEK)
            for bands, colour, label in zip(stress, ("0.6", "tab:blue"), ("raw", "corrected"), strict=True):
                share = np.bincount(fortnight, bands.inside[rows]) / np.bincount(fortnight)
                when = FIRST + (np.arange(len(share)) * 2 + 1) * WEEK
                over_time.plot(when, share, color=colour, label=label)
            over_time.axhspan(0.78, 0.82, color="tab:green", alpha=0.2)
            over_time.axvline(JUDGED, color="0.8", linestyle=":")
            over_time.set(ylim=(0.2, 1.0), title=f"{asset_class}, step {step}")
            over_time.tick_params(axis="x", rotation=45, labelsize=7)
            for bands, colour in zip(model, ("0.6", "tab:blue"), strict=True):
                rows = bands.rows(asset_class, step)
                share = (bands.labels.outcome[rows, None] < bands.fan[rows]).mean(axis=0)
                levels.plot(LEVELS, share, "o-", color=colour, markersize=3)
            levels.plot([0, 1], [0, 1], color="tab:green", alpha=0.4)
            levels.set(xlabel="level", ylabel="outcomes below", title=f"{asset_class}, step {step}")
    axes[0, 0].legend()
    figure.suptitle(
        "Above: the 80 % band of baseline-rw × 0.55 covers, per two weeks from a cold start. "
        "Below: kronos-nano, share of outcomes under each level."
    )
    figure.savefig(PICTURE, dpi=70)


def main() -> None:
    """Measure, print, draw the picture, and write the section of bench/RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/market-data"))
    parser.add_argument("--cache", type=Path, help="folder that keeps what the models said, for another run")
    parser.add_argument("--dry", action="store_true", help="print only")
    asked = parser.parse_args()

    began = time.monotonic()
    warm, kronos = (kept(make, asked.data, asked.cache) for make in (draw_baseline, draw_kronos))
    cold = warm.since(FIRST)
    # Kronos is asked at other moments than the baseline, so its yardstick is drawn at its own.
    parts = [
        draw(one, slots(FIRST, 97, place * 37 % 97), RandomWalk(), 0) for place, one in enumerate(histories(asked.data))
    ]
    beside = together(parts)
    same = all((getattr(beside.labels, name) == getattr(kronos.labels, name)).all() for name in ("symbol", "known_at"))
    assert same, "kronos-nano refused a series that the baseline took"

    table = [
        "| raw model | class | step | n | raw covers | corrected covers | interval score to raw | to baseline-rw |",
        "|---|---|---|---|---|---|---|---|",
    ]
    runs: tuple[tuple[str, Drawn, Drawn], ...] = (
        ("baseline-rw, warm", warm, warm),
        ("baseline-rw × 0.55, warm", narrowed(warm, NARROW), warm),
        ("baseline-rw × 0.55, cold", narrowed(cold, NARROW), cold),
        ("kronos-nano, cold", kronos, beside),
    )
    bands: dict[str, tuple[Bands, Bands]] = {}
    for name, drawn, yardstick in runs:
        lines, raw, made = judge(name, drawn, yardstick)
        table, bands[name] = table + lines, (raw, made)
    seconds = time.monotonic() - began
    if not asked.dry:
        draw_picture(bands["baseline-rw × 0.55, cold"], bands["kronos-nano, cold"])
    text = "\n".join(
        [
            f"23 instruments, hourly bars, forecasts issued from {JUDGED.astype('datetime64[D]')} on are judged; "
            f"{seconds:.0f} s{' with drawn forecasts kept from an earlier run' if asked.cache else ''} on {machine()}. "
            "± is a standard error over weeks (four for step 120). **!** marks coverage outside 78–82 % and interval "
            "scores more than 1 % above the baseline's. Warm: the ledger began 2023-01; cold: 2024-07-01. kronos-nano "
            "was trained on bars before 2025-01 and spread on 2025-01..06, so its raw bands are in-sample.",
            "",
            *table,
            "",
            "Where it misses: a share's 120th hour is 17 sessions away, so ten months hold some ten independent "
            "outcomes, April 2025 among them; new records are not narrowed at that step before a year of bars. "
            "Moments 13 hours apart mostly fall on closed markets, so the first step of a share is mostly the gap "
            "of a night: with bands at 0.55 it would need a factor above 4, where they end. Bands of kronos-nano are "
            "drawn from 16 paths here, and the model itself is what the baseline beats: right coverage is not skill.",
            "",
            f"![Coverage over time and reliability]({PICTURE.name})",
        ]
    )
    print(text)
    if not asked.dry:
        replace_section("Calibration on real bars", text)


if __name__ == "__main__":
    main()
