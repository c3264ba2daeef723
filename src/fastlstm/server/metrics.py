"""What Prometheus scrapes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from fastlstm.server.store import Store

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """One server's; a registry of its own, so that several live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "fastlstm_requests", "Requests answered.", ["path", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "fastlstm_request_seconds", "Seconds to an answer.", ["path"], buckets=SECONDS, registry=self.registry
        )
        self.going = Gauge("fastlstm_requests_going", "Requests being answered.", registry=self.registry)
        self.texts = Counter("fastlstm_texts", "Texts answered.", ["model"], registry=self.registry)
        self.batches = Histogram(
            "fastlstm_batch_texts", "Texts read together.", ["model"], buckets=SIZES, registry=self.registry
        )
        self.waiting = Gauge("fastlstm_waiting_texts", "Texts that wait.", ["model"], registry=self.registry)
        self.versions = Gauge("fastlstm_model_version", "Times loaded.", ["model"], registry=self.registry)
        self.streams = Gauge("fastlstm_streams", "Conversations open.", registry=self.registry)

    def batch(self, model: str, texts: int) -> None:
        """Texts were read together."""
        self.batches.labels(model).observe(texts)
        self.texts.labels(model).inc(texts)

    def exposition(self, store: Store) -> bytes:
        """The metrics as they stand."""
        for served in store:
            self.waiting.labels(served.name).set(served.batcher.waiting)
            self.versions.labels(served.name).set(served.reader.version)
        return generate_latest(self.registry)
