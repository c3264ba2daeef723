"""The Open Inference Protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.server_client import Serve

import fastlstm

TEXTS = ["I really enjoyed it.", "horrible movie"]
INFER = "/v2/models/small/infer"


def tensor(**fields: Any) -> dict[str, Any]:
    return {"name": "text", "shape": [2], "datatype": "BYTES", "data": TEXTS, **fields}


def test_metadata_routes_describe_server_and_model(serve: Serve) -> None:
    client = serve()
    assert client.get("/v2").json()["name"] == "fastlstm"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/small/ready").json() == {"name": "small", "ready": True}
    metadata = client.get("/v2/models/small").json()
    assert metadata["labels"] == ["negative", "positive"]
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert client.get("/v2/models/other").status_code == 404


@pytest.mark.parametrize(
    ("shape", "data"),
    [
        ([2], TEXTS),
        ([2, 1], TEXTS),
        ([1, 2], TEXTS),
        ([1, 2], [TEXTS]),
        ([2, 1], [[text] for text in TEXTS]),
    ],
)
def test_infer_returns_the_model_s_probabilities_and_labels(
    serve: Serve, folder: Path, shape: list[int], data: list[Any]
) -> None:
    model = fastlstm.load(folder)
    response = serve().post(INFER, json={"id": "7", "inputs": [tensor(shape=shape, data=data)]}).json()
    assert (response["model_name"], response["model_version"], response["id"]) == ("small", "1", "7")
    probabilities, label, known = response["outputs"]
    assert probabilities["shape"] == [2, 2]
    np.testing.assert_allclose(
        np.array(probabilities["data"], np.float32).reshape(2, 2), model.predict_proba(TEXTS)
    )
    assert label == {"name": "label", "datatype": "BYTES", "shape": [2], "data": model.predict(TEXTS)}
    fractions = model.tokenize(TEXTS).known.tolist()
    assert known == {"name": "known", "datatype": "FP64", "shape": [2], "data": fractions}
    assert min(fractions) > 0


@pytest.mark.parametrize("text", ["zqx qzx", "", "  ", "\u3000"])
def test_text_without_known_tokens_has_an_empty_label_unless_requested(
    serve: Serve, folder: Path, text: str
) -> None:
    client = serve()
    body = {"inputs": [tensor(data=[text, TEXTS[0]])]}
    probabilities, label, known = client.post(INFER, json=body).json()["outputs"]
    expected = fastlstm.load(folder).predict_proba([text, TEXTS[0]])
    np.testing.assert_array_equal(np.array(probabilities["data"], np.float32).reshape(2, 2), expected)
    assert label["data"] == ["", fastlstm.load(folder).predict(TEXTS[0])]
    assert known["data"][0] == 0 < known["data"][1]
    labelled = client.post(INFER, json={**body, "parameters": {"label_unknown": True}}).json()["outputs"][1]
    assert labelled["data"][0] == ["negative", "positive"][int(expected[0].argmax())]
    rejected = client.post(INFER, json={**body, "parameters": {"label_unknown": "yes"}})
    assert (rejected.status_code, rejected.json()["code"]) == (422, "invalid-field")


def test_infer_returns_only_requested_outputs(serve: Serve) -> None:
    body = {"inputs": [tensor()], "outputs": [{"name": "label"}], "parameters": {"x": 1}}
    response = serve().post(INFER, json=body).json()
    assert [output["name"] for output in response["outputs"]] == ["label"]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"inputs": []}, "bad-inputs"),
        ({"inputs": [tensor(name="ids")]}, "bad-inputs"),
        ({"inputs": [tensor(), tensor()]}, "bad-inputs"),
        ({"inputs": [tensor(datatype="FP32")]}, "bad-datatype"),
        ({"inputs": [tensor(data=[1, 2])]}, "not-a-text"),
        ({"inputs": [tensor(data=["a", None])]}, "not-a-text"),
        ({"inputs": [tensor(shape=[3])]}, "bad-shape"),
        ({"inputs": [tensor(shape=[])]}, "bad-shape"),
        ({"inputs": [tensor(shape=[2, 1, 1])]}, "bad-shape"),
        ({"inputs": [tensor(shape=[2, 2], data=[TEXTS, TEXTS])]}, "bad-shape"),
        ({"inputs": [tensor(data=[TEXTS])]}, "bad-shape"),
        ({"inputs": [tensor(shape=[2, 1], data=[TEXTS])]}, "bad-shape"),
        ({"inputs": [tensor(data=[["a"], "b"])]}, "not-a-text"),
        ({"inputs": [tensor(shape=[2, 1], data=[["a"], "b"])]}, "bad-shape"),
        ({"inputs": [tensor(shape=[1, 2], data=[["a", ["b"]]])]}, "not-a-text"),
        ({"inputs": [tensor(shape=[0], data=[])]}, "empty-batch"),
        ({"outputs": [{"name": "logits"}]}, "unknown-output"),
        ({"outputs": [{"name": "label"}] * 2}, "duplicate-output"),
    ],
)
def test_invalid_requests_are_rejected(serve: Serve, fields: dict[str, Any], code: str) -> None:
    client = serve()
    response = client.post(INFER, json={"inputs": [tensor()], **fields})
    assert (response.status_code, response.json()["error_type"]) == (422, "validation")
    assert client.codes == [code]


def test_version_in_the_path_must_be_the_served_one(serve: Serve) -> None:
    client, body = serve(), {"inputs": [tensor()]}
    assert client.get("/v2/models/small").json()["versions"] == ["1"]
    assert client.get("/v2/models/small/versions/1").json() == client.get("/v2/models/small").json()
    assert client.get("/v2/models/small/versions/1/ready").json() == {"name": "small", "ready": True}
    versioned = client.post("/v2/models/small/versions/1/infer", json=body)
    assert versioned.json() == client.post(INFER, json=body).json()
    for response in (
        client.get("/v2/models/small/versions/2"),
        client.get("/v2/models/small/versions/2/ready"),
        client.post("/v2/models/small/versions/2/infer", json=body),
    ):
        assert (response.status_code, response.json()["code"]) == (404, "unknown-version")


def test_response_without_id_has_no_id(serve: Serve) -> None:
    response = serve().post(INFER, json={"inputs": [tensor()]}).json()
    assert response.keys() == {"model_name", "model_version", "outputs"}
    assert all("parameters" not in output for output in response["outputs"])


@pytest.mark.parametrize(
    ("fields", "codes"),
    [
        ({"id": "\ud800"}, []),  # rejected by the schema
        ({"inputs": [tensor(name="\ud800")]}, ["bad-inputs"]),
        ({"inputs": [tensor(datatype="\ud800")]}, ["bad-datatype"]),
        ({"outputs": [{"name": "\ud800"}]}, ["unknown-output"]),
    ],
)
def test_invalid_unicode_in_fields_that_responses_quote_is_rejected(
    serve: Serve, fields: dict[str, Any], codes: list[str]
) -> None:
    client = serve()
    content = json.dumps({"inputs": [tensor()], **fields})
    response = client.post(INFER, content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error_type"]) == (422, "validation")
    assert client.codes == codes
