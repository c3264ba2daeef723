"""`Head`: dense layers and the output layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.config.classifier import DenseActivation
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.head import Head

ACTIVATIONS: tuple[DenseActivation, ...] = ("relu", "tanh", "sigmoid", "linear")


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_logits_and_gradient_equal_autograd(make_model: MakeModel, activation: DenseActivation) -> None:
    config = ModelConfig(hidden_sizes=(6,), dense_sizes=(5, 4), dense_activations=(activation, "tanh"))
    model = make_model(config, ("a", "b", "c"), seed=1)
    generator = np.random.default_rng(2)
    features = generator.normal(size=(7, 6)).astype(np.float32)
    direction = generator.normal(size=3).astype(np.float32)
    weights = {name: torch.from_numpy(array).double() for name, array in model.weights.items()}
    inputs = torch.from_numpy(features).double().requires_grad_()
    first = inputs @ weights["dense.0.weight"].T + weights["dense.0.bias"]
    hidden = first if activation == "linear" else getattr(torch, activation)(first)
    hidden = torch.tanh(hidden @ weights["dense.1.weight"].T + weights["dense.1.bias"])
    logits = hidden @ weights["output.weight"].T + weights["output.bias"]
    (gradient,) = torch.autograd.grad((logits @ torch.from_numpy(direction).double()).sum(), inputs)
    head = Head(model.config, model.weights)
    np.testing.assert_allclose(head(features), logits.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(head.gradient(features, direction), gradient.numpy(), atol=1e-5)


def test_a_stream_passes_through_the_dense_layers(make_model: MakeModel) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), dense_sizes=(6,), dense_activations=("relu",))
    classifier = Classifier(make_model(config))
    stream = classifier.stream().feed("not a go").feed("od film").end()
    np.testing.assert_array_equal(stream.probabilities, classifier.predict_proba("not a good film"))


def test_attributions_through_dense_layers_sum_to_the_logit(make_model: MakeModel) -> None:
    config = ModelConfig(
        embedding_size=5, hidden_sizes=(4,), bidirectional=True, pooling="last-step", dense_sizes=(6,),
        dense_activations=("tanh",),
    )  # fmt: skip
    explanation = Classifier(make_model(config, seed=3)).explain("not a really good film at all")
    total = explanation.baseline_logit + float(explanation.attributions.sum())
    assert total == pytest.approx(explanation.logit, abs=0.01)


def test_features_of_a_text_without_tokens_are_zeros(make_model: MakeModel) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), empty_text="zeros"), seed=4)
    classifier = Classifier(model)
    expected = 1 / (1 + np.exp(-model.weights["output.bias"][0]))
    np.testing.assert_allclose(classifier.predict_proba(["good film", "", " "])[1:, 1], expected, atol=1e-6)
    np.testing.assert_array_equal(classifier.stream().probabilities, classifier.predict_proba(""))
    explanation = classifier.explain("")
    assert explanation.baseline_logit == pytest.approx(explanation.logit)
    occlusion = classifier.explain("good", method="occlusion")
    assert float(occlusion.attributions[0]) == pytest.approx(
        float(np.log(occlusion.probability / (1 - occlusion.probability)))
        - (1 if occlusion.label == "positive" else -1) * float(model.weights["output.bias"][0]),
        abs=1e-4,
    )


@pytest.mark.parametrize(
    ("sizes", "activations", "option"),
    [
        ((0,), ("relu",), "dense_sizes"),
        ([4], ("relu",), "dense_sizes"),
        ((True,), ("relu",), "dense_sizes"),
        ((4,), (), "dense_activations"),
        ((4,), ("elu",), "dense_activations"),
        ((4,), (3,), "dense_activations"),
    ],
)
def test_invalid_dense_layers_raise_option_error(sizes: Any, activations: Any, option: str) -> None:
    with pytest.raises(OptionError) as raised:
        ModelConfig(dense_sizes=sizes, dense_activations=activations)
    assert (raised.value.code, raised.value.option) == ("bad-option-value", option)
