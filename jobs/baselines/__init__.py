"""The baselines by name. Those that need a package are imported when they are asked for: a job that issues
`baseline-rw` alone starts without scipy's optimisers and without LightGBM."""

from typing import Final

from candlecast.baselines import HourWeek, RandomWalk, SeasonalNaive
from candlecast.forecasts import Forecaster

PREFIX: Final = "baseline-"
YARDSTICK: Final = "rw"


def baseline(name: str) -> Forecaster:
    """The baseline of that name, which stands without its prefix.

    Raises
    ------
    ImportError : the package that it needs is not installed.
    KeyError : there is no such baseline.
    """
    match name:
        case "rw":
            return RandomWalk()
        case "hourweek":
            return HourWeek()
        case "snaive":
            return SeasonalNaive()
        case "garch":
            from jobs.baselines.garch import Garch

            return Garch()
        case "lgbm":
            from jobs.baselines.boosted import Boosted

            return Boosted()
    raise KeyError(name)
