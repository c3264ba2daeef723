"""Rejection of requests while the queues are full, at the lowest cost: under overload, most requests are rejected.

The response is sent before the body is received and without a request context. The HTTP server discards the body.
"""

from __future__ import annotations

import logging
import math
import os
import re
import time
from functools import cache

from starlette.types import Scope, Send

from fastlstm.server.errors import APIError, overloaded_error
from fastlstm.server.metrics import Metrics
from fastlstm.server.registry import ModelRegistry

LOG = logging.getLogger("fastlstm.server")
QUEUED_ROUTES = {
    "/predict": re.compile("/predict"),
    "/v2/models/{name}/infer": re.compile("/v2/models/[^/]+/infer"),
    "/v2/models/{name}/versions/{version}/infer": re.compile("/v2/models/[^/]+/versions/[^/]+/infer"),
}
"""Routes with a queue: path pattern by path template."""
LOG_SECONDS = 1
_CLIENT_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class Rejections:
    """Rejects requests while all queues are full, and counts rejections."""

    def __init__(self, metrics: Metrics, registry: ModelRegistry) -> None:
        self._metrics, self._registry = metrics, registry
        self._count, self._next_log = 0, 0.0

    def route(self, scope: Scope) -> str | None:
        """Return which of `QUEUED_ROUTES` a request is for, if it is to be rejected because all queues are full."""
        return queued_route(scope) if self._registry.rejecting and scope["method"] == "POST" else None

    async def respond_early(self, scope: Scope, send: Send, route: str) -> bool:
        """Reject a request before its body is received. Return False if that could lose the response.

        That is the case if the connection closes afterwards: closing it while a body arrives resets it.
        """
        start = time.perf_counter()
        connection = get_header(scope, b"connection") or b""
        if scope.get("http_version") != "1.1" or b"close" in connection.lower():
            return False
        headers, body = _response(self._retry_seconds())
        await send(
            {
                "type": "http.response.start",
                "status": 429,
                "headers": [*headers, (b"x-request-id", get_request_id(scope).encode())],
            }
        )
        await send({"type": "http.response.body", "body": body})
        self._metrics.count_request(route, 429, time.perf_counter() - start)
        self.log()
        return True

    def error(self) -> APIError:
        """Return the error of a rejected request."""
        return _full_queue_error(self._retry_seconds())

    def _retry_seconds(self) -> int:
        return math.ceil(self._registry.waiting_seconds)

    def log(self) -> None:
        """Count a rejection. Log at most one line per second, with the total so far: rejections must be cheap."""
        self._count += 1
        now = time.monotonic()
        if now >= self._next_log:
            LOG.warning("overloaded", extra={"refused_so_far": self._count})
            self._next_log = now + LOG_SECONDS


@cache
def _response(seconds: int) -> tuple[list[tuple[bytes, bytes]], bytes]:
    error = _full_queue_error(seconds)
    return error.header_list(), error.content()


def _full_queue_error(seconds: int) -> APIError:
    return overloaded_error("the queue is full", code="queue-full", seconds=seconds)


def queued_route(scope: Scope) -> str | None:
    """Return which of `QUEUED_ROUTES` the request is for, if any."""
    return next((route for route, pattern in QUEUED_ROUTES.items() if pattern.fullmatch(scope["path"])), None)


def get_header(scope: Scope, name: bytes) -> bytes | None:
    """Return the first value of a header, or None."""
    return next((value for key, value in scope["headers"] if key == name), None)


def get_request_id(scope: Scope) -> str:
    """Return the client's request id if it is well-formed, else a random one."""
    client_id = get_header(scope, b"x-request-id")
    if client_id is not None and _CLIENT_REQUEST_ID.fullmatch(client_id):
        return client_id.decode()
    return os.urandom(16).hex()
