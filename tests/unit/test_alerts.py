"""The alert rules on simulated days: silent while all is well, weekends included, and each on what it is about."""

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pytest
import yaml

from candlecast.clock import SCHEDULES, missed_slots, slot_at
from candlecast.freshness import expected_next_at
from candlecast.instruments import load_instruments
from candlecast.sessions import Sessions
from gateway.content.jobs import Attempt, Job
from gateway.content.readings import breaker_readings, forecast_readings, job_readings
from gateway.content.status import OnRecord
from gateway.probe import ServerSeen
from tests.promql import Labels, Node, NotPromQL, Scrape, evaluate, parse, seconds_of

RULES: Final = Path(__file__).resolve().parents[2] / "ops" / "prometheus" / "alerts.yml"
TICK: Final = timedelta(minutes=5)
CALENDARS: Final = {
    one.symbol: one.calendar for one in load_instruments() if one.symbol in ("BTCUSDT", "EURUSD", "AAPL")
}
KEPT: Final = timedelta(hours=2)  # the longest range of any rule
WEDNESDAY: Final = datetime(2025, 6, 25, 12, 0, tzinfo=UTC)
FRIDAY: Final = datetime(2025, 6, 27, 12, 0, tzinfo=UTC)
BATCH: Final = "kronos-batch-1h"


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    expression: Node
    lasting_s: float


def rules() -> list[Rule]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [
        Rule(rule["alert"], parse(rule["expr"]), seconds_of(rule.get("for", "0s")))
        for group in groups
        for rule in group["rules"]
    ]


@dataclass
class World:
    """A house whose jobs run on time while `alive` says so, scraped every five minutes.

    counters : added to at every tick, by name and labels
    """

    symbols: tuple[str, ...] = tuple(CALENDARS)
    alive: Callable[[str, datetime], bool] = lambda job, now: True
    reachable: Callable[[datetime], bool] = lambda now: True
    server: Callable[[datetime], bool] = lambda now: True
    whole: bool = True
    per_tick: dict[str, dict[Labels, float]] = field(default_factory=dict)
    forecasts: dict[tuple[str, str], tuple[datetime, datetime]] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    counters: dict[str, dict[Labels, float]] = field(default_factory=dict)
    scrapes: list[Scrape] = field(default_factory=list)
    since: dict[tuple[str, Labels], float] = field(default_factory=dict)

    def run(self, start: datetime, end: datetime) -> Iterator[tuple[datetime, set[tuple[str, str]]]]:
        """After each tick, the alerts that fire, each with the instrument or job that it is about."""
        known, now = rules(), start
        for job in SCHEDULES:  # everything ran before
            self._ran(job, slot_at(SCHEDULES[job], start))
        while now <= end:
            for job, cron in SCHEDULES.items():
                slot = slot_at(cron, now)
                if slot > now - TICK and self.alive(job, now):
                    self._ran(job, slot)
            self._scrape(now)
            yield now, self._firing(known, now.timestamp())
            now += TICK

    def _ran(self, job: str, slot: datetime) -> None:
        before = self.jobs.get(job)
        missed = (
            0 if before is None else before.n_missed + len(missed_slots(SCHEDULES[job], before.attempts[0].slot, slot))
        )
        ended = slot + timedelta(minutes=1)
        self.jobs[job] = Job(job, (Attempt(slot, "ok", slot, ended, 23),), ended, missed, 0)
        if job.startswith("kronos-batch"):
            for symbol in self.symbols:
                self.forecasts[symbol, job[-2:]] = self._newest(symbol, job[-2:], slot)

    def _newest(self, symbol: str, interval: str, slot: datetime) -> tuple[datetime, datetime]:
        """When the newest bar that the slot could read had closed, and when the next forecast is due."""
        opened, closed = Sessions.of(CALENDARS[symbol]).scheduled(
            interval, slot - timedelta(days=8), slot + timedelta(days=8)
        )
        there = int(np.searchsorted(closed, np.datetime64(slot.replace(tzinfo=None), "s"), side="right"))
        issued, following = (closed[place].astype(datetime).replace(tzinfo=UTC) for place in (there - 1, there))
        assert len(opened) > there
        return issued, expected_next_at(interval, issued, [following])

    def _scrape(self, now: datetime) -> None:
        listed = [
            SimpleNamespace(
                symbol=symbol,
                outlines=[
                    SimpleNamespace(interval=interval, model_name="kronos", issued_at=issued, expected_next_at=due)
                ],
            )
            for (symbol, interval), (issued, due) in self.forecasts.items()
        ]
        checked = {"at": (WEDNESDAY - timedelta(days=1)).isoformat(), "status": "ok" if self.whole else "failed"}
        known = OnRecord(now, tuple(self.jobs.values()), verified=checked)
        database: Any = SimpleNamespace(reachable=self.reachable(now))
        samples: dict[str, dict[Labels, float]] = {}
        for readings in (
            forecast_readings(listed, now),  # type: ignore[arg-type]
            job_readings(known),
            breaker_readings(database, ServerSeen(self.server(now), now)),
        ):
            for name, _, labels, rows in readings:
                samples[name] = {frozenset(zip(labels, values, strict=True)): value for values, value in rows}
        for name, added in self.per_tick.items():
            counted = self.counters.setdefault(name, {})
            for labels_of, value in added.items():
                counted[labels_of] = counted.get(labels_of, 0.0) + value
            samples[name] = dict(counted)
        self.scrapes = [one for one in self.scrapes if one.at > (now - KEPT).timestamp()]
        self.scrapes.append(Scrape(now.timestamp(), samples))

    def _firing(self, known: list[Rule], now: float) -> set[tuple[str, str]]:
        holding: dict[tuple[str, Labels], float] = {}
        firing = set()
        for rule in known:
            found = evaluate(rule.expression, self.scrapes, now)
            assert isinstance(found, dict)
            for labels in found:
                since = self.since.get((rule.name, labels), now)
                holding[rule.name, labels] = since
                if now - since >= rule.lasting_s:
                    about = dict(labels)
                    firing.add((rule.name, about.get("symbol", about.get("job", ""))))
        self.since = holding
        return firing


