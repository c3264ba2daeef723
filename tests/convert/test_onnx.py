"""Exported ONNX models in ONNX Runtime, compared with the classifier."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from tests.helpers.exported_models import OUTPUTS, SHAPES, exported_inputs, random_token_ids
from tests.helpers.ngram_models import with_ngrams
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.convert.onnx import to_onnx
from fastlstm.errors import MissingDependencyError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel

onnxruntime = pytest.importorskip("onnxruntime")


def session(model: SavedModel, *arguments: Any, **options: Any) -> Any:
    exported = to_onnx(model, *arguments, **options)
    return onnxruntime.InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("outputs", OUTPUTS)
@pytest.mark.parametrize(("count", "max_length"), [(1, 1), (1, 40), (7, 23), (64, 11)])
def test_onnx_model_matches_the_classifier_whatever_the_padding(
    make_model: MakeModel, shape: str, outputs: str, count: int, max_length: int
) -> None:
    labels, activation = OUTPUTS[outputs]
    config = ModelConfig(embedding_size=5, activation=activation, **{"hidden_sizes": (4, 3), **SHAPES[shape]})  # type: ignore[arg-type]
    model = with_ngrams(make_model(config, labels, seed=2, temperature=1.7))
    onnx_session, texts = session(model), random_token_ids(model, count, max_length)
    (probabilities,) = onnx_session.run(None, exported_inputs(model, texts))
    np.testing.assert_allclose(probabilities, Classifier(model).network.probabilities(texts), atol=1e-5)
    (more_padding,) = onnx_session.run(None, exported_inputs(model, texts, padding_id=3, extra_padding=9))
    np.testing.assert_allclose(more_padding, probabilities, atol=1e-6)


@pytest.mark.parametrize("shape", ["last", "concat, bidirectional"])
def test_int8_model_is_smaller_and_close_to_the_classifier(make_model: MakeModel, shape: str) -> None:
    config = ModelConfig(embedding_size=5, **{"hidden_sizes": (40,), **SHAPES[shape]})
    model = make_model(config, seed=2)
    texts = random_token_ids(model, 20, 20)
    (probabilities,) = session(model, "int8").run(None, exported_inputs(model, texts))
    exact = Classifier(model).network.probabilities(texts)
    assert 0 < np.abs(probabilities - exact).max() < 0.02
    assert to_onnx(model, "int8").ByteSize() < to_onnx(model, "float32").ByteSize()


def test_a_text_read_in_parts_with_states_matches_the_classifier(make_model: MakeModel) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4, 3)), seed=2)
    (text,) = random_token_ids(model, 1, 40)
    onnx_session = session(model, states=True)
    states = {
        f"{state}_{layer}": np.zeros((1, 1, size), np.float32)
        for layer, size in enumerate((4, 3))
        for state in "hc"
    }
    names = [output.name for output in onnx_session.get_outputs()]
    for start in range(0, len(text), 7):
        inputs = exported_inputs(model, [text[start : start + 7]], extra_padding=0)
        outputs = dict(zip(names, onnx_session.run(names, {**inputs, **states}), strict=True))
        states = {name.removesuffix("_after"): value for name, value in outputs.items() if name.endswith("_after")}
    expected = Classifier(model).network.probabilities([text])
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize(("option", "value"), [("bidirectional", True), ("pooling", "mean")])
def test_states_of_an_unsupported_model_raise_option_error(
    make_model: MakeModel, option: str, value: object
) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), **{option: value}))  # type: ignore[arg-type]
    with pytest.raises(OptionError) as raised:
        to_onnx(model, states=True)
    assert raised.value.code == "unsupported-states"
    assert raised.value.values[option] == value


def test_missing_onnx_raises_missing_dependency_error(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError) as raised:
        to_onnx(make_model())
    assert (raised.value.package, raised.value.extra) == ("onnx", "export")
