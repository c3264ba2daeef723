"""Prometheus metrics of the server."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
MULTIPROCESS_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable with the folder in which prometheus_client aggregates the workers' metrics."""


class Metrics:
    """The metrics of one server. Each has its own collectors, so that one process can hold several servers."""

    def __init__(self) -> None:
        self._collectors = CollectorRegistry()
        self.requests = Counter(
            "fastlstm_requests", "Completed requests.", ["path", "status"], registry=self._collectors
        )
        self.seconds = Histogram(
            "fastlstm_request_seconds",
            "Duration of requests in seconds.",
            ["path"],
            buckets=SECONDS,
            registry=self._collectors,
        )
        self.requests_in_progress = self._gauge("fastlstm_requests_in_progress", "Requests in progress.")
        self.texts = Counter("fastlstm_texts", "Predicted texts.", ["model"], registry=self._collectors)
        self.batches = Histogram(
            "fastlstm_batch_texts", "Texts per batch.", ["model"], buckets=BATCH_SIZES, registry=self._collectors
        )
        self.waiting = self._gauge("fastlstm_waiting_texts", "Texts in the queue or the current batch.", ["model"])
        self.versions = self._gauge(
            "fastlstm_model_version", "Number of times the model was loaded.", ["model"], aggregation="livemax"
        )
        self.streams = self._gauge("fastlstm_streams", "Open streams.")
        self._request_metrics = cache(
            lambda path, status: (self.requests.labels(path, str(status)), self.seconds.labels(path))
        )

    def _gauge(
        self,
        name: str,
        description: str,
        labels: Sequence[str] = (),
        *,
        aggregation: Literal["livesum", "livemax"] = "livesum",
    ) -> Gauge:
        return Gauge(name, description, labels, multiprocess_mode=aggregation, registry=self._collectors)

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count a completed request and its duration."""
        requests, durations = self._request_metrics(path, status)
        requests.inc()
        durations.observe(seconds)

    def count_batch(self, model: str, texts: int) -> None:
        """Count a completed batch."""
        self.batches.labels(model).observe(texts)
        self.texts.labels(model).inc(texts)

    def exposition(self) -> bytes:
        """Return the metrics in Prometheus's text format, of all worker processes together."""
        collectors = self._collectors
        if MULTIPROCESS_VARIABLE in os.environ:
            collectors = CollectorRegistry()
            MultiProcessCollector(collectors)  # type: ignore[no-untyped-call]
        return generate_latest(collectors)
