"""`WS /stream`: one stream per connection."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect
from tests.helpers.random_models import MakeModel
from tests.helpers.server_client import Serve, ServerClient

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.inference import Classifier
from fastlstm.server.errors import APIError
from fastlstm.server.settings import Settings
from fastlstm.server.websocket import MAX_REASON_BYTES, StreamSession

TEXT = "This movie was really good, I enjoyed it!"


def test_each_message_gets_a_reply_and_the_last_equals_the_whole_text_s_prediction(
    serve: Serve, folder: Path
) -> None:
    model = fastlstm.load(folder)
    with serve().websocket_connect("/stream") as socket:
        socket.send_json({"text": TEXT[:7]})
        first = socket.receive_json()
        assert (first["tokens"], first["pending"]) == (1, "mo")
        socket.send_json({"text": TEXT[7:], "end": True})
        last = socket.receive_json()
    probabilities = dict(zip(model.labels, map(float, model.predict_proba(TEXT)), strict=True))
    assert last["probabilities"] == probabilities
    assert last["label"] == model.predict(TEXT)
    assert last["known"] == model.known(TEXT)


def test_reply_has_no_label_until_a_known_token_is_read_unless_requested(folder: Path) -> None:
    session = StreamSession(fastlstm.load(folder), Settings(models={"small": folder}))

    def reply(**fields: Any) -> dict[str, Any]:
        return session.reply(json.dumps(fields))

    for fields in ({}, {"text": " "}, {"text": "zqx "}):
        empty = reply(**fields)
        assert (empty["label"], empty["known"]) == (None, 0.0)
        assert sum(empty["probabilities"].values()) == pytest.approx(1)
    assert reply(label_unknown=True)["label"] in ("negative", "positive")
    assert reply()["label"] is None
    known = reply(text="movie ")
    assert (known["label"] is not None, known["known"]) == (True, 0.5)


def test_stream_continues_on_another_connection_from_a_state(serve: Serve) -> None:
    client = serve()
    with client.websocket_connect("/stream?model=small") as socket:
        socket.send_json({"text": TEXT[:20], "state": True})
        state = socket.receive_json()["state"]
        socket.send_json({"text": TEXT[20:], "end": True})
        expected = socket.receive_json()
    with client.websocket_connect("/stream") as socket:
        socket.send_json({"restore": state, "text": TEXT[20:], "end": True})
        assert socket.receive_json() == expected


def test_restore_after_text_is_rejected(folder: Path) -> None:
    session = StreamSession(fastlstm.load(folder), Settings(models={"small": folder}))
    state = session.reply(json.dumps({"text": TEXT, "state": True}))["state"]
    with pytest.raises(APIError) as raised:
        session.reply(json.dumps({"restore": state}))
    assert raised.value.code == "restore-after-text"


def close_frame(client: ServerClient, message: str | bytes | None, path: str = "/stream") -> WebSocketDisconnect:
    """Return the close frame that the server sends, in reply to `message` unless it is None."""
    with client.websocket_connect(path) as socket:
        if isinstance(message, bytes):
            socket.send_bytes(message)
        elif message is not None:
            socket.send_text(message)
        with pytest.raises(WebSocketDisconnect) as raised:
            socket.receive_json()
    return raised.value


INVALID_MESSAGES = [
    ("{", 1008, "invalid-json"),
    ("[" * 900, 1008, "invalid-json"),
    ("5", 1008, "bad-message"),
    ('{"text": 5}', 1008, "bad-message"),
    ('{"text": "\\ud800"}', 1008, "invalid-unicode"),
    ('{"restore": "?"}', 1008, "invalid-stream-state"),
    ('{"restore": "\u00e9"}', 1008, "invalid-stream-state"),
    ('{"restore": "AAAA"}', 1008, "invalid-stream-state"),
    ('{"restore": 5}', 1008, "invalid-stream-state"),
    (json.dumps({"text": "x" * 101}), 1009, "text-too-long"),
    (json.dumps({"text": "", "more": "x" * 2000}), 1009, "body-too-large"),
    (json.dumps({"text": "", "restore": "\u4e2d" * 400}, ensure_ascii=False), 1009, "body-too-large"),
    ('{"txt": "fine "}', 1008, "unknown-field"),
    ('{"text": "fine ", "\\ud800": 1}', 1008, "unknown-field"),
    ('{"text": "fine ", "end": "false"}', 1008, "invalid-field"),
    ('{"text": "fine ", "state": 1}', 1008, "invalid-field"),
    ('{"text": "fine ", "label_unknown": null}', 1008, "invalid-field"),
]
LIMITS: dict[str, Any] = {"max_characters": 100, "max_body_bytes": 1000}


@pytest.mark.parametrize(("message", "close_code", "code"), INVALID_MESSAGES)
def test_invalid_message_closes_the_connection(
    serve: Serve, folder: Path, message: str, close_code: int, code: str
) -> None:
    client = serve(**LIMITS)
    close = close_frame(client, message)
    assert (close.code, close.reason.split(":")[0]) == (close_code, code)
    session = StreamSession(fastlstm.load(folder), Settings(models={"small": folder}, **LIMITS))
    with pytest.raises(APIError) as raised:
        session.reply(message)
    assert raised.value.code == code
    with client.websocket_connect("/stream") as socket:
        socket.send_json({"text": "fine "})
        assert socket.receive_json()["tokens"] == 1


def test_binary_message_closes_the_connection(serve: Serve) -> None:
    assert close_frame(serve(), b"bytes").code == 1008


def test_bidirectional_and_unknown_models_close_the_connection(
    serve: Serve, make_model: MakeModel, folder: Path, tmp_path: Path
) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), bidirectional=True)
    Classifier(make_model(config)).save(tmp_path / "bidirectional")
    client = serve({"small": folder, "bidirectional": tmp_path / "bidirectional"})
    for name in ("bidirectional", "unknown", "中" * 60):
        close = close_frame(client, None, f"/stream?model={name}")
        assert close.code == 1008
        assert 0 < len(close.reason.encode()) <= MAX_REASON_BYTES


def test_too_many_streams_and_missing_token_close_the_connection(serve: Serve) -> None:
    client = serve(max_streams=1)
    with client.websocket_connect("/stream") as socket:
        socket.send_json({"text": "fine "})
        assert socket.receive_json()["tokens"] == 1
        assert close_frame(client, None).code == 1013
        assert "fastlstm_streams 1.0" in client.get("/metrics").text
    client = serve(token="sesame")
    assert close_frame(client, None).code == 1008
    with client.websocket_connect("/stream", headers={"Authorization": "Bearer sesame"}) as socket:
        socket.send_json({"text": "fine "})
        assert socket.receive_json()["tokens"] == 1
