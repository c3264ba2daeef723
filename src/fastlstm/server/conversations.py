"""`WS /stream`: a live text, read as it comes; one state a connection.

The client sends JSON objects: `{"text": "..."}` reads on, `{"end": true}` reads what is held back, and to
`{"state": true}` the answer has the state. Each answer has `tokens`, `held`, `label` and `probabilities`. A state
is base64; `?state=` goes on from one, `?model=` names the model.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from fastlstm.errors import DataError, OptionError
from fastlstm.inference.stream import Stream
from fastlstm.server.guard import check_token
from fastlstm.server.metrics import Metrics
from fastlstm.server.refusals import Refusal
from fastlstm.server.settings import Settings
from fastlstm.server.store import Served

POLICY, TOO_LARGE, TRY_AGAIN = 1008, 1009, 1013
"""Close codes of RFC 6455 and its registry."""
router = APIRouter()


@router.websocket("/stream")
async def stream(socket: WebSocket, model: str | None = None, state: str | None = None) -> None:
    """One conversation."""
    app = socket.app.state
    settings: Settings = app.settings
    metrics: Metrics = app.metrics
    try:
        check_token(socket.scope, settings.token)
        served: Served = app.store.get(model)
        reading = served.classifier.stream(None if state is None else base64.b64decode(state, validate=True))
    except (Refusal, DataError, OptionError, binascii.Error) as error:
        await socket.accept()
        await socket.close(POLICY, str(error)[:120])
        return
    await socket.accept()
    if app.streams >= settings.max_streams or app.stopping:
        await socket.close(TRY_AGAIN, "as many conversations are open as may be; come again")
        return
    app.streams += 1
    metrics.streams.set(app.streams)
    try:
        await _converse(socket, served, reading, settings)
    except WebSocketDisconnect:
        pass
    finally:
        app.streams -= 1
        metrics.streams.set(app.streams)


async def _converse(socket: WebSocket, served: Served, reading: Stream, settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        raw = message.get("text")
        if raw is None:
            await socket.close(POLICY, "a frame of bytes came; expected JSON text")
            return
        try:
            asked = _asked(raw, settings)
            answer = await loop.run_in_executor(None, _answer, served, reading, asked)
        except Refusal as refusal:
            await socket.close(TOO_LARGE if refusal.status == 413 else POLICY, refusal.message[:120])
            return
        with contextlib.suppress(RuntimeError):  # the client went while it was read
            await socket.send_text(json.dumps(answer, ensure_ascii=False))


def _asked(raw: str, settings: Settings) -> dict[str, Any]:
    if len(raw) > settings.max_body_bytes:
        raise Refusal(413, "validation", f"a frame has more than {settings.max_body_bytes} bytes")
    try:
        asked = json.loads(raw)
    except (ValueError, RecursionError):
        raise Refusal(422, "validation", 'a frame is not JSON; expected {"text": "..."}') from None
    if not isinstance(asked, dict) or not isinstance(asked.get("text", ""), str):
        raise Refusal(422, "validation", 'a frame is no object with a text; expected {"text": "..."}')
    if len(asked.get("text", "")) > settings.max_characters:
        raise Refusal(413, "validation", f"a piece has more than {settings.max_characters} characters")
    return asked


def _answer(served: Served, reading: Stream, asked: dict[str, Any]) -> dict[str, Any]:
    try:
        reading.feed(asked.get("text", ""))
    except DataError as error:
        raise Refusal(422, "validation", str(error)) from None
    if asked.get("end"):
        reading.end()
    row = reading.probabilities
    labels = served.classifier.labels
    answer: dict[str, Any] = {
        "tokens": reading.tokens,
        "held": reading.held,
        "label": labels[int(served.classifier.choose(row[None])[0])],
        "probabilities": dict(zip(labels, map(float, row), strict=True)),
    }
    if asked.get("state"):
        answer["state"] = base64.b64encode(reading.state).decode()
    return answer
