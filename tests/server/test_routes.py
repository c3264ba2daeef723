"""`POST /predict` and `POST /explain`: responses and rejected requests."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from tests.helpers.random_models import MakeModel
from tests.helpers.server_client import Serve

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.inference import Classifier
from fastlstm.serialization.early_exit import EarlyExit, ExitThreshold
from fastlstm.server.metrics import Metrics
from fastlstm.server.registry import ModelRegistry, QueuedText
from fastlstm.server.settings import Settings

TEXT = "This movie was really good, I enjoyed it!"


def test_string_gets_one_prediction_and_list_gets_a_batch(serve: Serve, folder: Path) -> None:
    client, model = serve(), fastlstm.load(folder)
    single = client.post("/predict", json={"inputs": TEXT}).json()
    probabilities = dict(zip(model.labels, map(float, model.predict_proba(TEXT)), strict=True))
    assert {score["label"]: score["score"] for score in single} == probabilities
    assert {score["known"] for score in single} == set(model.tokenize([TEXT]).known)
    assert single[0]["score"] >= single[1]["score"]
    batch = client.post("/predict", json={"inputs": [TEXT, "", "horrible"]}).json()
    assert batch[0] == single
    assert len(batch) == 3
    assert client.post("/predict", json={"inputs": [TEXT]}).json() == [single]
    assert client.post("/predict", json={"inputs": [[TEXT], [""], ["horrible"]]}).json() == batch


@pytest.mark.parametrize("truncate", ["end", "beginning", "both"])
def test_truncation_direction_selects_the_side_that_is_dropped(
    serve: Serve, make_model: MakeModel, tmp_path: Path, truncate: Literal["end", "beginning", "both"]
) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(7,), max_tokens=4, truncate=truncate)
    Classifier(make_model(config)).save(tmp_path / "model")
    client = serve({"m": tmp_path / "model"})
    words = ["movie", "really", "good", "enjoyed", "horrible", "film", "the"]

    def scores(text: str, **fields: Any) -> Any:
        return client.post("/predict", json={"inputs": text, **fields}).json()

    text = " ".join(words)
    for side, kept in (("left", words[-4:]), ("right", words[:4])):
        assert scores(text, truncation_direction=side) == scores(" ".join(kept))
        assert scores(text, truncation_direction=side.title()) == scores(" ".join(kept))
    default = {"end": words[-4:], "beginning": words[:4], "both": words[:2] + words[-2:]}[truncate]
    assert scores(text) == scores(text, truncation_direction=None) == scores(" ".join(default))
    assert scores(text, truncation_direction="left") != scores(text, truncation_direction="right")


def test_requests_with_different_truncation_share_a_batch(folder: Path) -> None:
    registry = ModelRegistry(Settings(models={"m": folder}), Metrics())
    long = "movie " * 20 + "good " * 20
    directions: tuple[Any, ...] = (None, "left", "right", "left")

    async def test() -> Any:
        registry.start()
        submit = registry.get("m").batcher.submit
        separate = [(await submit([QueuedText(long, direction)]))[1] for direction in directions]
        _, together = await submit([QueuedText(long, direction) for direction in directions])
        await registry.stop()
        return np.concatenate(separate), together

    separate, together = asyncio.run(test())
    np.testing.assert_array_equal(separate, together)
    assert together[1].tolist() == together[3].tolist() != together[2].tolist()


@pytest.mark.parametrize("text", ["zqx qzx", "", " \n", "\u3000"])
def test_text_without_known_tokens_has_scores_and_known_zero(serve: Serve, folder: Path, text: str) -> None:
    first, second = serve().post("/predict", json={"inputs": [text, TEXT]}).json()
    probabilities = fastlstm.load(folder).predict_proba(text)
    assert [score["score"] for score in first] == sorted(map(float, probabilities), reverse=True)
    assert {score["known"] for score in first} == {0.0}
    assert all(0 < score["known"] <= 1 for score in second)


def test_raw_scores_are_logits(serve: Serve) -> None:
    client = serve()
    raw = client.post("/predict", json={"inputs": TEXT, "raw_scores": True}).json()
    scores = client.post("/predict", json={"inputs": TEXT}).json()
    assert 1 / (1 + np.exp(-raw[0]["score"])) == pytest.approx(scores[0]["score"], abs=1e-6)
    assert raw[1]["score"] == -raw[0]["score"]


def test_texts_over_the_maximum_length_are_truncated_or_rejected(serve: Serve) -> None:
    client, long = serve(), "movie " * 31
    assert client.post("/predict", json={"inputs": long}).status_code == 200
    assert client.post("/predict", json={"inputs": long, "truncate": True}).status_code == 200
    rejected = client.post("/predict", json={"inputs": [TEXT, long], "truncate": False})
    assert rejected.status_code == 413
    assert client.codes == ["text-too-long"]


def test_requests_select_models_by_name(serve: Serve, folder: Path) -> None:
    client = serve({"one": folder, "two": folder})
    assert [model["name"] for model in client.get("/models").json()] == ["one", "two"]
    assert client.post("/predict", json={"inputs": TEXT, "model": "two"}).status_code == 200
    rejected = client.post("/predict", json={"inputs": TEXT, "model": "three"})
    assert (rejected.status_code, rejected.json()["error_type"]) == (404, "unknown_model")
    assert client.codes == ["unknown-model"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "missing-field"),
        ({"inputs": 5}, "not-a-text"),
        ({"inputs": None}, "not-a-text"),
        ({"inputs": {"text": "fine"}}, "not-a-text"),
        ({"inputs": ["fine", 5]}, "not-a-text"),
        ({"inputs": [["fine", "pair"]]}, "text-pair"),
        ({"inputs": "fine", "input": "x"}, "unknown-field"),
        ({"inputs": "fine", "raw_scores": "yes"}, "invalid-field"),
        ({"inputs": "fine", "truncation_direction": "up"}, "invalid-field"),
        ({"inputs": "fine", "truncation_direction": 1}, "invalid-field"),
        (["fine"], "invalid-field"),
    ],
)
def test_bodies_of_another_shape_are_rejected_with_a_code(serve: Serve, body: Any, code: str) -> None:
    client = serve()
    response = client.post("/predict", json=body)
    assert response.status_code == 422
    assert (response.json()["error_type"], response.json()["code"]) == ("validation", code)
    assert client.post("/predict", json={"inputs": "fine"}).status_code == 200


@pytest.mark.parametrize(
    ("inputs", "status", "code"),
    [
        ([], 422, "empty-batch"),
        (["x"] * 9, 413, "too-many-texts"),
        ("x" * 501, 413, "text-too-long"),
    ],
)
def test_texts_outside_the_limits_are_rejected(serve: Serve, inputs: Any, status: int, code: str) -> None:
    client = serve(max_texts=8, max_characters=500)
    response = client.post("/predict", json={"inputs": inputs})
    assert (response.status_code, response.json()["error_type"]) == (status, "validation")
    assert client.codes == [code]
    assert client.post("/predict", json={"inputs": "fine"}).status_code == 200


def test_invalid_unicode_is_rejected(serve: Serve) -> None:
    client = serve()
    content = json.dumps({"inputs": "\ud800"})
    response = client.post("/predict", content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error_type"]) == (422, "validation")
    assert client.codes == ["invalid-unicode"]
    assert client.post("/predict", json={"inputs": "fine"}).status_code == 200


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 100_000, b'{"inputs": ' + b"[" * 5000 + b"]" * 5000 + b"}", b"\xff\xfe", b"NaN"]
)
def test_invalid_json_is_rejected(serve: Serve, content: bytes) -> None:
    client = serve()
    response = client.post("/predict", content=content, headers={"content-type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.json()["error_type"] == "validation"
    assert response.json()["code"] == {b"": "missing-field", b"NaN": "invalid-field"}.get(content, "invalid-json")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_in_any_unicode_encoding_is_read(serve: Serve, encoding: str) -> None:
    client, text = serve(), "Très beau, 很好看"
    content = json.dumps({"inputs": text}, ensure_ascii=False).encode(encoding)
    response = client.post("/predict", content=content, headers={"content-type": "application/json"})
    assert response.json() == client.post("/predict", json={"inputs": text}).json()


def test_json_in_another_encoding_is_rejected(serve: Serve) -> None:
    content = '{"inputs": "très"}'.encode("latin-1")
    response = serve().post("/predict", content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (400, "invalid-json")


@pytest.mark.parametrize("text", ["", " ", "\0\x01\x7f", "👍🏽", "很好看", "\u202e", "x" * 5000, "<script>"])
def test_any_unicode_text_is_accepted(serve: Serve, text: str) -> None:
    client = serve()
    assert client.post("/predict", json={"inputs": text}).status_code == 200
    assert client.post("/explain", json={"text": text}).status_code == 200


def test_explanation_equals_the_model_s(serve: Serve, folder: Path) -> None:
    client, model = serve(), fastlstm.load(folder)
    response = client.post("/explain", json={"text": TEXT, "gates": 3}).json()
    expected = model.explain(TEXT).to_dict()
    assert response["label"] == response["explained_label"] == expected["label"]
    assert response["known"] == model.known(TEXT) == np.mean([token["known"] for token in response["tokens"]])
    attributions = [token["attribution"] for token in response["tokens"]]
    np.testing.assert_allclose(attributions, [token["attribution"] for token in expected["tokens"]], atol=1e-6)
    positive = [token["probabilities"]["positive"] for token in response["tokens"]]
    np.testing.assert_allclose(positive, model.trajectory(TEXT)[:, 1], atol=1e-7)
    assert response["units"] == 7
    forget = model.gates(TEXT).layers[-1].forget
    np.testing.assert_allclose(response["gates"]["forget"], forget[:, 3], atol=1e-7)


def test_explanation_marks_unknown_tokens(serve: Serve) -> None:
    response = serve().post("/explain", json={"text": "zqx movie, qzx"}).json()
    assert [(token["token"], token["known"]) for token in response["tokens"]] == [
        ("zqx", False),
        ("movie", True),
        (",", True),
        ("qzx", False),
    ]
    assert response["known"] == 0.5


@pytest.mark.parametrize("text", ["zqx qzx", "", " \n"])
def test_explanation_of_a_text_without_known_tokens_has_a_label_only_on_request(
    serve: Serve, folder: Path, text: str
) -> None:
    client, probabilities = serve(), fastlstm.load(folder).predict_proba(text)
    label = ["negative", "positive"][int(probabilities.argmax())]
    response = client.post("/explain", json={"text": text}).json()
    assert (response["label"], response["explained_label"], response["known"]) == (None, label, 0.0)
    assert list(response["probabilities"].values()) == pytest.approx(list(map(float, probabilities)), abs=1e-6)
    for fields, expected in (({"label_unknown": True}, label), ({"label": "negative"}, "negative")):
        response = client.post("/explain", json={"text": text, **fields}).json()
        assert response["label"] == response["explained_label"] == expected


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({"label": "nice"}, ["bad-option-value"]),
        ({"gates": 7}, ["unknown-unit"]),
        ({"method": "lime"}, []),  # rejected by the schema
        ({"text": ["a"]}, ["not-a-text"]),
        ({"text": None}, ["not-a-text"]),
        ({"text": 5}, ["not-a-text"]),
        ({"text": {"text": "a"}}, ["not-a-text"]),
    ],
)
def test_invalid_explanation_requests_are_rejected(serve: Serve, fields: dict[str, Any], codes: list[str]) -> None:
    client = serve()
    response = client.post("/explain", json={"text": TEXT, **fields})
    assert (response.status_code, response.json()["error_type"]) == (422, "validation")
    assert client.codes == codes


def test_explanation_of_a_text_with_too_many_tokens_is_rejected(serve: Serve) -> None:
    client = serve()
    assert client.post("/explain", json={"text": "a " * 1001}).status_code == 413
    assert client.codes == ["text-too-long"]


def test_server_with_early_exit_has_no_raw_scores(serve: Serve, make_model: MakeModel, tmp_path: Path) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(7,)))
    threshold = ExitThreshold(0.9, (0.0,), 0.5, 0.1)
    early = Classifier(dataclasses.replace(model, early_exit=EarlyExit((2,), (threshold,), 100)))
    early.save(tmp_path / "early")
    client = serve({"early": tmp_path / "early"}, min_agreement=0.9)
    prediction = client.post("/predict", json={"inputs": TEXT}).json()
    assert prediction[0]["score"] == float(early.predict_proba(TEXT, min_agreement=0.9).max())
    assert client.post("/predict", json={"inputs": TEXT, "raw_scores": True}).status_code == 422
    assert client.codes == ["raw-scores-unavailable"]
