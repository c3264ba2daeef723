"""Exports of models whose tokens are characters or subwords."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.exported_models import exported_inputs
from tests.helpers.ngram_models import with_ngrams
from tests.helpers.random_models import make_model
from tokenizers import Tokenizer

from fastlstm.config import ModelConfig
from fastlstm.config.options import Tokens
from fastlstm.convert.onnx import to_onnx
from fastlstm.convert.to_pytorch import write_pytorch
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel

EACH_KIND = pytest.mark.parametrize("kind", ["characters", "bpe", "unigram"])
TEXT = "Not a fantastic film<br />很好看, qwrtz: it was é good!"


def model_of(kind: Tokens) -> SavedModel:
    config = ModelConfig(tokens=kind, vocabulary_size=70, embedding_size=5, hidden_sizes=(4,), max_tokens=500)
    return with_ngrams(make_model(config, seed=5))


@EACH_KIND
def test_onnx_file_reads_what_its_tokenizer_returns(kind: Tokens) -> None:
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    model = model_of(kind)
    session = runtime.InferenceSession(to_onnx(model).SerializeToString(), providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    ids = np.array(Tokenizer.from_str(metadata["tokenizer"]).encode(TEXT).ids, np.int32)
    (probabilities,) = session.run(None, exported_inputs([ids]))
    np.testing.assert_allclose(probabilities[0], Classifier(model).predict_proba(TEXT), atol=1e-5)


@EACH_KIND
def test_pytorch_folder_has_the_tokenizer(kind: Tokens, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    model = model_of(kind)
    write_pytorch(model, tmp_path / "exported")
    tokenizer = Tokenizer.from_file(str(tmp_path / "exported" / "tokenizer.json"))
    for entry in json.loads((tmp_path / "exported" / "golden.json").read_text(encoding="utf-8")):
        assert (tokenizer.encode(entry["text"]).ids or [1]) == entry["ids"]
