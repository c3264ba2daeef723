"""The server with models of characters and subwords: the answers of the model in Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.helpers.random_models import MakeModel
from tests.helpers.server_client import Serve

from fastlstm.config import ModelConfig
from fastlstm.config.options import Tokens
from fastlstm.inference import Classifier

TEXT = "This movie was really good, 很好看!"


@pytest.mark.parametrize("tokens", ["characters", "bpe", "unigram"])
def test_answers_are_those_of_the_model(
    serve: Serve, make_model: MakeModel, tmp_path: Path, tokens: Tokens
) -> None:
    config = ModelConfig(
        tokens=tokens,
        vocabulary_size=60,
        embedding_size=5,
        hidden_sizes=(7,),
        max_tokens=90,
    )
    model = Classifier(make_model(config))
    model.save(tmp_path / "model")
    client = serve({"subwords": tmp_path / "model"})
    probabilities = dict(zip(model.labels, map(float, model.predict_proba(TEXT)), strict=True))

    (scores,) = client.post("/predict", json={"inputs": [TEXT]}).json()
    assert {score["label"]: score["score"] for score in scores} == pytest.approx(probabilities, abs=1e-6)
    assert {score["known"] for score in scores} == {model.known(TEXT)}

    explained = client.post("/explain", json={"text": TEXT}).json()
    expected = model.explain(TEXT).to_dict()
    assert [token["token"] for token in explained["tokens"]] == [token["token"] for token in expected["tokens"]]
    attributions = [token["attribution"] for token in explained["tokens"]]
    np.testing.assert_allclose(attributions, [token["attribution"] for token in expected["tokens"]], atol=1e-6)

    with client.websocket_connect("/stream") as socket:
        for end in range(5, len(TEXT), 5):
            socket.send_json({"text": TEXT[end - 5 : end]})
            socket.receive_json()
        socket.send_json({"text": TEXT[end:], "end": True})
        last = socket.receive_json()
    assert last["probabilities"] == pytest.approx(probabilities, abs=1e-6)
