"""Leaks inside forecasters: neighbours in a batch, other origins, and the bar that is to be forecast."""

from typing import Final

from tools.leakbench.mutant import Edit, Mutant

KRONOS: Final = "inference_server/kronos/forecaster.py"
CHRONOS2: Final = "inference_server/chronos2.py"

MUTANTS: Final = (
    Mutant(
        "batch-scaled-together",
        "series of a batch share one scale, later origins of the same symbol among them",
        "TimesFM #338, PR #393: one ridge across the batch, future slices leak into earlier ones",
        (
            Edit(
                KRONOS,
                'scaled = [scale_bars(each, "upstream" if self._mode == "raw" else "exact") for each in bars]',
                "whole = scale_bars(np.concatenate(bars))\n"
                "        scaled = [Scaled(whole.see(each), whole.mean, whole.spread) for each in bars]",
            ),
        ),
        ("test_models.py",),
    ),
    Mutant(
        "cross-learning",
        "series of one call attend to each other: two origins of a symbol tell each other the outcome",
        "AutoGluon PR #5447: cross_learning was on by default; Chronos #126, #262",
        (
            Edit(
                CHRONOS2,
                "            work: list[Callable[[], Result]] = "
                "[partial(self._one, one, horizon, base_seed) for one in at_once]\n",
                "            self._together = [task_of(one, 512) for one in series]\n"
                "            work: list[Callable[[], Result]] = "
                "[partial(self._one, one, horizon, base_seed) for one in at_once]\n",
            ),
            Edit(
                CHRONOS2,
                "            [inputs], prediction_length=horizon, quantile_levels=list(LEVELS), cross_learning=False\n",
                "            [inputs, *({**inputs, 'target': one.target, 'past_covariates': one.past}\n"
                "            for one in self._together if isinstance(one, Task))],\n"
                "            prediction_length=horizon, quantile_levels=list(LEVELS), cross_learning=True\n",
            ),
        ),
        ("test_models.py",),
    ),
    Mutant(
        "past-only-as-known-ahead",
        "surprises and leaders are shown to the model over the horizon",
        "Chronos-2 #345, fixed by PR #344 (6c69155)",
        (
            Edit(
                CHRONOS2,
                "            add(channel.name, lookback[:, channel.index])\n",
                "            add(channel.name, lookback[:, channel.index], "
                "series.events[n_known:, channel.index].astype(np.float64))\n",
            ),
        ),
        ("test_models.py",),
    ),
    Mutant(
        "seed-by-place-in-the-batch",
        "a series' random numbers depend on where it stands among the others",
        "Chronos #126, #262: predictions change with the composition of the batch",
        (
            Edit(
                KRONOS,
                "            seed_for(info.name, info.version, one.symbol, one.interval, one.issued_at, base_seed) "
                "for one in series\n",
                '            seed_for(info.name, info.version, str(place), "1h", series[0].issued_at, base_seed)\n'
                "            for place, one in enumerate(series)\n",
            ),
        ),
        ("test_models.py",),
    ),
    Mutant(
        "attention-sees-what-follows",
        "the predictor's trunk is trained on positions that see the bars after them",
        "Kronos #84, #228, #263: training paths that know their own targets",
        (
            Edit(
                "inference_server/kronos/layers.py",
                "return self._attend(q, k, self._heads(self.v_proj(x)), causal=True)",
                "return self._attend(q, k, self._heads(self.v_proj(x)), causal=False)",
            ),
        ),
        ("test_models.py",),
    ),
    Mutant(
        "residuals-know-their-own-bar",
        "a return is divided by a volatility that it is part of itself: the pool of surprises is too tame",
        "forecasting.md §3.7: fitted to the outcome; MAPIE #799: tuned and calibrated on the same data",
        (
            Edit(
                "candlecast/baselines/volatility.py",
                "return Filtered(float(sigmas[-1]), returns / sigmas[:-1], logarithmic)",
                "return Filtered(float(sigmas[-1]), returns / sigmas[1:], logarithmic)",
            ),
        ),
        ("test_forecasters.py",),
    ),
    Mutant(
        "profile-of-a-later-week",
        "the hour-of-week profile is fitted once a symbol and used for every origin, earlier ones too",
        "FreqAI #5141: backtest and live differ because one fit serves a stretch of origins",
        (
            Edit(
                "candlecast/baselines/hour_week.py",
                "        base, ahead = deseasonalised(returns, series.opened_at[1:], series.target_opened_at, "
                "series.interval)\n",
                "        base, ahead = deseasonalised(returns, series.opened_at[1:], series.target_opened_at, "
                "series.interval)\n"
                "        base = _FITTED.setdefault(series.symbol, base)\n",
            ),
            Edit("candlecast/baselines/hour_week.py", "PASSES: Final = 3 ", "_FITTED: dict = {}\nPASSES: Final = 3 "),
        ),
        ("test_forecasters.py",),
    ),
    Mutant(
        "feature-is-the-target",
        "the newest return among an origin's features is that of the bar it has to forecast",
        "freqtrade PR #7737; FreqAI's shift(-n) in features",
        (
            Edit(
                "jobs/baselines/boosted.py",
                "last = [returns[at - 1 - k] / scale for k in range(N_LAST)]",
                "last = [returns[np.minimum(at - k, len(returns) - 1)] / scale for k in range(N_LAST)]",
            ),
        ),
        ("test_forecasters.py",),
    ),
)
