"""`WS /stream`: a live text, read as it comes; one state a connection.

The client sends JSON objects: `{"text": "..."}` reads on, `{"end": true}` reads what is held back, and to
`{"state": true}` the answer has the state, base64, from which `{"restore": "..."}`, as the first thing, goes on in
another connection. Each answer has `tokens`, `held`, `label` and `probabilities`. `?model=` names the model.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.server.errors import APIError
from fastlstm.server.metrics import Metrics
from fastlstm.server.middleware import check_token
from fastlstm.server.registry import ServedModel
from fastlstm.server.settings import Settings

LOG = logging.getLogger("fastlstm.server")
POLICY, TOO_LARGE, FAILED, TRY_AGAIN = 1008, 1009, 1011, 1013
"""Close codes of RFC 6455 and its registry."""
MOST_REASON = 123
"""Bytes that a closing frame has room for."""
websocket_router = APIRouter()


@websocket_router.websocket("/stream")
async def stream(socket: WebSocket, model: str | None = None) -> None:
    """One conversation. Its model stays the one that it began with."""
    app = socket.app.state
    settings: Settings = app.settings
    metrics: Metrics = app.metrics
    try:
        check_token(socket.scope, settings.token)
        served: ServedModel = app.store.get(model)
        talk = StreamSession(served.reader.classifier, settings)
    except (APIError, OptionError) as error:
        await socket.accept()
        await _close(socket, POLICY, str(error))
        return
    await socket.accept()
    if app.streams >= settings.max_streams:
        await _close(socket, TRY_AGAIN, "as many conversations are open as may be; come again")
        return
    app.streams += 1
    metrics.streams.set(app.streams)
    try:
        await _converse(socket, talk)
    except WebSocketDisconnect:
        pass
    finally:
        app.streams -= 1
        metrics.streams.set(app.streams)


async def _converse(socket: WebSocket, talk: StreamSession) -> None:
    loop = asyncio.get_running_loop()
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        raw = message.get("text")
        if raw is None:
            await _close(socket, POLICY, "a frame of bytes came; expected JSON text")
            return
        try:
            answer = await loop.run_in_executor(None, talk.answer, raw)
        except APIError as refusal:
            await _close(socket, TOO_LARGE if refusal.status == 413 else POLICY, refusal.message)
            return
        except Exception:
            LOG.exception("conversation failed")
            await _close(socket, FAILED, "something went wrong here")
            return
        with contextlib.suppress(RuntimeError):  # the client went while it was read
            await socket.send_text(json.dumps(answer, ensure_ascii=False))


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    """With as much of the reason as a closing frame has room for."""
    await socket.close(code, reason.encode(errors="replace")[:MOST_REASON].decode(errors="ignore"))


class StreamSession:
    """One live text, and the model that reads it."""

    def __init__(self, classifier: Classifier, settings: Settings) -> None:
        """Raises `OptionError` for a model that reads in both directions."""
        self._classifier, self._settings = classifier, settings
        self._stream = classifier.stream()
        self._begun = False

    def answer(self, raw: str) -> dict[str, Any]:
        """What there is to say to a frame. Raises `APIError`."""
        asked = self._asked(raw)
        try:
            if "restore" in asked:
                self._restore(asked["restore"])
            self._begun = True
            self._stream.feed(asked.get("text", ""))
        except ValueError as error:  # a DataError, or what base64 says of what it is not
            raise APIError(422, "validation", str(error)) from None
        if asked.get("end"):
            self._stream.end()
        row, labels = self._stream.probabilities, self._classifier.labels
        answer: dict[str, Any] = {
            "tokens": self._stream.tokens,
            "held": self._stream.held,
            "label": labels[int(self._classifier.choose(row[None])[0])],
            "probabilities": dict(zip(labels, map(float, row), strict=True)),
        }
        if asked.get("state"):
            answer["state"] = base64.b64encode(self._stream.state).decode()
        return answer

    def _restore(self, state: object) -> None:
        if self._begun:
            raise APIError(422, "validation", "a state came after text; restore it as the first thing")
        if not isinstance(state, str):
            raise APIError(422, "validation", "the state is no string; expected base64, as an answer had it")
        self._stream = self._classifier.stream(base64.b64decode(state, validate=True))

    def _asked(self, raw: str) -> dict[str, Any]:
        if len(raw) > self._settings.max_body_bytes:
            raise APIError(413, "validation", f"a frame has more than {self._settings.max_body_bytes} characters")
        try:
            asked = json.loads(raw)
        except (ValueError, RecursionError):
            raise APIError(422, "validation", 'a frame is not JSON; expected {"text": "..."}') from None
        if not isinstance(asked, dict) or not isinstance(asked.get("text", ""), str):
            raise APIError(422, "validation", 'a frame is no object with a text; expected {"text": "..."}')
        if len(asked.get("text", "")) > self._settings.max_characters:
            raise APIError(413, "validation", f"a piece has more than {self._settings.max_characters} characters")
        return asked
