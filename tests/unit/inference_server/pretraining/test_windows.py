import dataclasses

import numpy as np
import pytest

from inference_server.pretraining.recipe import HELD_OUT_UNTIL, TRAIN_UNTIL
from inference_server.pretraining.windows import Place, Windows, cut, held_out
from tests.unit.inference_server.pretraining.generated import history


def test_a_window_is_scaled_by_its_lookback_alone() -> None:
    one = history()
    poisoned = dataclasses.replace(one, bars=one.bars.copy())
    poisoned.bars[60:] *= 7.0
    mine, theirs = (cut([Place(each, 0, 80, 60)]) for each in (one, poisoned))
    np.testing.assert_array_equal(mine.x[:, :60], theirs.x[:, :60])
    np.testing.assert_array_equal(mine.bar_sigma, theirs.bar_sigma)
    closes = mine.x[0, :60, 3].numpy()
    assert closes.mean() == pytest.approx(0.0, abs=1e-5)
    assert closes.std() == pytest.approx(1.0, abs=1e-3)


def test_bars_after_the_lookback_are_clipped_to_five_as_a_forecast_clips_them() -> None:
    one = history()
    one.bars[60:] *= 50.0
    assert float(cut([Place(one, 0, 80, 60)]).x[0, 60:].max()) == 5.0


def test_a_batch_is_a_function_of_seed_and_number_alone() -> None:
    histories = [history("BTCUSDT"), history("ETHUSDT")]
    fresh, used = (Windows(histories, length=64, seed=3) for _ in range(2))
    for k in range(5):
        used.batch(k, 4)
    np.testing.assert_array_equal(fresh.batch(7, 4).x, used.batch(7, 4).x)
    assert not np.array_equal(fresh.batch(7, 4).x, fresh.batch(8, 4).x)


def test_no_training_window_knows_a_bar_of_the_held_out_time() -> None:
    """Poison every bar from TRAIN_UNTIL on: no batch may change."""
    one = history(n=700)
    assert one.opened_at[-1] > TRAIN_UNTIL
    poisoned = dataclasses.replace(one, bars=one.bars.copy())
    poisoned.bars[one.first_from(TRAIN_UNTIL) :] = 1e9
    mine, theirs = (Windows([each.before(TRAIN_UNTIL)], length=64, seed=0) for each in (one, poisoned))
    for k in range(50):
        np.testing.assert_array_equal(mine.batch(k, 4).x, theirs.batch(k, 4).x)


def test_the_future_of_a_held_out_window_lies_in_the_held_out_time() -> None:
    one = history(n=900)
    places = held_out([one], first=TRAIN_UNTIL, last=HELD_OUT_UNTIL, length=128, future=24, per_history=6)
    assert len(places) == 6
    for place in places:
        opened_at = one.opened_at[place.start : place.start + place.length]
        assert opened_at[place.lookback] >= TRAIN_UNTIL
        assert opened_at[-1] < HELD_OUT_UNTIL


def test_shards_hold_the_same_windows_in_the_same_order() -> None:
    batch = Windows([history()], length=64, seed=0).batch(0, 6)
    shards = batch.shards(3)
    assert [len(each.x) for each in shards] == [2, 2, 2]
    np.testing.assert_array_equal(np.concatenate([each.x for each in shards]), batch.x)


def test_classes_are_met_equally_often_however_many_symbols_they_have() -> None:
    coins = [history(f"COIN{i}") for i in range(9)]
    share = dataclasses.replace(history("AAPL"), asset_class="equity")
    share.bars[:, 4:] = 0.0  # known by its missing volume
    windows = Windows([*coins, share], length=64, seed=0)
    volume = np.concatenate([windows.batch(k, 50).x[..., 4] for k in range(20)])
    assert (volume == 0).all(axis=1).mean() == pytest.approx(0.5, abs=0.06)  # 4 standard errors of 1,000 draws
