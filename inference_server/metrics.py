"""What Prometheus sees of this server."""

import sys
from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from inference_server.idempotency import Results
from inference_server.scheduler import Scheduler

_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
OUTCOMES = ("ok", "replayed", "rejected", "cancelled", "expired", "error", "oom")


class Metrics:
    """One registry per server, so that several can live in one process."""

    def __init__(self, scheduler: Scheduler, results: Results) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "modelserver_requests_total", "Requests to /predict by how they ended", ["outcome"], registry=self.registry
        )
        for outcome in OUTCOMES:
            self.requests.labels(outcome)
        self.queue_seconds = Histogram(
            "modelserver_queue_seconds", "Wait for the turn", registry=self.registry, buckets=_SECONDS
        )
        self.inference_seconds = Histogram(
            "modelserver_inference_seconds", "Work on one request", ["model"], registry=self.registry, buckets=_SECONDS
        )
        self.batch_items = Histogram(
            "modelserver_batch_items",
            "Items of one request",
            registry=self.registry,
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 1024),
        )
        self.oom = Counter("modelserver_oom_total", "Times that memory ran out", registry=self.registry)
        self.model_ready = Gauge(
            "modelserver_model_ready", "1 when the model passed its last trial", ["model"], registry=self.registry
        )
        depth = Gauge("modelserver_queue_depth", "Requests that wait for their turn", registry=self.registry)
        depth.set_function(lambda: scheduler.n_waiting)
        ready = Gauge("modelserver_ready", "1 when new requests are taken", registry=self.registry)
        ready.set_function(lambda: 1 if scheduler.closed is None else 0)
        kept = Gauge("modelserver_results_kept", "Answers kept for their Idempotency-Key", registry=self.registry)
        kept.set_function(lambda: len(results))
        kept_bytes = Gauge("modelserver_results_kept_bytes", "Bytes of those answers", registry=self.registry)
        kept_bytes.set_function(lambda: results.n_bytes)
        self.registry.register(_DeviceMemory())

    def page(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)


class _DeviceMemory(Collector):
    """Memory of the CUDA device, when torch was loaded and has one."""

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("modelserver_vram_bytes", "Memory of the device", labels=["kind"])
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
            free, total = torch.cuda.mem_get_info()
            family.add_metric(["free"], free)
            family.add_metric(["total"], total)
            family.add_metric(["allocated"], torch.cuda.memory_allocated())
            family.add_metric(["peak"], torch.cuda.max_memory_allocated())
        yield family
