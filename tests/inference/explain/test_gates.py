"""`Classifier.gates`, compared with the LSTM's equations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.lstm_steps import lstm_steps
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.errors import DataError, OptionError
from fastlstm.inference import Classifier

TEXT = "This movie was <br />NOT fantastic, 很好看 nobodyhasseenthis!"
TOKENS = ("This", "movie", "was", "NOT", "fantastic", ",", "很", "好", "看", "nobodyhasseenthis", "!")


def test_gates_equal_the_equations(make_model: MakeModel, config_fields: dict[str, Any]) -> None:
    model = make_model(ModelConfig(**config_fields), seed=1)
    classifier = Classifier(model)
    gates = classifier.gates(TEXT)
    assert gates.tokens == TOKENS
    (ids,) = classifier.tokenize([TEXT]).ids
    vectors = torch.from_numpy(model.weights["embedding.weight"][ids]).double()
    expected = lstm_steps(model.config, model.weights, vectors)
    assert [f"lstm.{layer.layer}.{layer.direction}" for layer in gates.layers] == list(expected)
    names = {"i": "input", "f": "forget", "g": "candidate", "o": "output", "c": "cell", "h": "hidden"}
    for layer, steps in zip(gates.layers, expected.values(), strict=True):
        for letter, name in names.items():
            values = getattr(layer, name)
            assert values.dtype == np.float32
            np.testing.assert_allclose(values, torch.stack(steps[letter]).numpy(), atol=2e-6)


@pytest.mark.parametrize(("truncate", "kept"), [("end", TOKENS[-4:]), ("both", (*TOKENS[:2], *TOKENS[-2:]))])
def test_gates_of_a_truncated_text_are_those_of_the_tokens_kept(
    make_model: MakeModel, truncate: Any, kept: tuple[str, ...]
) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), max_tokens=4, truncate=truncate)
    gates = Classifier(make_model(config)).gates(TEXT)
    assert gates.tokens == kept
    assert gates.layers[0].input.shape == (4, 4)


def test_a_text_without_tokens_has_the_gates_of_one_unknown_token(make_model: MakeModel) -> None:
    gates = Classifier(make_model()).gates(" ")
    assert gates.tokens == (" ",)
    assert gates.layers[-1].hidden.shape == (1, 3)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (None, "not-a-text"),
        (3, "not-a-text"),
        (b"bytes", "not-a-text"),
        (["a list"], "not-a-text"),
        ("\ud800", "invalid-unicode"),
    ],
)
@pytest.mark.parametrize("method", ["gates", "explain", "trajectory", "tokens"])
def test_anything_but_a_text_raises_data_error(make_model: MakeModel, method: str, text: Any, code: str) -> None:
    with pytest.raises(DataError) as raised:
        getattr(Classifier(make_model()), method)(text)
    assert raised.value.code == code


def test_plot_has_a_panel_per_gate_and_state(make_model: MakeModel) -> None:
    gates = Classifier(make_model()).gates("$not a formula$ _x_ ^")
    figure = gates.plot(0, units=3)
    panels = [axes for axes in figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["input", "forget", "output", "candidate", "cell", "hidden"]
    assert [label.get_text() for label in panels[0].get_xticklabels()] == list(gates.tokens)
    image: Any = panels[0].images[0].get_array()
    assert image.shape == (3, len(gates.tokens))
    figure.canvas.draw()


def test_plot_of_an_unknown_layer_raises_option_error(make_model: MakeModel) -> None:
    with pytest.raises(OptionError) as raised:
        Classifier(make_model()).gates("fine").plot(2)
    assert (raised.value.code, raised.value.option, raised.value.layers) == ("bad-option-value", "layer", 2)
