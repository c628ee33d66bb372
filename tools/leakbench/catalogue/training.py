"""Leaks of training and evaluation: windows beyond the cutoff, scales that know the future, origins that know more."""

from typing import Final

from tools.leakbench.mutant import Edit, Mutant

WINDOWS: Final = "inference_server/pretraining/windows.py"

MUTANTS: Final = (
    Mutant(
        "scaled-with-the-future",
        "a training window is scaled over lookback and horizon together",
        "Kronos #227, fixed for one of two trainings by PR #234",
        (
            Edit(
                WINDOWS,
                "x = scale_bars(bars[: place.lookback]).see(bars)",
                "x = scale_bars(bars).see(bars)",
            ),
        ),
        ("test_training.py",),
    ),
    Mutant(
        "sigma-with-the-future",
        "the unit of a window's moves is taken from the bars to be learned too",
        "Kronos #227, #307: weights trained so were never replaced",
        (Edit(WINDOWS, "sigmas.append(_bar_sigma(x[: place.lookback]))", "sigmas.append(_bar_sigma(x))"),),
        ("test_training.py",),
    ),
    Mutant(
        "training-beyond-the-cutoff",
        "gradients see the months that the model is then evaluated on",
        "arXiv 2510.13654: training and test overlap in benchmarks of foundation models; Kronos #265",
        (
            Edit(
                "inference_server/pretraining/stages.py",
                "known = [one.before(TRAIN_UNTIL) for one in histories]",
                "known = list(histories)",
            ),
        ),
        ("test_training.py",),
    ),
    Mutant(
        "cutoff-by-the-window-s-start",
        "a window may reach beyond the cutoff as long as it begins before it",
        "forecasting.md §3.8 L6: training ends before the first scored origin, with its horizon",
        (
            Edit(
                "inference_server/pretraining/histories.py",
                "        end = self.first_from(moment)\n",
                "        end = self.first_from(moment) + 24\n",
            ),
        ),
        ("test_training.py",),
    ),
    Mutant(
        "stopped-early-by-what-is-scored",
        "early stopping looks at bars after the held-out time, which the report then scores",
        "MAPIE #799: tuning and calibrating on the same data",
        (
            Edit(
                WINDOWS,
                "highest = history.first_from(last) - length",
                "highest = len(history.bars) - length",
            ),
        ),
        ("test_training.py",),
    ),
    Mutant(
        "origin-holds-its-target",
        "the lookback of an evaluated origin ends with the bar that is to be forecast",
        "neuralforecast #853, #1442: leak suspicions in cross-validation; freqtrade PR #7737",
        (
            Edit(
                "inference_server/pretraining/evaluation.py",
                "window = slice(at + 1 - lookback, at + 1)",
                "window = slice(at + 2 - lookback, at + 2)",
            ),
        ),
        ("test_training.py",),
    ),
    Mutant(
        "ids-predicted-from-themselves",
        "the trunk is shown the ids that it has to predict",
        "Kronos #84, #228: teacher forcing with the targets in place",
        (
            Edit(
                "inference_server/pretraining/objectives.py",
                "context = model.context(s1[:, :-1], s2[:, :-1], batch.stamps[:, :-1])",
                "context = model.context(s1[:, 1:], s2[:, 1:], batch.stamps[:, 1:])",
            ),
        ),
        ("test_training.py",),
    ),
)
