"""An exported model in onnxruntime, against the classifier."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.inference.explain.test_attribution import with_ngrams

from fastlstm.config import ModelConfig
from fastlstm.convert.onnx import onnx_model
from fastlstm.errors import MissingDependencyError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel

onnxruntime = pytest.importorskip("onnxruntime")
MakeModel = Callable[..., SavedModel]

SHAPES: dict[str, dict[str, Any]] = {
    "last": {"pooling": "last"},
    "max, both directions": {"pooling": "max", "bidirectional": True},
    "mean": {"pooling": "mean", "hidden_sizes": (17,)},
    "concat, both directions": {"pooling": "concat", "bidirectional": True, "hidden_sizes": (5, 7)},
    "concat": {"pooling": "concat", "hidden_sizes": (37,)},
}
OUTPUTS = {
    "two classes": (("a", "b"), "auto"),
    "softmax of two": (("a", "b"), "softmax"),
    "five": (("a", "b", "c", "d", "e"), "auto"),
    "sigmoid of three": (("a", "b", "c"), "sigmoid"),
}


def session(model: SavedModel, *arguments: Any, **options: Any) -> Any:
    made = onnx_model(model, *arguments, **options)
    return onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])


def texts(model: SavedModel, count: int, longest: int) -> list[Any]:
    generator = np.random.default_rng(count + longest)
    lengths = generator.integers(1, longest + 1, count)
    return [generator.integers(0, model.config.vocabulary_size, int(n), np.int32) for n in lengths]


def inputs_of(model: SavedModel, read: list[Any], padding: int = 0, more: int = 3) -> dict[str, Any]:
    lengths = np.array([len(ids) for ids in read])
    ids = np.full((len(read), lengths.max() + more), padding)
    for row, of in zip(ids, read, strict=True):
        row[: len(of)] = of
    fed = {"ids": ids, "lengths": lengths}
    wide = Classifier(model).network.wide
    return fed if wide is None else {**fed, "evidence": wide(read)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("outputs", OUTPUTS)
def test_it_answers_as_the_classifier(make_model: MakeModel, shape: str, outputs: str) -> None:
    labels, activation = OUTPUTS[outputs]
    config = ModelConfig(embedding_size=5, activation=activation, **{"hidden_sizes": (4, 3), **SHAPES[shape]})  # type: ignore[arg-type]
    model = with_ngrams(make_model(config, labels, seed=2, temperature=1.7))
    run = session(model)
    for count, longest in ((1, 1), (1, 40), (7, 23), (64, 11)):
        read = texts(model, count, longest)
        (came,) = run.run(None, inputs_of(model, read))
        np.testing.assert_allclose(came, Classifier(model).network.probabilities(read), atol=1e-5)
        (again,) = run.run(None, inputs_of(model, read, padding=3, more=9))
        np.testing.assert_allclose(again, came, atol=1e-6)


@pytest.mark.parametrize("shape", ["last", "concat, both directions"])
def test_in_int8_it_answers_as_the_classifier_of_these_weights(make_model: MakeModel, shape: str) -> None:
    config = ModelConfig(embedding_size=5, **{"hidden_sizes": (40,), **SHAPES[shape]})
    model = make_model(config, seed=2)
    read = texts(model, 20, 20)
    small, large = (onnx_model(model, storage).ByteSize() for storage in ("int8", "float32"))
    (came,) = session(model, "int8").run(None, inputs_of(model, read))
    exact = Classifier(model).network.probabilities(read)
    assert 0 < np.abs(came - exact).max() < 0.02
    assert small < large


def test_with_states_a_text_is_read_in_pieces(make_model: MakeModel) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4, 3)), seed=2)
    (text,) = texts(model, 1, 40)
    run = session(model, states=True)
    state = {
        f"{of}_{layer}": np.zeros((1, 1, size), np.float32) for layer, size in enumerate((4, 3)) for of in "hc"
    }
    names = [output.name for output in run.get_outputs()]
    for at in range(0, len(text), 7):
        came = dict(
            zip(names, run.run(names, {**inputs_of(model, [text[at : at + 7]], more=0), **state}), strict=True)
        )
        state = {name.removesuffix("_after"): value for name, value in came.items() if name.endswith("_after")}
    np.testing.assert_allclose(came["probabilities"], Classifier(model).network.probabilities([text]), atol=1e-5)


def test_states_that_do_not_make_the_answer_are_refused(make_model: MakeModel) -> None:
    for changes in ({"bidirectional": True}, {"pooling": "mean"}):
        model = make_model(dataclasses.replace(ModelConfig(embedding_size=5, hidden_sizes=(4,)), **changes))
        with pytest.raises(OptionError, match="states were asked for"):
            onnx_model(model, states=True)


def test_without_onnx_it_says_what_to_install(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingDependencyError, match=r"fastlstm\[export\]"):
        onnx_model(make_model())
