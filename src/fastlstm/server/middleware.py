"""What every request passes before anything is done for it: identity, limits, token; what is told of it after."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import os
import re
import sys
import time
from collections.abc import Coroutine
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastlstm.server.errors import APIError, overloaded_error
from fastlstm.server.metrics import Metrics
from fastlstm.server.registry import ModelRegistry
from fastlstm.server.settings import Settings

LOG = logging.getLogger("fastlstm.server")
HEALTH = "/v2/health/"
READING = {"/predict": re.compile("/predict"), "/v2/models/{name}/infer": re.compile("/v2/models/[^/]+/infer")}
"""The routes on which texts wait for a model."""
OPEN, OPEN_BELOW = ("/", "/docs", "/openapi.json"), ("/page/", "/docs/", HEALTH)
"""What needs no token: the page and its files, health, and the documentation."""
_OWN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestMiddleware:
    """Around the whole application."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics, store: ModelRegistry) -> None:
        self._app, self._settings, self._metrics, self._store = app, settings, metrics, store
        self._going = 0
        self._refused, self._told = 0, -1.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, request_id = time.perf_counter(), _request_id(scope)
        status, begun = 500, False

        async def tell(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                status, begun = message["status"], True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        self._going += 1
        self._metrics.going.inc()
        try:
            self._check(scope)
            body = await self._body(scope, receive)
            if scope["method"] == "POST" and self._store.refusing and _reading(scope):
                raise overloaded_error(
                    "as many texts wait to be read as may"
                )  # told before anything is made of the body
            await self._app(scope, _replay(body, receive), tell)
        except APIError as refusal:
            if not begun:
                await _refuse(tell, refusal)
        except Exception:
            LOG.exception("request failed", extra={"request_id": request_id})
            if not begun:
                await _refuse(
                    tell, APIError(500, "internal", f"something went wrong here; name {request_id} in a report")
                )
        finally:
            self._going -= 1
            self._metrics.going.dec()
            self._tell(scope, request_id, status, time.perf_counter() - started)

    def _check(self, scope: Scope) -> None:
        watched = scope["path"] == "/metrics" or scope["path"].startswith(HEALTH)
        if self._going > self._settings.max_requests and not watched:
            raise overloaded_error(f"{self._going - 1} requests are being answered, as many as may be")
        check_token(scope, self._settings.token)
        if scope["method"] == "POST" and _has_body(scope):
            kind = (header(scope, b"content-type") or b"none").split(b";")[0].strip().lower()
            if kind != b"application/json":
                shown = kind[:50].decode(errors="replace")
                raise APIError(415, "validation", f"the content type is {shown}; expected application/json")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The request's body, whole. Raises `APIError` where it is too large, or too slow."""
        most = self._settings.max_body_bytes
        too_large = APIError(413, "validation", f"the body has more than {most} bytes, as many as are taken")
        announced = header(scope, b"content-length")
        if announced is not None and announced.isdigit() and int(announced) > most:
            raise too_large

        async def read() -> bytes:
            body = bytearray()
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise APIError(400, "validation", "the client went away before its request was here")
                body += message.get("body", b"")
                if len(body) > most:
                    raise too_large
                if not message.get("more_body"):
                    return bytes(body)

        try:
            return await _within(self._settings.body_seconds, read())
        except (asyncio.TimeoutError, TimeoutError):
            raise APIError(
                408, "timeout", f"the body was not here after {self._settings.body_seconds:g} s"
            ) from None

    def _tell(self, scope: Scope, request_id: str, status: int, seconds: float) -> None:
        route = scope.get("route")
        path = getattr(route, "path", None) or _reading(scope) or ("/" if scope["path"] == "/" else "other")
        self._metrics.requests.labels(path, str(status)).inc()
        self._metrics.seconds.labels(path).observe(seconds)
        if status == 429:
            self._tell_refused()
            return
        told: dict[str, Any] = {
            "request_id": request_id,
            "method": scope["method"],
            "path": scope["path"][:200],
            "status": status,
            "milliseconds": round(1000 * seconds, 3),
        }
        texts = scope.get("fastlstm.texts")
        if texts is not None:
            told["texts"] = texts if self._settings.log_texts else len(texts)
        LOG.info("request", extra=told)

    def _tell_refused(self) -> None:
        """A line a second: what is refused under load must cost little. It has the number of all so far."""
        self._refused += 1
        now = time.monotonic()
        if self._told < 0 or now - self._told >= 1:
            LOG.warning("overloaded", extra={"refused_so_far": self._refused})
            self._told = now


def check_token(scope: Scope, token: str | None) -> None:
    """Raises `APIError` unless a request that needs the token bears it. Compared in constant time."""
    path = scope["path"]
    if token is None or path in OPEN or path.startswith(OPEN_BELOW):
        return
    given = header(scope, b"authorization") or b""
    if not hmac.compare_digest(given, b"Bearer " + token.encode()):
        raise APIError(
            401, "unauthorized", "the request bears no valid token; send Authorization: Bearer TOKEN",
            {"WWW-Authenticate": "Bearer"},
        )  # fmt: skip


def header(scope: Scope, name: bytes) -> bytes | None:
    """A header's value, the first of several."""
    return next((value for key, value in scope["headers"] if key == name), None)


async def _within(seconds: float, coming: Coroutine[Any, Any, bytes]) -> bytes:
    """What comes in so many seconds. Raises `TimeoutError`."""
    if sys.version_info >= (3, 11):  # a tenth of what the other costs, which makes a task
        async with asyncio.timeout(seconds):
            return await coming
    return await asyncio.wait_for(coming, seconds)


def _reading(scope: Scope) -> str | None:
    """Which of the routes in `READING` a request is for."""
    return next((route for route, pattern in READING.items() if pattern.fullmatch(scope["path"])), None)


def _has_body(scope: Scope) -> bool:
    return header(scope, b"content-length") not in (None, b"0") or header(scope, b"transfer-encoding") is not None


def _request_id(scope: Scope) -> str:
    own = header(scope, b"x-request-id")
    return own.decode() if own is not None and _OWN_ID.fullmatch(own) else os.urandom(16).hex()


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the whole body first."""
    given = False

    async def replayed() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return replayed


async def _refuse(send: Send, refusal: APIError) -> None:
    body = json.dumps(refusal.body(), ensure_ascii=False).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in refusal.headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
