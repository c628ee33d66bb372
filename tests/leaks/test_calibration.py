"""A band is corrected by outcomes that were known when it was issued: no immature one, no later one, of nobody."""

import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sqlalchemy import Connection, Engine, text

from candlecast.calibration import Correction, Labels, Tracker, corrected, replay
from candlecast.forecasts import LEVELS
from candlecast.scoring import SCORED_STEPS
from candlecast.store.calibration import Asked, Moment, read_corrections
from candlecast.store.embedded import EmbeddedPostgres
from candlecast.store.engine import create_engine
from candlecast.store.predictions import PredictionRow, insert_predictions
from jobs.predict import Request, predict
from tests.conftest import drop_database, run_sql
from tests.leaks.asof import REQUEST, forget, poison
from tests.leaks.world import HOUR, SETTLE, SYMBOLS, World, fill, instrument
from tests.overconfident import NAME, Overconfident

pytestmark = pytest.mark.xdist_group("leaks-calibration")  # one database for all

SLOTS = [datetime(2024, 10, 28, 0, 55, tzinfo=UTC) + k * timedelta(hours=5) for k in range(100)]
LATEST = SLOTS[-1]
MOMENTS = [LATEST - timedelta(hours=h, minutes=m) for h, m in ((0, 55), (31, 55), (97, 55), (190, 13))]
STEPS = (1, 4, 24)
Z = norm.ppf(LEVELS)
CLASSES = {symbol: instrument(symbol).asset_class for symbol in SYMBOLS}


@cache
def said() -> list[PredictionRow]:
    """Bands half as wide as they should be, of every symbol, from the newest bar of each slot on."""
    world, rows = World.of(), {}
    for symbol in SYMBOLS:
        bars = world.bars[(world.bars["symbol"] == symbol) & (world.bars["interval"] == "1h")]
        closes = [at.to_pydatetime() for at in bars["closed_at"]]
        for slot in SLOTS:
            known = bars[bars["closed_at"] + pd.Timedelta(seconds=SETTLE[symbol]) <= pd.Timestamp(slot)]
            issued_at, last = known["closed_at"].iloc[-1].to_pydatetime(), float(known["close"].iloc[-1])
            ahead = [at for at in closes if at > issued_at][:24]
            # Targets by the bars that came; where one is missing the next one's hour stands for it.
            fan = last * np.exp(0.5 * 0.007 * np.sqrt(np.arange(1, 25))[:, None] * Z)
            rows[symbol, issued_at] = PredictionRow(
                symbol=symbol,
                interval="1h",
                model_name=NAME,
                model_version="ab" * 32,
                issued_at=issued_at,
                horizon=24,
                target_at=ahead,
                last_close=last,
                scale=0.007,
                p10=fan[:, 1],
                p50=fan[:, 5],
                p90=fan[:, 9],
                fan=fan,
                seed=1,
                n_paths=0,
                lookback_start=issued_at - 99 * HOUR,
                lookback_end=issued_at,
                data_hash="cd" * 32,
                event_context={},
                synthetic=False,
                replay=True,
            )
    return list(rows.values())


@pytest.fixture(scope="module")
def taught(postgres: EmbeddedPostgres, template: str, world: World) -> Iterator[Engine]:
    """The world with three weeks of forecasts in it, before and after every moment that is asked about."""
    name = f"leaks_{uuid.uuid4().hex}"
    run_sql(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    engine = create_engine(postgres.url(name), application_name="leaks")
    fill(engine, world)
    with engine.begin() as conn:
        insert_predictions(conn, said(), scored_steps=STEPS, fence=None)
    yield engine
    engine.dispose()
    drop_database(postgres, name)


@cache
def all_labels() -> Labels:
    """Every outcome that ever came, and when it may teach: closed, settled and arrived, at the next full hour.

    It is the close that the bar had at that moment.
    """
    world, found = World.of(), []
    replaced: dict[tuple[str, pd.Timestamp], list[tuple[pd.Timestamp, float]]] = {}
    for one in world.revisions[world.revisions["interval"] == "1h"].itertuples():
        replaced.setdefault((one.symbol, one.ts), []).append((one.revised_at, one.old_close))
    bars = world.bars[world.bars["interval"] == "1h"]
    by_close = {(row.symbol, row.closed_at.to_pydatetime()): row for row in bars.itertuples()}
    for row in said():
        for step in STEPS:
            bar = by_close[row.symbol, row.target_at[step - 1]]
            known_at = max(bar.closed_at + pd.Timedelta(seconds=SETTLE[row.symbol]), bar.first_seen).ceil("h")
            after = [old for at, old in replaced.get((row.symbol, bar.ts), []) if at > known_at]
            outcome = after[0] if after else bar.close
            found.append((row.symbol, step, row.issued_at, known_at, row.last_close, row.fan[step - 1], outcome))
    symbol, step, issued_at, known_at, last_close, fan, outcome = map(list, zip(*found, strict=True))
    return Labels(
        symbol=np.array(symbol),
        step=np.array(step),
        issued_at=pd.DatetimeIndex(issued_at).tz_localize(None).to_numpy().astype("datetime64[s]"),
        known_at=pd.DatetimeIndex(known_at).tz_localize(None).ceil("h").to_numpy().astype("datetime64[s]"),
        last_close=np.array(last_close),
        fan=np.array(fan),
        outcome=np.array(outcome),
    )


def tracker() -> Tracker:
    return Tracker("1h", SCORED_STEPS["1h"], CLASSES)


def second(at: datetime) -> np.datetime64:
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "s")


