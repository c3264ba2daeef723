"""The Open Inference Protocol."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.server.conftest import Serve

import fastlstm

TEXTS = ["Not bad at all.", "horrible movie"]


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "text", "shape": [2], "datatype": "BYTES", "data": TEXTS, **changes}


def test_a_client_finds_out_what_there_is(serve: Serve) -> None:
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
def test_texts_are_inferred(serve: Serve, folder: Path, shape: list[int]) -> None:
    model = fastlstm.load(folder)
    came = serve().post("/v2/models/small/infer", json={"id": "7", "inputs": [tensor(shape=shape)]}).json()
    assert (came["model_name"], came["model_version"], came["id"]) == ("small", "1", "7")
    probabilities, label = came["outputs"]
    assert probabilities["shape"] == [2, 2]
    np.testing.assert_allclose(
        np.array(probabilities["data"], np.float32).reshape(2, 2), model.predict_proba(TEXTS)
    )
    assert label == {**label, "name": "label", "datatype": "BYTES", "shape": [2], "data": model.predict(TEXTS)}


def test_only_what_was_asked_for_is_given(serve: Serve) -> None:
    body = {"inputs": [tensor()], "outputs": [{"name": "label"}], "parameters": {"x": 1}}
    came = serve().post("/v2/models/small/infer", json=body).json()
    assert [output["name"] for output in came["outputs"]] == ["label"]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ([], "inputs are none; expected one, text"),
        ([tensor(name="ids")], "inputs are ids; expected one, text"),
        ([tensor(), tensor()], "expected one, text"),
        ([tensor(datatype="FP32")], "text has datatype FP32; expected BYTES"),
        ([tensor(data=[1, 2])], "expected BYTES: strings"),
        ([tensor(shape=[3])], "text has shape [3] and 2 strings"),
        ([tensor(shape=[0], data=[])], "the batch is empty"),
    ],
)
def test_what_is_no_batch_of_texts_is_refused(serve: Serve, inputs: list[Any], says: str) -> None:
    came = serve().post("/v2/models/small/infer", json={"inputs": inputs})
    assert came.status_code == 422
    assert says in came.json()["error"]


def test_an_unknown_output_is_refused(serve: Serve) -> None:
    body = {"inputs": [tensor()], "outputs": [{"name": "logits"}]}
    came = serve().post("/v2/models/small/infer", json=body)
    assert came.status_code == 422
    assert "unknown output 'logits'; there are: probabilities, label" in came.json()["error"]


def test_an_output_is_given_once(serve: Serve) -> None:
    body = {"inputs": [tensor()], "outputs": [{"name": "label"}] * 2}
    came = serve().post("/v2/models/small/infer", json=body)
    assert came.status_code == 422
    assert "an output is asked for twice" in came.json()["error"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"id": "\ud800", "inputs": [tensor()]}, "lone surrogates"),
        ({"inputs": [tensor(name="\ud800")]}, "inputs are ?; expected one, text"),
        ({"inputs": [tensor(datatype="\ud800")]}, "text has datatype ?; expected BYTES"),
        ({"inputs": [tensor()], "outputs": [{"name": "\ud800"}]}, "unknown output"),
    ],
)
def test_what_an_answer_would_repeat_may_be_no_unicode(serve: Serve, body: Any, says: str) -> None:
    came = serve().post(
        "/v2/models/small/infer", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert came.status_code == 422
    assert says in came.json()["error"]
