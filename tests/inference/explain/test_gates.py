"""What a model's gates are, against the equations written out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.lstm_steps import steps_of

from fastlstm.config import ModelConfig
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import SavedModel

MakeModel = Callable[..., SavedModel]
TEXT = "This movie was <br />NOT fantastic, 很好看 nobodyhasseenthis!"
TOKENS = ("This", "movie", "was", "NOT", "fantastic", ",", "很", "好", "看", "nobodyhasseenthis", "!")


def test_they_are_those_written_out(make_model: MakeModel, shape: dict[str, Any]) -> None:
    model = make_model(ModelConfig(**shape), seed=1)
    classifier = Classifier(model)
    gates = classifier.gates(TEXT)
    assert gates.tokens == TOKENS
    (ids,) = classifier.encode([TEXT]).ids
    vectors = torch.from_numpy(model.weights["embedding.weight"][ids]).double()
    expected = steps_of(model.config, model.weights, vectors)
    assert [f"lstm.{of.layer}.{of.direction}" for of in gates.layers] == list(expected)
    names = {"i": "input", "f": "forget", "g": "candidate", "o": "output", "c": "cell", "h": "hidden"}
    for of, steps in zip(gates.layers, expected.values(), strict=True):
        for letter, name in names.items():
            came = getattr(of, name)
            assert came.dtype == np.float32
            np.testing.assert_allclose(came, torch.stack(steps[letter]).numpy(), atol=2e-6)


@pytest.mark.parametrize(("truncate", "kept"), [("end", TOKENS[-4:]), ("both", (*TOKENS[:2], *TOKENS[-2:]))])
def test_of_a_longer_text_those_of_the_tokens_that_are_read(
    make_model: MakeModel, truncate: Any, kept: tuple[str, ...]
) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), max_tokens=4, truncate=truncate)
    gates = Classifier(make_model(config)).gates(TEXT)
    assert gates.tokens == kept
    assert gates.layers[0].input.shape == (4, 4)


def test_a_text_without_a_token_has_the_gates_of_one_unknown_token(make_model: MakeModel) -> None:
    gates = Classifier(make_model()).gates(" ")
    assert gates.tokens == (" ",)
    assert gates.layers[-1].hidden.shape == (1, 3)


@pytest.mark.parametrize("text", [None, 3, b"bytes", ["a list"], "\ud800"])
def test_what_is_no_text_is_refused(make_model: MakeModel, text: Any) -> None:
    classifier = Classifier(make_model())
    for ask in (classifier.gates, classifier.explain, classifier.trajectory):
        with pytest.raises(DataError, match=r"expected (one )?text"):
            ask(text)


def test_they_are_drawn(make_model: MakeModel) -> None:
    gates = Classifier(make_model()).gates("$not a formula$ 很 _x_ ^")
    figure = gates.plot(0, units=3)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["input", "forget", "output", "candidate", "cell", "hidden"]
    assert [label.get_text() for label in panels[0].get_xticklabels()] == list(gates.tokens)
    shown: Any = panels[0].images[0].get_array()
    assert shown.shape == (3, len(gates.tokens))
    figure.canvas.draw()
    with pytest.raises(OptionError, match="layer is 2; the model has 2, counted from 0"):
        gates.plot(2)