def at_end(world: World, start: datetime, end: datetime) -> set[tuple[str, str]]:
    """What fires at the last tick."""
    *_, (_, firing) = world.run(start, end)
    return firing


def test_from_friday_to_monday_nothing_fires_while_all_is_well() -> None:
    world = World()
    fired = {alert for _, firing in world.run(FRIDAY, FRIDAY + timedelta(days=3)) for alert in firing}

    assert fired == set()
    ages = [scrape.samples["forecast_prediction_age_seconds"] for scrape in world.scrapes]
    assert ages, "it was scraped"


def test_after_two_hours_without_the_job_exactly_the_stale_alert_holds() -> None:
    killed = WEDNESDAY + timedelta(minutes=56)  # just after the slot of 12:55
    world = World(alive=lambda job, now: job != BATCH or now < killed)

    assert at_end(world, WEDNESDAY, killed + timedelta(hours=2)) == {
        ("NoFreshForecast", "BTCUSDT"),
        ("NoFreshForecast", "EURUSD"),
    }, "AAPL has had no new bar yet: its session began at 13:30"


def test_a_job_that_was_away_over_a_weekend_is_missed_by_nobody_whose_venue_was_closed() -> None:
    killed = FRIDAY + timedelta(hours=20)  # Saturday 08:00
    world = World(symbols=("EURUSD", "AAPL"), alive=lambda job, now: job != BATCH or now < killed)

    assert at_end(world, FRIDAY, killed + timedelta(hours=2)) == set()


def test_a_job_that_comes_back_tells_what_it_missed_and_is_fresh_again() -> None:
    killed = WEDNESDAY + timedelta(minutes=56)
    world = World(alive=lambda job, now: job != BATCH or not killed < now < killed + timedelta(minutes=170))
    firing = at_end(world, WEDNESDAY, killed + timedelta(hours=3, minutes=24))

    assert firing == {("SlotMissed", BATCH)}
    assert world.jobs[BATCH].n_missed == 2, "13:55 and 14:55; 15:55 was done"


def test_a_job_that_stays_away_is_overdue_after_three_hours() -> None:
    killed = WEDNESDAY + timedelta(minutes=56)
    world = World(alive=lambda job, now: job != "score-signals-1h" or now < killed)
    early = at_end(world, WEDNESDAY, killed + timedelta(hours=2))
    late = at_end(World(alive=world.alive), WEDNESDAY, killed + timedelta(hours=4))

    assert (early, late) == (set(), {("ScoringLag", "score-signals-1h")})


@pytest.mark.parametrize(("minutes", "expected"), [(25, set()), (36, {("InferenceServerUnready", "")})])
def test_a_server_may_be_away_for_half_an_hour(minutes: int, expected: set[tuple[str, str]]) -> None:
    gone = WEDNESDAY + timedelta(minutes=20)
    world = World(server=lambda now: now < gone)

    assert at_end(world, WEDNESDAY, gone + timedelta(minutes=minutes)) == expected


def test_a_database_that_is_away_is_told_after_five_minutes() -> None:
    world = World(reachable=lambda now: now < WEDNESDAY + timedelta(minutes=20))

    assert at_end(world, WEDNESDAY, WEDNESDAY + timedelta(minutes=30)) == {("DatabaseAway", "")}


def test_a_broken_ledger_is_told_at_once() -> None:
    assert at_end(World(whole=False), WEDNESDAY, WEDNESDAY) == {("LedgerBroken", "")}


