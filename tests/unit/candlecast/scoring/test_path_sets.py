import numpy as np
import pytest
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from candlecast.scoring import PathSets, fair_crps, fair_energy_score, fair_variogram_score, score_path_sets


def vectors(n_steps: st.SearchStrategy[int]) -> st.SearchStrategy[np.ndarray]:
    """[N, M, P] paths, and in the last one of M the outcome."""
    shape = st.tuples(st.integers(1, 4), st.integers(3, 12), n_steps)
    return shape.flatmap(lambda of: hnp.arrays(np.float64, of, elements=st.floats(-50, 50, width=32)))


def sets(paths: np.ndarray, outcome: np.ndarray, **changed: object) -> PathSets:
    """Of sigma 1 % from a last close of 100; `paths` [N, P, M] and `outcome` [N, P] in sigmas."""
    n, p, _ = paths.shape
    closes = (100.0 * np.exp(0.01 * paths)).astype(np.float32)
    values: dict[str, object] = {
        "steps": np.array([1, 4, 24, 120][:p]),
        "last_close": np.full(n, 100.0),
        "scale": np.full(n, 0.01),
        "paths": closes,
        "calibrated_paths": closes,
        "outcome": 100.0 * np.exp(0.01 * outcome),
    }
    return PathSets(**(values | changed))  # type: ignore[arg-type]


def test_the_energy_score_of_two_paths_by_hand() -> None:
    # Paths (3, 4) and (6, 8) are 5 and 10 from the outcome and 5 from each other: (5 + 10) / 2 - 5 / 2.
    paths = np.array([[[3.0, 6.0]], [[4.0, 8.0]]])

    assert fair_energy_score(paths, np.zeros((2, 1))).tolist() == [5.0]


def test_the_variogram_score_of_two_paths_by_hand() -> None:
    # Roots of what lies between the steps: 1 and 2 for the paths, 3 for the outcome. Mean 1.5, variance 0.5 over two
    # paths; so (1.5 - 3)^2 - 0.5 / 2, for each of the two orders of the steps.
    paths = np.array([[[0.0, 0.0]], [[1.0, 4.0]]])

    assert fair_variogram_score(paths, np.array([[0.0], [9.0]])).tolist() == [4.0]


@settings(max_examples=60, deadline=None)
@given(vectors(st.integers(1, 4)))
def test_both_equal_the_fair_estimators_of_scoringrules(drawn: np.ndarray) -> None:
    paths, outcome = drawn[:, 1:], drawn[:, 0]
    ours = paths.transpose(2, 0, 1), outcome.T

    assert fair_energy_score(*ours) == pytest.approx(
        scoringrules.es_ensemble(outcome, paths, estimator="fair"), rel=1e-12, abs=1e-12
    )
    assert fair_variogram_score(*ours) == pytest.approx(
        scoringrules.vs_ensemble(outcome, paths, p=0.5, estimator="fair"), rel=1e-11, abs=1e-11
    )


@settings(deadline=None)
@given(vectors(st.just(1)))
def test_in_one_dimension_the_energy_score_is_the_crps(drawn: np.ndarray) -> None:
    paths, outcome = drawn[:, 1:, 0], drawn[:, 0, 0]

    energy = fair_energy_score(paths[None], outcome[None])

    assert energy == pytest.approx(fair_crps(paths, outcome), rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("score", [fair_energy_score, fair_variogram_score])
def test_neither_depends_on_the_number_of_paths_on_average(score: object) -> None:
    rng = np.random.default_rng(1)
    means = [
        score(rng.normal(size=(3, 40_000, m)), rng.normal(size=(3, 40_000))).mean()  # type: ignore[operator]
        for m in (3, 40)
    ]

    assert means[0] == pytest.approx(means[1], rel=0.02)


def test_the_variogram_score_prefers_the_right_dependence_where_each_step_alone_is_right() -> None:
    # The market is a random walk; both forecasts have its law at every step, one of them without its memory.
    rng = np.random.default_rng(2)
    walk = np.cumsum(rng.normal(size=(3, 20_000, 31)), axis=0)
    outcome, paths = walk[:, :, 0], walk[:, :, 1:]
    forgetful = np.stack([rng.permuted(step, axis=1) for step in paths])

    right, wrong = fair_variogram_score(paths, outcome), fair_variogram_score(forgetful, outcome)

    gap = wrong - right
    assert gap.mean() > 5 * gap.std() / np.sqrt(gap.size)


def test_each_step_is_measured_in_sigmas_times_its_root() -> None:
    # One path pair at steps 1 and 4: (1, 2) and (3, 6) in sigmas, so (1, 1) and (3, 3); the outcome stays where it was.
    paths = np.array([[[1.0, 3.0], [2.0, 6.0]]])

    scores = score_path_sets(sets(paths, np.zeros((1, 2))))

    # distances sqrt(2) and 3 sqrt(2), spread 2 sqrt(2): 2 sqrt(2) - sqrt(2); paths are float32
    assert scores.energy[0] == pytest.approx(np.sqrt(2.0), abs=1e-4)
    assert scores.variogram[0] == pytest.approx(0.0, abs=1e-3)


def test_what_was_served_is_scored_beside_what_the_model_gave() -> None:
    rng = np.random.default_rng(5)
    paths, outcome = rng.normal(size=(3, 4, 20)), rng.normal(size=(3, 4))
    served = sets(2.0 * paths, outcome)

    both = score_path_sets(sets(paths, outcome, calibrated_paths=served.paths))

    alone = score_path_sets(sets(paths, outcome)), score_path_sets(served)
    assert both.energy.tolist() == alone[0].energy.tolist() == alone[0].calibrated_energy.tolist()
    assert both.calibrated_energy.tolist() == alone[1].energy.tolist()
    assert both.calibrated_variogram.tolist() == alone[1].variogram.tolist()


def test_the_score_of_a_set_does_not_depend_on_its_neighbours() -> None:
    rng = np.random.default_rng(6)
    paths, outcome = rng.normal(size=(5, 4, 30)), rng.normal(size=(5, 4))

    together = score_path_sets(sets(paths, outcome))
    alone = [score_path_sets(sets(paths[i : i + 1], outcome[i : i + 1])) for i in range(5)]

    assert together.energy.tolist() == [one.energy[0] for one in alone]
    assert together.variogram.tolist() == [one.variogram[0] for one in alone]


def test_below_zero_a_set_is_scored_in_money() -> None:
    paths = np.array([[[-35.0, -41.0]]], dtype=np.float32)
    one = np.ones(1)
    oil = PathSets(np.array([1]), -37.0 * one, 2.0 * one, paths, paths, np.array([[-33.0]]))

    scores = score_path_sets(oil)

    assert scores.energy.tolist() == [(1.0 + 4.0) / 2 - 3.0 / 2]  # dollars in sigmas of 2


@pytest.mark.parametrize(("m", "scale"), [(1, 0.01), (3, 0.0), (3, np.nan)])
def test_a_set_that_cannot_be_judged_is_refused(m: int, scale: float) -> None:
    with pytest.raises(ValueError, match="2 paths are needed"):
        score_path_sets(sets(np.zeros((1, 2, m)), np.zeros((1, 2)), scale=np.array([scale])))
