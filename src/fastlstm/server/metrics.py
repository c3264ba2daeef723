"""What Prometheus scrapes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The variable with the folder in which prometheus_client sums up several processes."""
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
        self.going = self._gauge("fastlstm_requests_going", "Requests being answered.")
        self.texts = Counter("fastlstm_texts", "Texts answered.", ["model"], registry=self.registry)
        self.batches = Histogram(
            "fastlstm_batch_texts", "Texts read together.", ["model"], buckets=SIZES, registry=self.registry
        )
        self.waiting = self._gauge("fastlstm_waiting_texts", "Texts that wait.", ["model"])
        self.versions = self._gauge("fastlstm_model_version", "Times loaded.", ["model"], several="livemax")
        self.streams = self._gauge("fastlstm_streams", "Conversations open.")

    def _gauge(
        self,
        name: str,
        what: str,
        labels: Sequence[str] = (),
        *,
        several: Literal["livesum", "livemax"] = "livesum",
    ) -> Gauge:
        return Gauge(name, what, labels, multiprocess_mode=several, registry=self.registry)

    def batch(self, model: str, texts: int) -> None:
        """Texts were read together."""
        self.batches.labels(model).observe(texts)
        self.texts.labels(model).inc(texts)

    def exposition(self) -> bytes:
        """The metrics as they stand, of all processes that serve beside this one."""
        registry = self.registry
        if SHARED in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
