"""The requests that docs/http.md shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click
import pytest
from tests.helpers.server_client import Serve

from fastlstm.cli.main import group
from fastlstm.pretrained import DEFAULT_CLASSIFIER, bundled_model

DOCUMENT = (Path(__file__).parents[2] / "docs" / "http.md").read_text(encoding="utf-8")
REQUESTS = re.findall(r"curl -s localhost:8000(\S+) -H '[^']*'[\s\\]*-d '(.*?)'", DOCUMENT)


@pytest.fixture
def bundled(serve: Serve) -> Serve:
    return lambda: serve({DEFAULT_CLASSIFIER: bundled_model(DEFAULT_CLASSIFIER)})


@pytest.mark.parametrize(("path", "body"), REQUESTS)
def test_documented_requests_succeed(bundled: Serve, path: str, body: str) -> None:
    assert bundled().post(path, json=json.loads(body)).status_code == 200


def test_documented_prediction_is_the_server_s_response(bundled: Serve) -> None:
    path, body = REQUESTS[0]
    (documented,) = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
    response = bundled().post(path, json=json.loads(body)).json()
    rounded = [[{**score, "score": round(score["score"], 3)} for score in prediction] for prediction in response]
    assert rounded == json.loads(documented)


def test_documented_paths_are_those_of_the_api_description(serve: Serve) -> None:
    described = serve().get("/openapi.json").json()["paths"]
    documented = re.findall(r"(GET|POST) (/[a-z0-9/]*)`", DOCUMENT)
    assert {path for path in described if not path.startswith("/v2")} <= {path for _, path in documented}
    for method, path in documented:
        assert method.lower() in described[path]


def test_api_description_has_the_fields_of_requests_and_errors(serve: Serve) -> None:
    schemas = serve().get("/openapi.json").json()["components"]["schemas"]
    inputs = schemas["PredictRequest"]["properties"]["inputs"]
    assert [form["type"] for form in inputs["anyOf"]] == ["string", "array"]
    assert schemas["PredictRequest"]["properties"]["truncation_direction"]["anyOf"][0]["enum"] == ["left", "right"]
    assert schemas["ExplainRequest"]["properties"]["label_unknown"]["type"] == "boolean"
    assert schemas["Score"]["required"] == ["label", "score", "known"]
    assert schemas["ErrorBody"]["required"] == ["error", "error_type", "code"]


def test_documented_options_exist() -> None:
    command = group.get_command(click.Context(group), "serve")
    assert command is not None
    options = {option for parameter in command.params for option in parameter.opts}
    assert set(re.findall(r"`(--[a-z-]+)", DOCUMENT)) <= options
