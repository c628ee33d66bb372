"""What is learned from ends before the cutoff that the card names, and a window is scaled by its own lookback."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from candlecast.clock import INTERVALS, Interval  # noqa: E402
from candlecast.forecasts import CLOSE  # noqa: E402
from inference_server.pretraining.evaluation import STEPS, origins  # noqa: E402
from inference_server.pretraining.histories import History, load_histories  # noqa: E402
from inference_server.pretraining.objectives import predictor_objective  # noqa: E402
from inference_server.pretraining.recipe import nano  # noqa: E402
from inference_server.pretraining.stages import HELD_OUT_FUTURE, Material  # noqa: E402
from inference_server.pretraining.windows import Batch, Place, cut, held_out  # noqa: E402

CUTOFF, END = np.datetime64("2025-01-01", "s"), np.datetime64("2025-07-01", "s")
CPU = torch.device("cpu")


def history(symbol: str = "BTCUSDT", n: int = 2400, start: str = "2024-10-20", interval: Interval = "1h") -> History:
    rng = np.random.default_rng(sum(map(ord, symbol)))
    close = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(n)))
    opening = np.r_[100.0, close[:-1]]
    bars = np.column_stack([opening, np.maximum(opening, close), np.minimum(opening, close), close])
    volume = rng.gamma(2.0, 100.0, n)
    step = np.timedelta64(int(INTERVALS[interval].total_seconds()), "s")
    opened_at = np.datetime64(start, "s") + step * np.arange(n)
    return History(symbol, interval, "crypto", np.column_stack([bars, volume, volume * close]), opened_at)


def poisoned(one: History, first: np.datetime64, factor: float = 1e3) -> History:
    """Bars that open at `first` or later, absurd."""
    bars = one.bars.copy()
    bars[one.opened_at >= first] *= factor
    return replace(one, bars=bars)


HISTORIES = [history(), history("ETHUSDT", 2600), history("SOLUSDT", 900, "2023-01-01", "1d")]


def same(one: Batch, other: Batch) -> bool:
    return all(
        torch.equal(getattr(one, name), getattr(other, name)) for name in ("x", "stamps", "lookback", "bar_sigma")
    )


def test_no_gradient_sees_a_bar_from_the_cutoff_on() -> None:
    recipe = nano()
    clean = Material(HISTORIES, recipe, CPU)
    dirty = Material([poisoned(one, CUTOFF) for one in HISTORIES], recipe, CPU)
    short = Material([one.before(CUTOFF) for one in HISTORIES] + [history("XRPUSDT", 1500, "2025-01-01")], recipe, CPU)

    for k in range(12):
        batch = clean.windows.batch(k, 6)
        assert same(batch, dirty.windows.batch(k, 6))
        assert same(batch, short.windows.batch(k, 6))
    for one in HISTORIES:
        assert one.before(CUTOFF).opened_at[-1] < CUTOFF
        assert len(one.before(CUTOFF).bars) == int((one.opened_at < CUTOFF).sum())


def test_what_stops_the_training_early_ends_with_the_held_out_time() -> None:
    clean = Material(HISTORIES, nano(), CPU)
    long = [history(n=8000), history("ETHUSDT", 8000), history("SOLUSDT", 1200, "2023-01-01", "1d")]
    dirty = [Material([poisoned(one, END) for one in each], nano(), CPU) for each in (long, long)]
    plain = Material(long, nano(), CPU)

    assert len(clean.held_out) > 0
    for one, other in zip(plain.held_out, dirty[0].held_out, strict=True):
        assert same(one, other)
    for place in held_out(long, first=CUTOFF, last=END, length=384, future=HELD_OUT_FUTURE, per_history=3):
        opened = place.history.opened_at[place.start : place.start + place.length]
        assert opened[place.lookback] >= CUTOFF
        assert opened[-1] < END
        assert place.length - place.lookback == HELD_OUT_FUTURE


def test_a_window_is_scaled_by_its_lookback_and_not_by_what_follows() -> None:
    for one in HISTORIES:
        for start, length, lookback in ((10, 200, 150), (300, 384, 200), (400, 100, 60)):
            place = Place(one, start, length, lookback)
            clean = cut([place])
            dirty = cut([replace(place, history=poisoned(one, one.opened_at[start + lookback], 2.0))])
            assert torch.equal(clean.x[:, :lookback], dirty.x[:, :lookback])
            assert torch.equal(clean.bar_sigma, dirty.bar_sigma)
            past = one.bars[start : start + lookback]
            wanted = (one.bars[start : start + length] - past.mean(axis=0)) / past.std(axis=0)
            assert np.allclose(clean.x[0].numpy(), np.clip(wanted, -5, 5), atol=2e-3)


def test_the_last_ids_of_a_window_are_targets_and_no_inputs() -> None:
    """Losses of bars before a changed one stay; so nothing is predicted from itself."""
    seen: list[tuple[Any, Any]] = []

    class Ears:
        """Notes what the trunk is shown."""

        def context(self, s1: Any, s2: Any, stamps: Any) -> Any:
            seen.append((s1, s2))
            return torch.zeros(*s1.shape, 4)

        def s1_logits(self, context: Any) -> Any:
            return torch.zeros(len(context), 8)

        def dep_layer(self, context: Any, query: Any, form: str) -> Any:
            assert form == "rollout"
            return context

        embedding = SimpleNamespace(emb_s1=lambda ids: ids)
        head = SimpleNamespace(proj_s2=lambda rows: torch.zeros(len(rows), 8))

    ids = torch.arange(8)[None], torch.arange(8).flip(0)[None]
    batch = Batch(torch.zeros(1, 8, 6), torch.zeros(1, 8, 5), torch.tensor([5]), torch.ones(1))
    loss = predictor_objective(Ears(), ids, batch, everywhere=False)  # type: ignore[arg-type]

    assert seen[0][0].tolist() == ids[0][:, :-1].tolist()
    assert seen[0][1].tolist() == ids[1][:, :-1].tolist()
    assert loss.parts["s1"] == pytest.approx(np.log(8.0), rel=1e-6)


@pytest.mark.parametrize("interval", ["1h", "1d"])
def test_an_evaluated_origin_knows_nothing_of_its_outcomes(interval: Interval) -> None:
    one = history(n=5200) if interval == "1h" else history(n=1000, start="2023-01-01", interval="1d")
    step = np.timedelta64(int(INTERVALS[interval].total_seconds()), "s")
    found = origins([one], first=CUTOFF, last=END, lookback=120, per_history=4)
    assert len(found) == 4
    for k, origin in enumerate(found):
        issued = np.datetime64(origin.series.issued_at.replace(tzinfo=None), "s")
        again = origins([poisoned(one, issued)], first=CUTOFF, last=END, lookback=120, per_history=4)[k]
        assert np.array_equal(origin.series.ohlcv, again.series.ohlcv)
        assert np.array_equal(origin.series.opened_at, again.series.opened_at)
        assert origin.scale == again.scale
        assert origin.series.opened_at[-1] == issued - step
        assert origin.series.target_opened_at[0] == issued
        # The h-th outcome is the close of the bar that opens h - 1 bars after the issue.
        place = int(np.searchsorted(one.opened_at, issued))
        for h, outcome in zip(STEPS, origin.outcome, strict=True):
            opened = issued + (h - 1) * step
            inside = CUTOFF <= opened < END and place + h - 1 < len(one.bars)
            if inside:
                assert outcome == one.bars[place + h - 1, CLOSE]
            else:
                assert np.isnan(outcome)

    assert origins([one], first=CUTOFF, last=END, lookback=120, per_history=4)[0].series.issued_at.year >= 2024


def test_histories_are_read_in_time_order_without_filling(tmp_path: Any) -> None:
    folder = tmp_path / "ohlcv_1h"
    folder.mkdir()
    lines = ["ts,open,high,low,close,volume", "2024-01-01T05:00Z,5,6,4,5,1", "2024-01-01T01:00Z,1,2,0.5,1,1"]
    lines += ["2024-01-01T02:00Z,2,3,1,,1", "2024-01-01T03:00Z,3,4,2,3,1", "2024-01-01T03:00Z,9,9,9,9,1"]
    (folder / "BTCUSDT.csv").write_text("\n".join(lines) + "\n")

    one = load_histories(tmp_path)[0]

    assert one.bars[:, CLOSE].tolist() == [1.0, 3.0, 5.0]
    assert one.opened_at.astype("datetime64[h]").astype(str).tolist() == [f"2024-01-01T0{h}" for h in (1, 3, 5)]
