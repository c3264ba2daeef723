"""Settings of the server."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fastlstm.errors import OptionError
from fastlstm.kernel.loader import usable_cores

ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s?#@]+")
"""An origin as browsers send it in the header Origin."""
MIN_VALUES = {
    "max_body_bytes": 1,
    "max_texts": 1,
    "max_characters": 1,
    "max_requests": 1,
    "max_streams": 1,
    "queue_texts": 1,
    "queue_seconds": 0.001,
    "batch_texts": 1,
    "workers": 1,
    "body_seconds": 0.001,
    "reload_seconds": 0.0,
    "drain_seconds": 0.0,
}
MAX_WORKERS_PER_CORE, MAX_WORKERS_ON_FEW_CORES = 4, 8
"""More worker processes than this only take memory: each has a copy of the models."""
MAX_VALUES = {
    "max_body_bytes": 1 << 30,
    "max_texts": 100_000,
    "max_characters": 100_000_000,
    "max_requests": 100_000,
    "max_streams": 1_000_000,
    "queue_texts": 1_000_000,
    "queue_seconds": 86_400.0,
    "batch_texts": 100_000,
    "body_seconds": 86_400.0,
    "reload_seconds": 86_400.0,
    "drain_seconds": 86_400.0,
}
"""Larger values are mistakes, such as bytes instead of megabytes: no memory or queue would hold them."""


def max_workers() -> int:
    """Return the maximum number of worker processes on this machine."""
    return max(MAX_WORKERS_ON_FEW_CORES, MAX_WORKERS_PER_CORE * usable_cores())


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Models and limits of a server. Limits are inclusive, and apply to each worker process.

    Attributes:
        models: Model folder by name. Requests that name no model use the first one.
        precision: As in `fastlstm.load`, for all models. "auto": the fastest for each model; with several workers, for
            all models together.
        min_agreement: As in `Classifier.predict`, for all models. None: no early exit.
        max_body_bytes: Maximum size of a request body.
        max_texts: Maximum number of texts per request.
        max_characters: Maximum length of a text.
        max_requests: Maximum number of concurrent requests; further requests get status 429.
        max_streams: Maximum number of open streams.
        queue_texts: Maximum number of queued texts per model; further requests get status 429.
        queue_seconds: Maximum estimated time until the queued texts of a model are predicted; as `queue_texts`.
        batch_texts: Maximum number of texts per batch.
        body_seconds: Timeout for receiving a request body.
        cors_origins: Origins whose scripts may use the API from a browser, such as "https://example.com"; "*": all.
        token: Bearer token that requests must send. None: no authentication.
        log_texts: Whether log lines contain the texts of requests.
        reload_seconds: Interval between checks for changed model folders. 0: never reload.
        drain_seconds: Timeout for requests in progress when the server stops.
        workers: Number of worker processes.
    """

    models: Mapping[str, Path]
    precision: str = "float32"
    min_agreement: float | None = None
    max_body_bytes: int = 1_000_000
    max_texts: int = 64
    max_characters: int = 20_000
    max_requests: int = 512
    max_streams: int = 1_000
    queue_texts: int = 256
    queue_seconds: float = 10.0
    batch_texts: int = 128
    body_seconds: float = 10.0
    cors_origins: tuple[str, ...] = ()
    token: str | None = None
    log_texts: bool = False
    reload_seconds: float = 1.0
    drain_seconds: float = 30.0
    workers: int = 1

    def __post_init__(self) -> None:
        if not self.models:
            raise OptionError("no model to serve; expected one or more", code="no-models")
        for name, minimum in MIN_VALUES.items():
            value = getattr(self, name)
            maximum = max_workers() if name == "workers" else MAX_VALUES[name]
            if not minimum <= value <= maximum:
                option = name.replace("_", "-")
                raise OptionError(
                    f"{option} is {value}; expected {minimum:,} to {maximum:,}",
                    code="bad-option-value",
                    option=option,
                    value=value,
                )
        if self.max_texts > self.queue_texts:
            raise OptionError(
                f"max-texts is {self.max_texts} and queue-texts is {self.queue_texts}; expected max-texts <= "
                "queue-texts",
                code="conflicting-options",
                options=("max-texts", "queue-texts"),
            )
        for origin in self.cors_origins:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise OptionError(
                    f"cors-origin is {origin!r}; expected scheme://host or scheme://host:port without a path, or *",
                    code="bad-option-value",
                    option="cors-origin",
                    value=origin,
                )
        if self.token is not None and not self.token:
            raise OptionError("the token is empty; set a non-empty token, or unset it", code="empty-token")
