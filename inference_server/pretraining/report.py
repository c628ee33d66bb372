"""From a trained checkpoint to one that may be used: choose the space, fit the spread, and say how good it is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from candlecast.baselines import RandomWalk
from candlecast.forecasts import Forecaster
from inference_server.kronos.anchoring import Space
from inference_server.kronos.forecaster import KronosForecaster, Mode
from inference_server.kronos.model import Kronos
from inference_server.kronos.spread import Spread
from inference_server.kronos.tokenizer import KronosTokenizer
from inference_server.kronos.usage import Usage
from inference_server.pretraining.evaluation import (
    Interval95,
    Origin,
    Table,
    by_weeks,
    common,
    forecast_all,
)
from inference_server.pretraining.fitting import FITTED_STEPS, fit_spread, spread_factors

CARD_STEPS = FITTED_STEPS
ASSET_CLASSES = ("crypto", "forex_commodity", "equity")
SPACES: dict[str, tuple[Mode, Space]] = {
    "raw": ("raw", "scaled"),
    "anchored, scaled": ("anchored", "scaled"),
    "anchored, log": ("anchored", "log"),
}
BASELINE = RandomWalk.info.name
EVERY_FOR_SPACES = 8
FOLD_WEEKS = 4
"""Coverage is told of four weeks with a spread that was fitted on all others."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One class, interval and step: coverage of the 80 % band, and fair CRPS beside the baseline's."""

    interval: str
    asset_class: str
    step: int
    n: int
    coverage: Interval95
    coverage_as_drawn: float
    baseline_coverage: float
    crps: float
    baseline_crps: float
    skill: Interval95


@dataclass(frozen=True, slots=True)
class Report:
    """crps_by_space : mean fair CRPS in σ√h of some origins, by (space, step), and of the baseline on the same."""

    n_origins: int
    n_paths: int
    crps_by_space: dict[tuple[str, int], float]
    space: Space
    spread: Spread
    cells: list[Cell]


def assess(
    tokenizer: KronosTokenizer,
    model: Kronos,
    context: int,
    asked: Sequence[Origin],
    *,
    n_paths: int,
    seen: Callable[[str, int], None],
) -> Report:
    """Compare the spaces on every eighth origin, then forecast all of them in the better one and fit the spread."""

    def forecaster(mode: Mode, space: Space) -> KronosForecaster:
        return KronosForecaster(
            tokenizer,
            model,
            name="candidate",
            version="0" * 64,
            max_context=context,
            mode=mode,
            usage=Usage(context, space),
        )

    def table(one: Forecaster, some: Sequence[Origin], what: str) -> Table:
        return forecast_all(one, some, n_paths=n_paths, seen=lambda n: seen(what, n))

    some = asked[::EVERY_FOR_SPACES]
    tables = {name: table(forecaster(*kind), some, name) for name, kind in SPACES.items()}
    tables[BASELINE] = table(RandomWalk(), some, BASELINE)
    by_space = {
        (name, step): float(each.where(each.step == step).crps().mean())
        for (name, each), step in product(tables.items(), CARD_STEPS)
    }
    scaled, logarithmic = (sum(by_space[name, step] for step in CARD_STEPS) for name in list(SPACES)[1:])
    space: Space = "log" if logarithmic <= scaled else "scaled"

    drawn = table(forecaster("anchored", space), asked, "all origins")
    drawn, baseline = common(drawn, table(RandomWalk(), asked, BASELINE))
    spread = fit_spread(drawn)
    used = _cross_fitted(drawn)
    return Report(
        n_origins=len(asked),
        n_paths=n_paths,
        crps_by_space=by_space,
        space=space,
        spread=spread,
        cells=[
            cell
            for interval, asset_class, step in product(("1h", "1d"), ASSET_CLASSES, CARD_STEPS)
            if (cell := cell_of(drawn, used, baseline, interval, asset_class, step)) is not None
        ],
    )


def _cross_fitted(drawn: Table) -> Table:
    """`drawn` with the spread that the other weeks ask for, so that no outcome had a say in its own band."""
    factors = np.ones(len(drawn.step))
    fold = (drawn.week - drawn.week.min()) // FOLD_WEEKS
    for one in np.unique(fold):
        mine = fold == one
        factors[mine] = spread_factors(fit_spread(drawn.where(~mine)), drawn.where(mine))
    return drawn.widened(factors)


def cell_of(drawn: Table, used: Table, baseline: Table, interval: str, asset_class: str, step: int) -> Cell | None:
    """One row of the card from three tables of the same pairs, before and after the spread; None without pairs."""
    rows = (used.interval == interval) & (used.asset_class == asset_class) & (used.step == step)
    if not rows.any():
        return None
    mine, theirs = used.where(rows), baseline.where(rows)
    inside = mine.inside().astype(np.float64)
    crps, other = mine.crps(), theirs.crps()
    weeks = step / 5 if interval == "1d" else step / 35  # a share trades five days or 35 hourly bars a week
    block = max(1, round(weeks))
    return Cell(
        interval,
        asset_class,
        step,
        int(rows.sum()),
        by_weeks(mine.week, lambda pick: float(inside[pick].mean()), block=block),
        float(drawn.where(rows).inside().mean()),
        float(theirs.inside().mean()),
        float(crps.mean()),
        float(other.mean()),
        by_weeks(mine.week, lambda pick: float(1.0 - crps[pick].mean() / other[pick].mean()), block=block),
    )
