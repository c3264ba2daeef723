"""Exported ONNX models in ONNX Runtime, compared with the classifier."""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import Any

import numpy as np
import pytest
from tests.helpers.exported_models import (
    OUTPUTS,
    SHAPES,
    expected_probabilities,
    exported_inputs,
    random_token_ids,
)
from tests.helpers.ngram_models import with_many_ngrams, with_ngrams
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.config.classifier import NGramKinds
from fastlstm.convert.onnx import rounded_model, to_onnx
from fastlstm.convert.onnx_graph import ONNXStorage
from fastlstm.errors import MissingDependencyError, OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.golden import GOLDEN_TEXTS
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
    (probabilities,) = onnx_session.run(None, exported_inputs(texts))
    np.testing.assert_allclose(probabilities, Classifier(model).network.probabilities(texts), atol=1e-5)
    (more_padding,) = onnx_session.run(None, exported_inputs(texts, padding_id=3, extra_padding=9))
    np.testing.assert_allclose(more_padding, probabilities, atol=1e-6)


@pytest.mark.parametrize("kinds", ["pairs", "places"])
@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c")])
def test_ngrams_in_the_graph_match_the_classifier(
    make_model: MakeModel, kinds: NGramKinds, labels: tuple[str, ...]
) -> None:
    model = with_many_ngrams(make_model(ModelConfig(embedding_size=5, max_tokens=40), labels, seed=4), kinds)
    onnx_session = session(model)
    for count, max_length in ((1, 1), (1, 2), (1, 3), (5, 40), (9, 350)):
        texts = random_token_ids(model, count, max_length)
        (probabilities,) = onnx_session.run(None, exported_inputs(texts, extra_padding=max_length % 3))
        np.testing.assert_allclose(probabilities, expected_probabilities(model, texts), atol=1e-5)


def test_texts_without_known_ngrams_have_no_ngram_logits(make_model: MakeModel) -> None:
    model = with_ngrams(make_model())
    unknown = np.setdiff1d(np.arange(1000, dtype=np.int32), model.integer_arrays["wide.ngrams"])
    other = dataclasses.replace(
        model, integer_arrays={"wide.ngrams": unknown[: model.config.ngrams].astype(np.int32)}
    )
    texts = random_token_ids(model, 3, 9)
    (probabilities,) = session(other).run(None, exported_inputs(texts))
    np.testing.assert_allclose(probabilities, expected_probabilities(other, texts), atol=1e-6)


@pytest.mark.parametrize("truncate", ["end", "beginning", "both"])
@pytest.mark.parametrize("padding", ["none", "front", "back"])
def test_graph_truncates_and_pads_as_the_classifier_does(
    make_model: MakeModel, truncate: str, padding: str
) -> None:
    options: dict[str, Any] = {"truncate": truncate, "padding": padding}
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), max_tokens=7, **options), seed=1)
    onnx_session = session(model)
    for max_length in (1, 6, 7, 8, 30):
        texts = random_token_ids(model, 4, max_length)
        (probabilities,) = onnx_session.run(None, exported_inputs(texts, padding_id=5))
        np.testing.assert_allclose(probabilities, expected_probabilities(model, texts), atol=1e-5)


@pytest.mark.parametrize("padding", ["none", "front"])
def test_text_of_length_zero_is_an_empty_text(make_model: MakeModel, padding: str) -> None:
    options: dict[str, Any] = {"padding": padding}
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), max_tokens=7, **options), seed=1)
    inputs = {"ids": np.full((2, 3), 4), "lengths": np.array([0, 3])}
    (probabilities,) = session(model).run(None, inputs)
    np.testing.assert_allclose(probabilities[0], Classifier(model).predict_proba(""), atol=1e-5)