def wanted(at: datetime) -> dict[str, Correction]:
    """The corrections of every symbol by the labels known at `at`, learned in one go."""
    learned, labels = tracker(), all_labels()
    learned.learn(labels.where(labels.known_at <= second(at)))
    return {symbol: learned.correction(symbol) for symbol in SYMBOLS}


def ask(conn: Connection, at: datetime, *, store: bool = False) -> dict[str, Correction]:
    asked = [Asked(symbol, Moment(False, at)) for symbol in SYMBOLS]
    while (found := read_corrections(conn, "1h", NAME, asked, store=store)) is None:
        pass
    return {one.symbol: correction for one, correction in found.items()}


def assert_equal(found: dict[str, Correction], expected: dict[str, Correction]) -> None:
    for symbol, one in expected.items():
        assert np.array_equal(found[symbol].n_eff, one.n_eff), symbol
        assert np.array_equal(found[symbol].factors, one.factors), symbol


@pytest.mark.parametrize("at", MOMENTS, ids=[f"{at:%m%dT%H%M}" for at in MOMENTS])
def test_a_correction_is_learned_from_what_was_known(taught: Engine, at: datetime) -> None:
    with taught.connect() as conn, conn.begin() as transaction:
        found = ask(conn, at)
        transaction.rollback()

    assert_equal(found, wanted(at))
    assert any((one.factors != 1.0).any() for one in found.values())


@pytest.mark.parametrize("at", MOMENTS[1:3], ids=[f"{at:%m%dT%H%M}" for at in MOMENTS[1:3]])
def test_neither_a_missing_nor_a_poisoned_future_changes_a_correction(taught: Engine, at: datetime) -> None:
    with taught.connect() as conn, conn.begin() as transaction:
        before = ask(conn, at)
        conn.execute(text("ALTER TABLE candlecast.forecast_steps DISABLE TRIGGER USER"))
        inside = conn.begin_nested()
        forget(conn, at)
        conn.execute(text("DELETE FROM candlecast.forecast_steps WHERE issued_at > :at"), {"at": at})
        truncated = ask(conn, at)
        inside.rollback()
        poison(conn, at, "numbers")
        conn.execute(
            text("UPDATE candlecast.forecast_steps SET last_close = 1e6, fan = array_fill(5.0::float8, ARRAY[11])"
                 " WHERE issued_at >= :at"), {"at": at}
        )  # fmt: skip
        poisoned = ask(conn, at)
        transaction.rollback()

    assert_equal(truncated, before)
    assert_equal(poisoned, before)


def test_snapshots_of_later_moments_teach_nobody_before_them(taught: Engine) -> None:
    """Asked in any order, and with the cache of the last question: the answer of an empty cache."""
    with taught.connect() as conn, conn.begin() as transaction:
        for at in (MOMENTS[0], MOMENTS[2], MOMENTS[1], MOMENTS[3], MOMENTS[2], MOMENTS[0]):
            assert_equal(ask(conn, at, store=True), wanted(at))
        transaction.rollback()


