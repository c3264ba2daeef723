"""`POST /predict` and `/explain`: what they answer, and what they refuse."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.server.conftest import Serve

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel
from fastlstm.serialization.early_exit import EarlyExit, ExitThreshold

TEXT = "Not bad at all, this movie was really good!"


def test_a_string_is_one_text_and_a_list_a_batch(serve: Serve, folder: Path) -> None:
    client, model = serve(), fastlstm.load(folder)
    one = client.post("/predict", json={"inputs": TEXT}).json()
    probabilities = dict(zip(model.labels, map(float, model.predict_proba(TEXT)), strict=True))
    assert {of["label"]: of["score"] for of in one} == probabilities
    assert one[0]["score"] >= one[1]["score"]
    many = client.post("/predict", json={"inputs": [TEXT, "", "horrible"]}).json()
    assert many[0] == one
    assert len(many) == 3
    assert client.post("/predict", json={"inputs": [TEXT]}).json() == [one]


def test_raw_scores_are_logits(serve: Serve) -> None:
    client = serve()
    raw = client.post("/predict", json={"inputs": TEXT, "raw_scores": True}).json()
    scores = client.post("/predict", json={"inputs": TEXT}).json()
    assert 1 / (1 + np.exp(-raw[0]["score"])) == pytest.approx(scores[0]["score"], abs=1e-6)
    assert raw[1]["score"] == -raw[0]["score"]


def test_texts_longer_than_the_model_reads_are_cut_or_refused(serve: Serve) -> None:
    client, long = serve(), "movie " * 31
    assert client.post("/predict", json={"inputs": long}).status_code == 200
    assert client.post("/predict", json={"inputs": long, "truncate": True}).status_code == 200
    refused = client.post("/predict", json={"inputs": [TEXT, long], "truncate": False})
    assert refused.status_code == 413
    assert "1 of 2 texts have more than the 30 tokens" in refused.json()["error"]


def test_models_are_asked_by_name(serve: Serve, folder: Path) -> None:
    client = serve({"one": folder, "two": folder})
    assert [model["name"] for model in client.get("/models").json()] == ["one", "two"]
    assert client.post("/predict", json={"inputs": TEXT, "model": "two"}).status_code == 200
    refused = client.post("/predict", json={"inputs": TEXT, "model": "three"})
    assert refused.status_code == 404
    assert refused.json() == {"error": "no model 'three'; there are: one, two", "error_type": "unknown_model"}


BAD: dict[str, tuple[Any, int, str]] = {
    "nothing": ({}, 422, "Field required"),
    "no texts": ({"inputs": []}, 422, "the batch is empty"),
    "a number": ({"inputs": 5}, 422, "valid string"),
    "null": ({"inputs": None}, 422, "valid string"),
    "a number among texts": ({"inputs": ["fine", 5]}, 422, "valid"),
    "a list of lists": ({"inputs": [["fine"]]}, 422, "valid"),
    "another field": ({"inputs": "fine", "input": "x"}, 422, "Extra inputs are not permitted"),
    "a word for a switch": ({"inputs": "fine", "raw_scores": "yes"}, 422, "valid boolean"),
    "a list for an object": (["fine"], 422, "valid dictionary"),
    "half a surrogate pair": ({"inputs": "\ud800"}, 422, "not valid Unicode"),
    "too many": ({"inputs": ["x"] * 9}, 413, "9 texts came; at most 8"),
    "too long": ({"inputs": "x" * 501}, 413, "text 0 has 501 characters; at most 500"),
}


@pytest.mark.parametrize("bad", BAD)
def test_what_is_wrong_is_said(serve: Serve, bad: str) -> None:
    body, status, says = BAD[bad]
    client = serve(max_texts=8, max_characters=500)
    came = client.post("/predict", content=json.dumps(body), headers={"content-type": "application/json"})
    assert came.status_code == status
    assert says in came.json()["error"]
    assert client.post("/predict", json={"inputs": "fine"}).status_code == 200


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 100_000, b'{"inputs": ' + b"[" * 5000 + b"]" * 5000 + b"}", b"\xff\xfe", b"NaN"]
)
def test_what_is_no_json_is_refused(serve: Serve, content: bytes) -> None:
    client = serve()
    came = client.post("/predict", content=content, headers={"content-type": "application/json"})
    assert came.status_code in (400, 422)
    assert came.json()["error_type"] == "validation"


@pytest.mark.parametrize("text", ["", " ", "\0\x01\x7f", "👍🏽", "很好看", "\u202e", "x" * 5000, "<script>"])
def test_any_text_has_an_answer(serve: Serve, text: str) -> None:
    client = serve()
    assert client.post("/predict", json={"inputs": text}).status_code == 200
    assert client.post("/explain", json={"text": text}).status_code == 200


def test_an_explanation_is_the_model_s(serve: Serve, folder: Path) -> None:
    client, model = serve(), fastlstm.load(folder)
    found = client.post("/explain", json={"text": TEXT, "gates": 3}).json()
    expected = model.explain(TEXT)
    assert found["label"] == expected.label
    np.testing.assert_allclose([token["moved"] for token in found["tokens"]], expected.moved, atol=1e-6)
    after = [token["probabilities"]["positive"] for token in found["tokens"]]
    np.testing.assert_allclose(after, model.trajectory(TEXT)[:, 1], atol=1e-7)
    assert found["units"] == 7
    np.testing.assert_allclose(found["gates"]["forget"], model.gates(TEXT).layers[-1].forget[:, 3], atol=1e-7)
    for body, says in (
        ({"text": TEXT, "label": "nice"}, "unknown label 'nice'"),
        ({"text": TEXT, "gates": 7}, "the last layer has 7, from 0"),
        ({"text": TEXT, "method": "lime"}, "gradients"),
    ):
        refused = client.post("/explain", json=body)
        assert refused.status_code == 422
        assert says in refused.json()["error"]


def test_where_texts_are_read_early_there_are_no_raw_scores(
    serve: Serve, make_model: Callable[..., SavedModel], tmp_path: Path
) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(7,)))
    bar = ExitThreshold(0.9, (0.0,), 0.5, 0.1)
    early = Classifier(dataclasses.replace(model, early_exit=EarlyExit((2,), (bar,), 100)))
    early.save(tmp_path / "early")
    client = serve({"early": tmp_path / "early"}, early_exit=0.9)
    one = client.post("/predict", json={"inputs": TEXT}).json()
    assert one[0]["score"] == float(early.predict_proba(TEXT, early_exit=0.9).max())
    refused = client.post("/predict", json={"inputs": TEXT, "raw_scores": True})
    assert refused.status_code == 422
    assert "has no raw scores" in refused.json()["error"]


def test_a_text_of_too_many_tokens_is_not_explained(serve: Serve) -> None:
    refused = serve().post("/explain", json={"text": "a " * 1001})
    assert refused.status_code == 413
    assert "the text has 1001 tokens; at most 1000 are explained" in refused.json()["error"]
