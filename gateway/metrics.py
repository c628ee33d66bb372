"""What the gateway tells Prometheus. Labels are route templates and listed symbols, never text from a request."""

from collections.abc import Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5)
METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})

# Name, what it says, label names -> rows of (label values, value).
Reading = tuple[str, str, tuple[str, ...], list[tuple[tuple[str, ...], float]]]


class Metrics:
    """The counters of one gateway process.

    `readings` gives the gauges, read when Prometheus asks.
    """

    def __init__(self, readings: Callable[[], Iterator[Reading]]) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "gateway_http_requests_total", "Requests answered.", ["route", "method", "code"], registry=self.registry
        )
        self.durations = Histogram(
            "gateway_http_request_duration_seconds",
            "From the request's headers to the end of the answer.",
            ["route"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.cache_requests = Counter(
            "gateway_cache_requests_total",
            "Look-ups by result: hit, stale (served while it is refreshed or cannot be), miss (loaded while the "
            "reader waited), negative (known to have no forecast), error (nothing to serve).",
            ["result"],
            registry=self.registry,
        )
        self.refreshes = Counter(
            "gateway_cache_refresh_total", "Loads of cache entries by outcome.", ["outcome"], registry=self.registry
        )
        for result in ("hit", "stale", "miss", "negative", "error"):
            self.cache_requests.labels(result)
        for outcome in ("ok", "failed"):
            self.refreshes.labels(outcome)
        self.registry.register(_Gauges(readings))

    def count(self, route: str, method: str, code: int, seconds: float) -> None:
        """One answered request."""
        self.requests.labels(route, method if method in METHODS else "other", str(code)).inc()
        self.durations.labels(route).observe(seconds)

    def text(self) -> bytes:
        """The exposition format of Prometheus."""
        return generate_latest(self.registry)


class _Gauges(Collector):
    def __init__(self, readings: Callable[[], Iterator[Reading]]) -> None:
        self._readings = readings

    def describe(self) -> list[GaugeMetricFamily]:
        return []  # the readings need a running gateway; names do not clash with the counters

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, text, labels, rows in self._readings():
            family = GaugeMetricFamily(name, text, labels=labels)
            for values, value in rows:
                family.add_metric(values, value)
            yield family
