"""What the gateway tells Prometheus. Labels are route templates and listed symbols, never text from a request.

The counts are plain numbers, since one event loop does all the counting and the telling: a third of the cost of the
client library's own counters, which matters where a whole answer takes a few microseconds.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)
METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})

# Name, what it says, label names -> rows of (label values, value).
Reading = tuple[str, str, tuple[str, ...], list[tuple[tuple[str, ...], float]]]


class Durations:
    """How long the answers of one route took, by bucket."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)  # the last one is above every bound
        self.total_s = 0.0

    def observe(self, seconds: float) -> None:
        """One more answer."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total_s += seconds


class Metrics(Collector):
    """The counts of one gateway process.

    `readings` gives the gauges, read when Prometheus asks.
    """

    def __init__(self, readings: Callable[[], Iterator[Reading]]) -> None:
        self._readings = readings
        self.requests: Counter[tuple[str, str, str]] = Counter()  # by route, method, code
        self.durations: dict[str, Durations] = {}
        self.cache_requests = Counter(dict.fromkeys(("hit", "stale", "miss", "negative", "error"), 0))
        self.refreshes = Counter(dict.fromkeys(("ok", "failed"), 0))
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def durations_of(self, route: str) -> Durations:
        """The durations of a route, to be added to."""
        return self.durations.setdefault(route, Durations())

    def count(self, route: str, method: str, code: int, seconds: float) -> None:
        """One answered request."""
        self.requests[route, method if method in METHODS else "other", str(code)] += 1
        self.durations_of(route).observe(seconds)

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing before it is asked: the readings need a running gateway."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Everything, for the client library to write down."""
        requests = CounterMetricFamily(
            "gateway_http_requests", "Requests answered.", labels=("route", "method", "code")
        )
        for labels, n in self.requests.items():
            requests.add_metric(labels, n)
        yield requests
        durations = HistogramMetricFamily(
            "gateway_http_request_duration_seconds",
            "From the request's headers to the end of the answer.",
            labels=("route",),
        )
        for route, seen in self.durations.items():
            running, buckets = 0, []
            for bound, n in zip((*map(str, BUCKETS), "+Inf"), seen.counts, strict=True):
                running += n
                buckets.append((bound, running))
            durations.add_metric((route,), buckets, seen.total_s)
        yield durations
        yield _counter(
            "gateway_cache_requests",
            "Look-ups by result: hit, stale (served while it is refreshed or cannot be), miss (loaded while the reader "
            "waited), negative (known to have no forecast), error (nothing to serve).",
            "result",
            self.cache_requests,
        )
        yield _counter("gateway_cache_refresh", "Loads of cache entries by outcome.", "outcome", self.refreshes)
        limited = sum(n for (_, _, code), n in self.requests.items() if code == "429")
        yield CounterMetricFamily(
            "gateway_rate_limited", "Requests refused because their client asks too often.", limited
        )
        for name, text, label_names, rows in self._readings():
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = kind(name, text, labels=label_names)
            for values, value in rows:
                family.add_metric(values, value)
            yield family


def _counter(name: str, text: str, label: str, counts: Counter[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, n in counts.items():
        family.add_metric((value,), n)
    return family