@pytest.mark.parametrize(("storage", "ngrams"), [("float32", True), ("int8", True), ("float32", False)])
def test_golden_texts_of_the_metadata_have_their_probabilities(
    make_model: MakeModel, storage: ONNXStorage, ngrams: bool
) -> None:
    model = with_ngrams(make_model(ModelConfig(embedding_size=20, hidden_sizes=(17,), max_tokens=30), seed=3))
    onnx_session = session(model, storage, ngrams=ngrams)
    metadata = onnx_session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["labels"]) == list(model.labels)
    golden = json.loads(metadata["golden"])
    for entry in golden:
        (probabilities,) = onnx_session.run(None, exported_inputs([np.array(entry["ids"], np.int32)]))
        np.testing.assert_allclose(probabilities[0], entry["probabilities"], atol=1e-5)
    assert [entry["text"] for entry in golden] == list(GOLDEN_TEXTS)
    expected = Classifier(model).predict_proba(GOLDEN_TEXTS)
    is_same = np.allclose([entry["probabilities"] for entry in golden], expected, atol=1e-6)
    assert is_same == (storage == "float32" and ngrams)


def test_graph_without_ngrams_is_the_lstm_alone(make_model: MakeModel) -> None:
    model = make_model(seed=3)
    texts = random_token_ids(model, 5, 9)
    (probabilities,) = session(with_ngrams(model), ngrams=False).run(None, exported_inputs(texts))
    np.testing.assert_allclose(probabilities, expected_probabilities(model, texts), atol=1e-5)


def test_linear_model_has_no_export_without_ngrams(make_model: MakeModel) -> None:
    model = with_ngrams(make_model())
    arrays = {**model.weights, "output.weight": np.zeros_like(model.weights["output.weight"])}
    with pytest.raises(OptionError) as raised:
        to_onnx(dataclasses.replace(model, weights=arrays), ngrams=False)
    assert raised.value.code == "linear-without-ngrams"


@pytest.mark.parametrize("shape", ["last", "concat, bidirectional"])
def test_int8_model_is_smaller_and_close_to_the_classifier(make_model: MakeModel, shape: str) -> None:
    config = ModelConfig(embedding_size=5, **{"hidden_sizes": (40,), **SHAPES[shape]})
    model = make_model(config, seed=2)
    texts = random_token_ids(model, 20, 20)
    (probabilities,) = session(model, "int8").run(None, exported_inputs(texts))
    exact = Classifier(model).network.probabilities(texts)
    rounded = Classifier(rounded_model(model, "int8")).network.probabilities(texts)
    np.testing.assert_allclose(probabilities, rounded, atol=1e-5)
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
        inputs = exported_inputs([text[start : start + 7]], extra_padding=0)
        outputs = dict(zip(names, onnx_session.run(names, {**inputs, **states}), strict=True))
        states = {name.removesuffix("_after"): value for name, value in outputs.items() if name.endswith("_after")}
    expected = Classifier(model).network.probabilities([text])
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)


@pytest.mark.parametrize(("option", "value"), [("bidirectional", True), ("pooling", "mean"), ("padding", "back")])
def test_states_of_an_unsupported_model_raise_option_error(
    make_model: MakeModel, option: str, value: object
) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), **{option: value}))  # type: ignore[arg-type]
    with pytest.raises(OptionError) as raised:
        to_onnx(model, states=True)
    assert raised.value.code == "unsupported-states"
    assert raised.value.values[option] == value


def test_states_of_a_model_with_ngrams_need_an_export_without_them(make_model: MakeModel) -> None:
    model = with_ngrams(make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,))))
    with pytest.raises(OptionError) as raised:
        to_onnx(model, states=True)
    assert raised.value.code == "unsupported-states"
    assert raised.value.ngrams == model.config.ngrams
    assert "h_0" in {value.name for value in session(model, states=True, ngrams=False).get_inputs()}


def test_missing_onnx_raises_missing_dependency_error(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError) as raised:
        to_onnx(make_model())
    assert (raised.value.package, raised.value.extra) == ("onnx", "export")
