"""`WS /stream`: one live text a connection."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect
from tests.server.conftest import Serve

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel

TEXT = "Not bad at all, this movie was really good!"


def test_each_piece_has_an_answer_and_the_end_is_the_whole_text_s(serve: Serve, folder: Path) -> None:
    model = fastlstm.load(folder)
    with serve().websocket_connect("/stream") as socket:
        socket.send_json({"text": "Not ba"})
        first = socket.receive_json()
        assert (first["tokens"], first["held"]) == (1, "ba")
        socket.send_json({"text": TEXT[6:], "end": True})
        last = socket.receive_json()
    probabilities = dict(zip(model.labels, map(float, model.predict_proba(TEXT)), strict=True))
    assert last["probabilities"] == probabilities
    assert last["label"] == model.predict(TEXT)


def test_another_connection_goes_on_from_a_state(serve: Serve) -> None:
    client = serve()
    with client.websocket_connect("/stream?model=small") as socket:
        socket.send_json({"text": TEXT[:20], "state": True})
        state = socket.receive_json()["state"]
        socket.send_json({"text": TEXT[20:], "end": True})
        expected = socket.receive_json()
    with client.websocket_connect("/stream") as socket:
        socket.send_json({"restore": state, "text": TEXT[20:], "end": True})
        assert socket.receive_json() == expected


def closed(client: Any, frame: Any, path: str = "/stream") -> WebSocketDisconnect:
    """What a frame is refused with."""
    with client.websocket_connect(path) as socket:
        if isinstance(frame, bytes):
            socket.send_bytes(frame)
        elif frame is not None:
            socket.send_text(frame)
        with pytest.raises(WebSocketDisconnect) as refused:
            socket.receive_json()
    return refused.value


@pytest.mark.parametrize(
    ("frame", "code", "says"),
    [
        ("{", 1008, "is not JSON"),
        ("[" * 900, 1008, "is not JSON"),
        ("5", 1008, "no object with a text"),
        ('{"text": 5}', 1008, "no object with a text"),
        ('{"text": "\\ud800"}', 1008, "not valid Unicode"),
        (b"bytes", 1008, "a frame of bytes came"),
        ('{"restore": "?"}', 1008, "base64"),
        ('{"restore": "\u00e9"}', 1008, "ASCII"),
        ('{"restore": "AAAA"}', 1008, "none of a stream, or damaged"),
        ('{"restore": 5}', 1008, "the state is no string"),
        (json.dumps({"text": "x" * 101}), 1009, "more than 100 characters"),
        (json.dumps({"text": "", "more": "x" * 2000}), 1009, "more than 1000 characters"),
    ],
)
def test_what_is_no_piece_of_text_ends_the_conversation(
    serve: Serve, frame: str | bytes, code: int, says: str
) -> None:
    client = serve(max_characters=100, max_body_bytes=1000)
    refused = closed(client, frame)
    assert (refused.code, says in refused.reason) == (code, True)
    with client.websocket_connect("/stream") as socket:
        socket.send_json({"text": "fine "})
        assert socket.receive_json()["tokens"] == 1


def test_what_can_t_be_streamed_is_said(
    serve: Serve, make_model: Callable[..., SavedModel], folder: Path, tmp_path: Path
) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), bidirectional=True)
    Classifier(make_model(config)).save(tmp_path / "both")
    client = serve({"small": folder, "both": tmp_path / "both"})
    for path, says in (
        ("/stream?model=both", "the model reads in both directions"),
        ("/stream?model=none", "no model 'none'"),
        ("/stream?model=" + "中" * 60, "no model"),
    ):
        refused = closed(client, None, path)
        assert refused.code == 1008
        assert says in refused.reason


def test_no_more_conversations_than_may_be_and_none_without_the_token(serve: Serve) -> None:
    client = serve(max_streams=1)
    with client.websocket_connect("/stream") as socket:
        socket.send_json({"text": "fine "})
        assert socket.receive_json()["tokens"] == 1
        assert closed(client, None).code == 1013
        assert "fastlstm_streams 1.0" in client.get("/metrics").text
    guarded = serve(token="sesame")
    assert closed(guarded, None).code == 1008
    with guarded.websocket_connect("/stream", headers={"Authorization": "Bearer sesame"}) as socket:
        socket.send_json({"text": "fine "})
        assert socket.receive_json()["tokens"] == 1
