from __future__ import annotations

from typing import Any

import pytest

from fastlstm.config import ModelConfig
from fastlstm.serialization import weights
from fastlstm.serialization.weights import LayerDirection


def test_unidirectional_model_has_one_set_of_weights_per_layer() -> None:
    config = ModelConfig(vocabulary_size=11, embedding_size=5, hidden_sizes=(7, 3))
    assert weights.shapes(config, 2) == {
        "embedding.weight": (11, 5),
        "lstm.0.forward.weight_ih": (28, 5),
        "lstm.0.forward.weight_hh": (28, 7),
        "lstm.0.forward.bias": (28,),
        "lstm.1.forward.weight_ih": (12, 7),
        "lstm.1.forward.weight_hh": (12, 3),
        "lstm.1.forward.bias": (12,),
        "output.weight": (1, 3),
        "output.bias": (1,),
    }


def test_bidirectional_layers_receive_both_outputs_of_the_layer_below() -> None:
    config = ModelConfig(vocabulary_size=11, embedding_size=5, hidden_sizes=(7, 3), bidirectional=True)
    assert weights.shapes(config, 4) == {
        "embedding.weight": (11, 5),
        "lstm.0.forward.weight_ih": (28, 5),
        "lstm.0.forward.weight_hh": (28, 7),
        "lstm.0.forward.bias": (28,),
        "lstm.0.backward.weight_ih": (28, 5),
        "lstm.0.backward.weight_hh": (28, 7),
        "lstm.0.backward.bias": (28,),
        "lstm.1.forward.weight_ih": (12, 14),
        "lstm.1.forward.weight_hh": (12, 3),
        "lstm.1.forward.bias": (12,),
        "lstm.1.backward.weight_ih": (12, 14),
        "lstm.1.backward.weight_hh": (12, 3),
        "lstm.1.backward.bias": (12,),
        "output.weight": (4, 6),
        "output.bias": (4,),
    }


def test_directions_are_layer_by_layer_forward_first() -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(7, 3), bidirectional=True)
    assert list(weights.directions(config)) == [
        LayerDirection("lstm.0.forward", 0, False, 5, 7),
        LayerDirection("lstm.0.backward", 0, True, 5, 7),
        LayerDirection("lstm.1.forward", 1, False, 14, 3),
        LayerDirection("lstm.1.backward", 1, True, 14, 3),
    ]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize(("pooling", "parts"), [("last", 1), ("max", 1), ("mean", 1), ("concat", 3)])
def test_pooling_determines_the_feature_size(bidirectional: bool, pooling: Any, parts: int) -> None:
    config = ModelConfig(hidden_sizes=(7, 3), bidirectional=bidirectional, pooling=pooling)
    features = parts * (6 if bidirectional else 3)
    assert weights.feature_size(config) == features
    assert weights.shapes(config, 5)["output.weight"] == (5, features)


@pytest.mark.parametrize(
    ("activation", "classes", "sigmoid", "logits"),
    [
        ("auto", 2, True, 1),
        ("auto", 3, False, 3),
        ("sigmoid", 2, True, 1),
        ("sigmoid", 3, True, 3),
        ("softmax", 2, False, 2),
        ("softmax", 3, False, 3),
    ],
)
def test_activation_and_classes_determine_the_logits(
    activation: Any, classes: int, sigmoid: bool, logits: int
) -> None:
    config = ModelConfig(activation=activation, hidden_sizes=(3,))
    assert weights.uses_sigmoid(config, classes) is sigmoid
    assert weights.output_size(config, classes) == logits
    assert weights.shapes(config, classes)["output.weight"] == (logits, 3)
    assert weights.shapes(config, classes)["output.bias"] == (logits,)


@pytest.mark.parametrize(
    ("bidirectional", "classes", "expected"),
    [
        (False, 2, 11 * 5 + 28 * (5 + 7 + 1) + 12 * (7 + 3 + 1) + 3 + 1),
        (True, 4, 11 * 5 + 2 * 28 * (5 + 7 + 1) + 2 * 12 * (14 + 3 + 1) + 4 * (6 + 1)),
    ],
)
def test_parameter_count_includes_every_weight(bidirectional: bool, classes: int, expected: int) -> None:
    config = ModelConfig(vocabulary_size=11, embedding_size=5, hidden_sizes=(7, 3), bidirectional=bidirectional)
    assert weights.parameter_count(config, classes) == expected
