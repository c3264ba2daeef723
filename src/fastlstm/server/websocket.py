"""`WS /stream`: classify a text while it arrives; one stream per connection.

The client sends JSON objects with any of these fields, and gets one JSON object in reply to each:

- `{"restore": "..."}`, only in the first message: continue from a state returned by another connection.
- `{"text": "..."}`: append to the text.
- `{"end": true}`: process the pending text, as at the end of a word.
- `{"state": true}`: include the stream's state, base64, in the reply.
- `{"label_unknown": true}`: include a label even if no token is known so far.

A reply has `tokens`, `pending`, `known`, `label`, `probabilities` and, on request, `state`. `known` is the fraction of
known tokens; while it is 0, `label` is null. `?model=NAME` selects the model.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.server.errors import APIError
from fastlstm.server.metrics import Metrics
from fastlstm.server.middleware import check_token
from fastlstm.server.registry import ModelRegistry
from fastlstm.server.settings import Settings

LOG = logging.getLogger("fastlstm.server")
POLICY_VIOLATION, MESSAGE_TOO_BIG, INTERNAL_ERROR, TRY_AGAIN_LATER = 1008, 1009, 1011, 1013
"""Close codes of RFC 6455 and of IANA's registry."""
MAX_REASON_BYTES = 123
"""Maximum length of the reason in a close frame."""
FIELDS = ("restore", "text", "end", "state", "label_unknown")
"""Fields of a message."""
FLAGS = ("end", "state", "label_unknown")
"""Fields that are booleans."""
websocket_router = APIRouter()


@websocket_router.websocket("/stream")
async def stream(websocket: WebSocket, model: str | None = None) -> None:
    """Serve one stream. A reload of the model does not affect open streams."""
    state = websocket.app.state
    settings: Settings = state.settings
    metrics: Metrics = state.metrics
    registry: ModelRegistry = state.registry
    try:
        check_token(websocket.scope, settings.token)
        session = StreamSession(registry.get(model).current.classifier, settings)
    except (APIError, OptionError) as error:
        await websocket.accept()
        await _close(websocket, POLICY_VIOLATION, f"{error.code}: {error}")
        return
    await websocket.accept()
    if state.streams >= settings.max_streams:
        await _close(websocket, TRY_AGAIN_LATER, f"too many open streams (maximum {settings.max_streams})")
        return
    state.streams += 1
    metrics.streams.set(state.streams)
    try:
        await _serve_session(websocket, session)
    except WebSocketDisconnect:
        pass
    finally:
        state.streams -= 1
        metrics.streams.set(state.streams)


async def _serve_session(websocket: WebSocket, session: StreamSession) -> None:
    loop = asyncio.get_running_loop()
    while True:
        message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text")
        if text is None:
            await _close(websocket, POLICY_VIOLATION, "the message is binary; expected JSON text")
            return
        try:
            reply = await loop.run_in_executor(None, session.reply, text)
        except APIError as error:
            status = MESSAGE_TOO_BIG if error.status == 413 else POLICY_VIOLATION
            await _close(websocket, status, f"{error.code}: {error}")
            return
        except Exception:
            LOG.exception("stream failed")
            await _close(websocket, INTERNAL_ERROR, "internal server error")
            return
        with contextlib.suppress(RuntimeError):  # the client disconnected in the meantime
            await websocket.send_text(json.dumps(reply, ensure_ascii=False))


async def _close(websocket: WebSocket, code: int, reason: str) -> None:
    """Close the connection; truncate the reason to what a close frame can hold."""
    await websocket.close(code, reason.encode(errors="replace")[:MAX_REASON_BYTES].decode(errors="ignore"))


class StreamSession:
    """The state of one connection."""

    def __init__(self, classifier: Classifier, settings: Settings) -> None:
        """Start a stream. Raise `OptionError` for a bidirectional model."""
        self._classifier, self._settings = classifier, settings
        self._stream = classifier.stream()
        self._is_first = True

    def reply(self, message: str) -> dict[str, Any]:
        """Return the reply to a message. Raise `APIError` for an invalid one."""
        fields = self._parse(message)
        if "restore" in fields:
            self._restore(fields["restore"])
        self._is_first = False
        try:
            self._stream.feed(fields.get("text", ""))
        except DataError as error:
            raise APIError(422, "validation", str(error), code=error.code, **error.values) from None
        if fields.get("end"):
            self._stream.end()
        probabilities, labels = self._stream.probabilities, self._classifier.labels
        has_label = self._stream.known > 0 or fields.get("label_unknown")
        reply: dict[str, Any] = {
            "tokens": self._stream.token_count,
            "pending": self._stream.pending,
            "known": self._stream.known,
            "label": labels[int(self._classifier.choose(probabilities[None])[0])] if has_label else None,
            "probabilities": dict(zip(labels, map(float, probabilities), strict=True)),
        }
        if fields.get("state"):
            reply["state"] = base64.b64encode(self._stream.state).decode()
        return reply

    def _restore(self, state: object) -> None:
        if not self._is_first:
            raise APIError(
                422, "validation", "restore is only allowed in the first message", code="restore-after-text"
            )
        try:
            if not isinstance(state, str):
                raise TypeError
            content = base64.b64decode(state, validate=True)
        except (TypeError, ValueError):
            raise APIError(
                422,
                "validation",
                "the state is not base64; expected the state of an earlier reply",
                code="invalid-stream-state",
            ) from None
        try:
            self._stream = self._classifier.stream(content)
        except DataError as error:
            raise APIError(422, "validation", str(error), code=error.code, **error.values) from None

    def _parse(self, message: str) -> dict[str, Any]:
        maximum = self._settings.max_body_bytes
        size = len(message.encode(errors="surrogatepass"))
        if size > maximum:
            raise APIError(
                413,
                "validation",
                f"the message has {size} bytes; expected at most {maximum}",
                code="body-too-large",
                maximum=maximum,
            )
        try:
            fields = json.loads(message)
        except (ValueError, RecursionError):
            raise APIError(
                422, "validation", 'the message is not JSON; expected {"text": "..."}', code="invalid-json"
            ) from None
        if not isinstance(fields, dict) or not isinstance(fields.get("text", ""), str):
            raise APIError(
                422,
                "validation",
                'the message is not an object with a string "text"; expected {"text": "..."}',
                code="bad-message",
            )
        unknown = next((name for name in fields if name not in FIELDS), None)
        if unknown is not None:
            raise APIError(
                422,
                "validation",
                f"unknown field; expected {', '.join(FIELDS)}; got {unknown[:MAX_REASON_BYTES]!r}",
                code="unknown-field",
                field=unknown,
            )
        for name in FLAGS:
            if not isinstance(fields.get(name, False), bool):
                raise APIError(
                    422,
                    "validation",
                    f"{name} is not a boolean; expected true or false",
                    code="invalid-field",
                    field=name,
                )
        maximum = self._settings.max_characters
        characters = len(fields.get("text", ""))
        if characters > maximum:
            raise APIError(
                413,
                "validation",
                f"the text has {characters} characters; expected at most {maximum} per message",
                code="text-too-long",
                characters=characters,
                maximum=maximum,
            )
        return fields
