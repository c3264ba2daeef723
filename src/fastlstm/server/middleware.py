"""ASGI middleware: request limits, authentication, request ids, log lines and metrics."""

from __future__ import annotations

import asyncio
import hmac
import logging
import sys
import time
from collections.abc import Coroutine
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastlstm.server.content_encoding import decompress, parse_encoding
from fastlstm.server.errors import APIError, overloaded_error
from fastlstm.server.metrics import Metrics
from fastlstm.server.registry import ModelRegistry
from fastlstm.server.rejection import Rejections, get_header, get_request_id, queued_route
from fastlstm.server.settings import Settings

LOG = logging.getLogger("fastlstm.server")
HEALTH_PATHS = ("/health", "/v2/health/live", "/v2/health/ready")
MONITORING_PATHS = (*HEALTH_PATHS, "/metrics")
"""Paths that are served at any load."""
PUBLIC_PATHS, PUBLIC_PREFIXES = ("/", "/docs", "/openapi.json", *HEALTH_PATHS), ("/page/", "/docs/")
"""Paths that need no token: the page and its files, the health checks, and the API documentation."""


class RequestMiddleware:
    """The middleware around all routes. Only the headers for other origins are added outside of it."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, registry: ModelRegistry) -> None:
        self._app, self._settings, self._metrics, self._registry = app, settings, metrics, registry
        self._rejections = Rejections(metrics, registry)
        self._in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (
            (route := self._rejections.route(scope)) is not None
            and is_authorized(scope, self._settings.token)
            and await self._rejections.respond_early(scope, send, route)
        ):
            return
        start, request_id, method = time.perf_counter(), get_request_id(scope), scope["method"]
        status, response_started = 500, False
        if method == "HEAD":  # every path with GET responds to HEAD, too, without a body
            scope = {**scope, "method": "GET"}

        async def send_with_id(message: Message) -> None:
            nonlocal status, response_started
            if message["type"] == "http.response.start":
                status, response_started = message["status"], True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            elif method == "HEAD":
                message["body"] = b""
            await send(message)

        self._in_progress += 1
        self._metrics.requests_in_progress.inc()
        try:
            encoding = self._check(scope)
            body = await self._receive_body(scope, receive)
            if self._rejections.route(scope) is not None:  # before parsing the body, which is what costs time
                raise self._rejections.error()
            if encoding is not None:
                body = decompress(body, encoding, self._settings.max_body_bytes)
            await self._app(scope, _replay(body, receive), send_with_id)
        except APIError as error:
            if not response_started:
                await _send_error(send_with_id, error)
        except Exception:
            LOG.exception("request failed", extra={"request_id": request_id})
            if not response_started:
                message = f"internal server error; the request id is {request_id}"
                await _send_error(send_with_id, APIError(500, "internal", message, code="internal-error"))
        finally:
            self._in_progress -= 1
            self._metrics.requests_in_progress.dec()
            self._record(scope, method, request_id, status, time.perf_counter() - start)

    def _check(self, scope: Scope) -> str | None:
        """Check the request's head. Return the encoding of its body, or None for a plain one."""
        if self._in_progress > self._settings.max_requests and scope["path"] not in MONITORING_PATHS:
            raise overloaded_error(
                f"too many concurrent requests (maximum {self._settings.max_requests})",
                code="too-many-requests",
                maximum=self._settings.max_requests,
            )
        check_token(scope, self._settings.token)
        if scope["method"] == "POST" and _has_body(scope):
            content_type = (get_header(scope, b"content-type") or b"none").split(b";")[0].strip().lower()
            if content_type != b"application/json":
                quoted = content_type[:50].decode(errors="replace")
                raise APIError(
                    415,
                    "validation",
                    f"the content type is {quoted}; expected application/json",
                    code="unsupported-content-type",
                    content_type=quoted,
                )
            return parse_encoding(get_header(scope, b"content-encoding"))
        return None

    async def _receive_body(self, scope: Scope, receive: Receive) -> bytes:
        """Return the whole request body. Raise `APIError` if it is too large or too slow."""
        maximum, seconds = self._settings.max_body_bytes, self._settings.body_seconds
        too_large = APIError(
            413,
            "validation",
            f"the body has more than {maximum} bytes; send fewer or shorter texts",
            code="body-too-large",
            maximum=maximum,
        )
        content_length = get_header(scope, b"content-length")
        if content_length is not None and content_length.isdigit() and int(content_length) > maximum:
            raise too_large

        async def receive_all() -> bytes:
            body = bytearray()
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise APIError(400, "validation", "the client disconnected", code="client-disconnected")
                body += message.get("body", b"")
                if len(body) > maximum:
                    raise too_large
                if not message.get("more_body"):
                    return bytes(body)

        try:
            return await _with_timeout(seconds, receive_all())
        except (asyncio.TimeoutError, TimeoutError):
            raise APIError(
                408,
                "timeout",
                f"the body was not received within {seconds:g} s",
                code="body-timeout",
                seconds=seconds,
            ) from None

    def _record(self, scope: Scope, method: str, request_id: str, status: int, seconds: float) -> None:
        """Update the metrics and write the log line of a completed request."""
        route = scope.get("route")
        path = getattr(route, "path", None) or queued_route(scope) or ("/" if scope["path"] == "/" else "other")
        self._metrics.count_request(path, status, seconds)
        if status == 429:
            self._rejections.log()
            return
        fields: dict[str, Any] = {
            "request_id": request_id,
            "method": method,
            "path": scope["path"][:200],
            "status": status,
            "milliseconds": round(1000 * seconds, 3),
        }
        texts = scope.get("fastlstm.texts")
        if texts is not None:
            fields["texts"] = texts if self._settings.log_texts else len(texts)
        LOG.info("request", extra=fields)


def check_token(scope: Scope, token: str | None) -> None:
    """Raise `APIError` if the path needs the token and the request lacks it."""
    if not is_authorized(scope, token):
        raise APIError(
            401,
            "unauthorized",
            "missing or invalid bearer token; send the header Authorization: Bearer TOKEN",
            code="invalid-token",
            headers={"WWW-Authenticate": "Bearer"},
        )


def is_authorized(scope: Scope, token: str | None) -> bool:
    """Return whether the request has the token, or its path needs none. Compares in constant time."""
    path = scope["path"]
    if token is None or path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES):
        return True
    authorization = get_header(scope, b"authorization") or b""
    return hmac.compare_digest(authorization, b"Bearer " + token.encode())


async def _with_timeout(seconds: float, coroutine: Coroutine[Any, Any, bytes]) -> bytes:
    """Return the coroutine's result. Raise `TimeoutError`."""
    if sys.version_info >= (3, 11):  # costs a tenth of wait_for, which creates a task
        async with asyncio.timeout(seconds):
            return await coroutine
    return await asyncio.wait_for(coroutine, seconds)


def _has_body(scope: Scope) -> bool:
    has_length = get_header(scope, b"content-length") not in (None, b"0")
    return has_length or get_header(scope, b"transfer-encoding") is not None


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that first returns the whole body."""
    replayed = False

    async def receive_body() -> Message:
        nonlocal replayed
        if not replayed:
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return receive_body


async def _send_error(send: Send, error: APIError) -> None:
    await send({"type": "http.response.start", "status": error.status, "headers": error.header_list()})
    await send({"type": "http.response.body", "body": error.content()})