def test_the_job_serves_the_band_that_was_known_at_the_issue(taught: Engine) -> None:
    request = Request(interval="1h", slot=LATEST, **{**REQUEST, "model_name": NAME, "n_paths": 0})  # type: ignore[arg-type]
    with taught.begin() as conn:
        conn.execute(text("ALTER TABLE candlecast.ml_predictions DISABLE TRIGGER append_only"))
        # The newest of the record make room for those that the job is about to issue.
        query = "DELETE FROM candlecast.ml_predictions WHERE issued_at > :at AND model_name = :name"
        conn.execute(text(query), {"at": LATEST - 3 * HOUR, "name": NAME})
        conn.execute(text("ALTER TABLE candlecast.ml_predictions ENABLE TRIGGER append_only"))
    predict(taught, request, forecaster=Overconfident(), run=None, deadline_s=60)

    with taught.connect() as conn:
        query = text("SELECT * FROM candlecast.ml_predictions WHERE issued_at > :at AND model_name = :name")
        served = list(conn.execute(query, {"at": LATEST - 3 * HOUR, "name": NAME}))
        query = text("SELECT count(*) FROM candlecast.ml_predictions WHERE model_name = 'baseline-rw'"
                     " AND calibration IS NOT NULL")  # fmt: skip
        assert conn.execute(query).scalar_one() == 0
    assert len(served) >= 2
    for row in served:
        correction = wanted(row.issued_at)[row.symbol]
        assert np.array_equal(Correction.from_json(row.calibration).factors, correction.factors), row.symbol
        fan = corrected(np.array(row.fan).reshape(-1, 11), row.last_close, correction)
        for name, level in (("p10", 0.1), ("p50", 0.5), ("p90", 0.9)):
            assert np.array_equal(getattr(row, name), fan[:, LEVELS.index(level)]), (row.symbol, name)


def test_what_came_later_changes_no_state_of_before() -> None:
    """In pieces or whole, and whatever the later labels say."""
    labels = all_labels()
    at = second(MOMENTS[2])
    before, after = labels.known_at <= at, labels.known_at > at
    whole, pieces = tracker(), tracker()
    whole.learn(labels.where(before))
    edges = np.unique(labels.known_at[before])[::37]
    for low, high in zip([np.datetime64(0, "s"), *edges], [*edges, at], strict=True):
        pieces.learn(labels.where((labels.known_at > low) & (labels.known_at <= high)))
    assert whole.to_json() == pieces.to_json()
    assert Tracker.from_json(whole.to_json()).to_json() == whole.to_json()

    shuffled = np.random.default_rng(1).permutation(np.flatnonzero(before))
    again = tracker()
    again.learn(labels.where(shuffled))
    assert again.to_json() == whole.to_json()
    with pytest.raises(ValueError, match="known"):
        pieces.learn(labels.where(before))
    assert after.any()


def test_a_replay_of_the_record_uses_matured_labels_only() -> None:
    """Outcomes that were not known at an issue may be anything: its factors stay, bit for bit."""
    labels = all_labels()
    clean = replay(labels, tracker())
    for at in (second(MOMENTS[3]), second(MOMENTS[2]), second(MOMENTS[1])):
        outcome = np.where(labels.known_at > at, labels.outcome * 3.0, labels.outcome)
        dirty = replay(replace(labels, outcome=outcome), tracker())
        issued = labels.issued_at <= at
        assert np.array_equal(clean[issued], dirty[issued])
        assert not np.array_equal(clean, dirty)


def test_a_correction_of_known_outcomes_has_no_skill_on_what_is_random() -> None:
    """Placebo and canary: fed immature outcomes a tracker beats the law that drew them; fed matured ones it cannot."""
    rng = np.random.default_rng(9)
    n = 2500
    issued = np.datetime64("2024-01-01", "s") + np.arange(n) * np.timedelta64(3600, "s")
    moves = rng.normal(0, 0.01, n + 24)
    sums = np.convolve(moves, np.ones(24), "valid")[:n]
    fan = 100.0 * np.exp(0.01 * 24**0.5 * np.tile(Z, (n, 1)))
    labels = Labels(
        symbol=np.full(n, "BTCUSDT"),
        step=np.full(n, 24),
        issued_at=issued,
        known_at=issued + np.timedelta64(24 * 3600 + 10, "s"),
        last_close=np.full(n, 100.0),
        fan=fan,
        outcome=100.0 * np.exp(sums),
    )

    factors = replay(labels, tracker())[600:]

    low, high = factors[:, 1] * np.log(fan[600:, 1] / 100), factors[:, 9] * np.log(fan[600:, 9] / 100)
    y = sums[600:]
    score = np.mean(high - low + 10 * (np.maximum(low - y, 0) + np.maximum(y - high, 0)))
    oracle = np.log(fan[600:, 9] / 100) * 2
    perfect = np.mean(oracle + 10 * np.maximum(np.abs(y) - oracle / 2, 0))
    assert score > 0.97 * perfect
