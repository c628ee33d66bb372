"""The job behind a tunnel with a login: its limits, its cuts, its pages, and what is in the ledger afterwards."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from sqlalchemy import Engine, text

from candlecast.baselines import RandomWalk
from candlecast.forecasts import Forecast, Result, Series, never
from candlecast.instruments import load_instruments
from candlecast.store.instruments import upsert_instruments
from candlecast.store.runs import Item
from jobs.forecasters import HttpForecaster, InferenceAuthError
from jobs.predict import Report, Request, predict
from tests.edge_proxy import edge_before
from tests.small_market import SLOT, Market, crowd

SYMBOLS = [f"GEN{k:03d}" for k in range(23)]
PACED = Request(interval="1h", slot=SLOT, model_name="paced", horizon=120, lookback=200, n_paths=20, replay=True)


class Paced(RandomWalk):
    """The baseline under another name, as slow as it is told."""

    info = replace(RandomWalk.info, name="paced")

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s

    def forecast(
        self,
        series: Sequence[Series],
        *,
        horizon: int,
        n_paths: int,
        base_seed: int = 0,
        cancel: Callable[[], bool] = never,
    ) -> Iterator[Result]:
        for result in super().forecast(series, horizon=horizon, n_paths=n_paths, base_seed=base_seed, cancel=cancel):
            time.sleep(self.pause_s)
            yield result


@pytest.fixture
def forecaster() -> Iterator[Callable[..., HttpForecaster]]:
    """Makes forecasters that do not really sleep, and closes them."""
    made: list[HttpForecaster] = []

    def make(url: str, model_name: str = "paced", **options: Any) -> HttpForecaster:
        made.append(HttpForecaster(url, model_name, **({"sleep": lambda seconds: None} | options)))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def market(engine: Engine) -> Market:
    with engine.begin() as conn:
        upsert_instruments(conn, load_instruments())
    return crowd(Market(engine, (), SLOT), len(SYMBOLS))


def run(market: Market, one: HttpForecaster | None) -> tuple[Report, list[Item]]:
    items: list[Item] = []
    report = predict(market.engine, PACED, forecaster=one, run=None, deadline_s=60, on_item=items.append)
    return report, [item for item in items if item.model_name == "paced"]


def rows(market: Market) -> dict[str, tuple[Any, ...]]:
    query = text(
        "SELECT symbol, model_version, seed, p10, p50, p90, fan, last_close, paths.closes "
        "FROM candlecast.ml_predictions JOIN candlecast.prediction_paths AS paths USING (prediction_id) "
        "WHERE model_name = 'paced'"
    )
    with market.engine.connect() as conn:
        return {row[0]: tuple(row[1:]) for row in conn.execute(query)}


def put_away(market: Market) -> None:
    with market.engine.begin() as conn:
        conn.execute(text("ALTER TABLE candlecast.ml_predictions DISABLE TRIGGER USER"))
        for table in ("prediction_paths", "score_pending", "ml_predictions", "ledger_heads"):
            conn.execute(text(f"DELETE FROM candlecast.{table}"))
        conn.execute(text("ALTER TABLE candlecast.ml_predictions ENABLE TRIGGER USER"))


def asked(body: bytes) -> list[str]:
    return [item["symbol"] for item in orjson.loads(body)["items"]]


def test_after_a_cut_what_came_is_in_the_ledger_and_the_rest_is_the_same_as_without_the_cut(
    serve: Any, market: Market, forecaster: Any
) -> None:
    url = serve(Paced(0)).url
    whole = forecaster(url)
    whole.item_s = 0.01  # measured before: all 23 fit into one request
    run(market, whole)
    wanted = rows(market)
    assert sorted(wanted) == SYMBOLS
    put_away(market)
    posts: list[tuple[list[str], int]] = []

    with edge_before(url, cuts=[7], on_post=lambda body: posts.append((asked(body), len(rows(market))))) as edge:
        one = forecaster(edge.url)
        one.item_s = 0.01
        report, items = run(market, one)

    assert posts == [(SYMBOLS, 0), (SYMBOLS[7:], 7)]  # at the second request the 7 were on record
    assert {item.outcome for item in items} == {"ok"}
    assert report.model_down is None
    assert rows(market) == wanted


def test_heartbeats_carry_a_long_answer_through_an_impatient_tunnel(
    serve: Any, market: Market, forecaster: Any
) -> None:
    # In all 23 x 0.1 s, more than twice what the tunnel bears in silence.
    served = serve(Paced(0.1), heartbeat_s=0.02)

    with edge_before(served.url, idle_s=1.0) as edge:
        report, _ = run(market, forecaster(edge.url))

    assert report.model_down is None
    assert sorted(rows(market)) == SYMBOLS
    assert set(edge.statuses) == {200}


def test_a_tunnel_that_buffers_and_gives_up_is_asked_for_less_at_a_time(
    serve: Any, series_of: Any, forecaster: Any
) -> None:
    series = [series_of(symbol) for symbol in SYMBOLS]
    served = serve(Paced(0.1), heartbeat_s=0.02)

    with edge_before(served.url, idle_s=0.5, buffering=True) as edge:
        made = list(forecaster(edge.url).forecast(series, horizon=6, n_paths=10))

    assert [one.symbol for one in made if isinstance(one, Forecast)] == SYMBOLS
    assert 524 in edge.statuses


def test_a_tunnel_that_takes_small_bodies_only_is_sent_small_ones(serve: Any, series_of: Any, forecaster: Any) -> None:
    series, sizes = [series_of(symbol) for symbol in SYMBOLS], []

    with edge_before(serve(Paced(0)).url, body_limit=25_000, on_post=lambda body: sizes.append(len(body))) as edge:
        made = list(forecaster(edge.url).forecast(series, horizon=6, n_paths=10))

    assert [one.symbol for one in made if isinstance(one, Forecast)] == SYMBOLS
    assert 413 in edge.statuses
    assert max(sizes) <= 25_000


@pytest.mark.parametrize("login", [403, 302, 200])
def test_a_login_page_ends_the_call_is_not_followed_and_nothing_secret_is_told(
    serve: Any, series_of: Any, forecaster: Any, login: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with edge_before(serve().url, access=("canary-id", "canary-other"), login=login) as edge:
        one = forecaster(edge.url, "baseline-rw", access_id="canary-id", access_secret="canary-secret")
        with pytest.raises(InferenceAuthError, match="CF_ACCESS_CLIENT_ID") as refused:
            list(one.forecast([series_of("A")], horizon=6, n_paths=10))

    assert edge.statuses == [login]
    assert edge.n_logins == 0
    assert "canary" not in caplog.text + str(refused.value) + repr(one)


def test_a_job_that_is_not_let_in_issues_the_baseline_and_says_what_to_check(
    serve: Any, market: Market, forecaster: Any
) -> None:
    with edge_before(serve(Paced(0)).url, access=("id", "secret"), login=302) as edge:
        report, items = run(market, forecaster(edge.url))

    assert edge.statuses == [302]
    assert {item.outcome for item in items} == {"failed"}
    assert report.n_written == len(SYMBOLS)
    assert "CF_ACCESS_CLIENT_ID" in (report.model_down or "")


def test_the_service_token_opens_the_tunnel(serve: Any, series_of: Any, forecaster: Any) -> None:
    with edge_before(serve().url, access=("canary-id", "canary-secret")) as edge:
        one = forecaster(edge.url, "baseline-rw", access_id="canary-id", access_secret="canary-secret")
        (made,) = one.forecast([series_of("A")], horizon=6, n_paths=10)

    assert isinstance(made, Forecast)