def test_a_gateway_that_tells_nothing_is_told() -> None:
    silent = World(alive=lambda job, now: False)
    for _ in silent.run(WEDNESDAY, WEDNESDAY):
        silent.jobs.clear()
        silent.forecasts.clear()
    now, firing = WEDNESDAY, set()
    while now < WEDNESDAY + timedelta(hours=4):
        now += TICK
        silent._scrape(now)
        firing = silent._firing(rules(), now.timestamp())

    assert firing == {("NoForecastsAtAll", ""), ("JobNeverSucceeded", BATCH)}


def label(**labels: str) -> Labels:
    return frozenset(labels.items())


def answers(code: str, n: float, slow: float = 0.0) -> dict[str, dict[Labels, float]]:
    """Counters per tick: 1,000 good answers, `n` of `code`; a share of `slow` beyond 200 ms."""
    route = {"route": "/showcase/models"}
    bucket = "gateway_http_request_duration_seconds_bucket"
    return {
        "gateway_http_requests_total": {label(code="200", **route): 1000.0, label(code=code, **route): n},
        bucket: {
            label(le="0.2", **route): 1000.0 * (1 - slow),
            label(le="0.5", **route): 1000.0,
            label(le="+Inf", **route): 1000.0,
        },
    }


@pytest.mark.parametrize(
    ("per_tick", "expected"),
    [
        (answers("404", 500), set()),
        (answers("503", 0.5), set()),  # one in two thousand
        (answers("503", 2), {("ServerErrors", "")}),
        (answers("304", 0, slow=0.005), set()),
        (answers("304", 0, slow=0.02), {("SlowAnswers", "")}),
        ({"gateway_cache_requests_total": {label(result="hit"): 99.5, label(result="error"): 0.5}}, set()),
        ({"gateway_cache_requests_total": {label(result="hit"): 98, label(result="error"): 2}}, {("CacheErrors", "")}),
        ({"modelserver_oom_total": {label(): 1}}, {("ModelOutOfMemory", "")}),
        ({"modelserver_requests_total": {label(outcome="ok"): 5}}, set()),
    ],
)  # fmt: skip
def test_answers_are_judged_by_their_shares(
    per_tick: dict[str, dict[Labels, float]], expected: set[tuple[str, str]]
) -> None:
    assert at_end(World(per_tick=per_tick), WEDNESDAY, WEDNESDAY + timedelta(minutes=30)) == expected


def test_every_rule_says_what_is_wrong_and_what_to_do() -> None:
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            assert re.fullmatch("[A-Z][A-Za-z]+", rule["alert"])
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert set(rule["annotations"]) == {"summary", "action"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("sum(a)", {label(): 10.0}),
        ("sum by (x) (a{y=~\"1|2\"})", {label(x="p"): 3.0, label(x="q"): 7.0}),
        ("max by (x) (a) > 3", {label(x="q"): 4.0}),
        ("a{x=\"p\"} and a > 1", {label(x="p", y="2"): 2.0}),
        ("2 * a{y=\"1\"} - 1", {label(x="p", y="1"): 1.0, label(x="q", y="1"): 5.0}),
        ("rate(c[10m])", {label(): 0.1}),
        ("increase(c[10m])", {label(): 30.0}),
        ("absent(nothing{x=\"p\"})", {label(x="p"): 1.0}),
        ("absent(a)", {}),
        ("histogram_quantile(0.5, h)", {label(): 0.15}),
        ("time() - c > 900", {label(): 940.0}),
    ],
)  # fmt: skip
def test_expressions_mean_what_prometheus_means(text: str, value: dict[Labels, float]) -> None:
    a = {label(x="p", y="1"): 1.0, label(x="p", y="2"): 2.0, label(x="q", y="1"): 3.0, label(x="q", y="2"): 4.0}
    # Half of four observations: two of them, the first in (0, 0.1], the second half-way through (0.1, 0.2].
    h = {label(le="0.1"): 1.0, label(le="0.2"): 3.0, label(le="+Inf"): 4.0}
    # 50, 70, then a new process that has counted 10: an increase of 20 and 10.
    scrapes = [
        Scrape(at, {"c": {label(): n}, "a": a, "h": h}) for at, n in ((700.0, 50.0), (850.0, 70.0), (1000.0, 10.0))
    ]

    found = evaluate(parse(text), scrapes, 1000.0)
    expected = value if "time" not in text else {label(): 990.0}

    assert isinstance(found, dict)
    assert found.keys() == expected.keys()
    assert all(math.isclose(found[labels], expected[labels]) for labels in found)


@pytest.mark.parametrize("text", ["sum(a", "a b", "deriv(a[5m])", "a{x=1}", "a >", "rate(a)", ""])
def test_what_is_no_expression_is_refused(text: str) -> None:
    with pytest.raises(NotPromQL):
        evaluate(parse(text), [], 0.0)
