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


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_infer_returns_the_model_s_probabilities_and_labels(serve: Serve, folder: Path, shape: list[int]) -> None:
    model = fastlstm.load(folder)
    response = serve().post(INFER, json={"id": "7", "inputs": [tensor(shape=shape)]}).json()
    assert (response["model_name"], response["model_version"], response["id"]) == ("small", "1", "7")
    probabilities, label = response["outputs"]
    assert probabilities["shape"] == [2, 2]
    np.testing.assert_allclose(
        np.array(probabilities["data"], np.float32).reshape(2, 2), model.predict_proba(TEXTS)
    )
    assert label == {**label, "name": "label", "datatype": "BYTES", "shape": [2], "data": model.predict(TEXTS)}


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
        ({"inputs": [tensor(data=[1, 2])]}, "bad-datatype"),
        ({"inputs": [tensor(shape=[3])]}, "bad-shape"),
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
