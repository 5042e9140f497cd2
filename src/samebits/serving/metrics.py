"""What /metrics reports to Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """In a registry of its own: two servers in one process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "samebits_requests", "Requests by route and status", ["route", "code"], registry=self.registry
        )
        self.seconds = Histogram(
            "samebits_request_seconds",
            "Seconds until the end of the response",
            ["route"],
            buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
            registry=self.registry,
        )
        self.samples = Counter("samebits_samples", "Samples answered, by outcome", ["outcome"], registry=self.registry)
        self.batch_size = Histogram(
            "samebits_batch_size",
            "Samples of one run of the model",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
            registry=self.registry,
        )
        self.in_progress = Gauge("samebits_requests_in_progress", "Requests in progress", registry=self.registry)
        self.waiting = Gauge("samebits_waiting_samples", "Samples that wait for the model", registry=self.registry)
        self.model = Gauge("samebits_model", "1 for the model that is served", ["sha256"], registry=self.registry)
