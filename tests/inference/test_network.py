"""`Network`, compared with the PyTorch model in float64, and with itself in other batches."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from fastlstm._typing import TokenIds
from fastlstm.config import ModelConfig
from fastlstm.inference import features
from fastlstm.inference.network import Network, probabilities_of
from fastlstm.kernel import find_kernel
from fastlstm.text.batches import pack_batch
from fastlstm.training.model import TextClassifier

pytestmark = pytest.mark.usefixtures("runtime")

VOCABULARY_SIZE = 101
OUTPUTS = [("sigmoid", 2), ("softmax", 5), ("sigmoid", 5), ("softmax", 2)]


def for_every_architecture(test: Any) -> Any:
    for mark in (
        pytest.mark.parametrize("pooling", ["last", "max", "mean", "concat", "last-step"]),
        pytest.mark.parametrize("bidirectional", [False, True]),
        pytest.mark.parametrize(("activation", "classes"), OUTPUTS),
    ):
        test = mark(test)
    return test


def random_classifier(classes: int, spread: float = 0.6, **options: Any) -> TextClassifier:
    sizes: dict[str, Any] = {"embedding_size": 7, "hidden_sizes": (11, 5)}
    config = ModelConfig(vocabulary_size=VOCABULARY_SIZE, **(sizes | options))
    classifier = TextClassifier(config, classes, seed=0)
    generator = np.random.default_rng(1)
    classifier.assign(
        {name: torch.from_numpy(generator.normal(0, spread, w.shape)) for name, w in classifier.arrays().items()}
    )
    return classifier.eval()


def make_network(classifier: TextClassifier, temperature: float = 1.0) -> Network:
    return Network(classifier.config, classifier.classes, classifier.arrays(), temperature)


def random_ids(texts: int, longest: int = 23, seed: int = 2) -> list[TokenIds]:
    """Return texts of 1 to `longest` tokens, not sorted by length."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, longest + 1, texts)
    return [generator.integers(0, VOCABULARY_SIZE, int(length), np.int32) for length in lengths]


def expected_probabilities(classifier: TextClassifier, texts: Sequence[TokenIds], temperature: float = 1.0) -> Any:
    """Return the probabilities of the PyTorch model in float64."""
    order = np.argsort([-len(text) for text in texts], kind="stable")
    logits = torch.empty(len(texts), classifier.output.out_features, dtype=torch.float64)
    with torch.no_grad():
        logits[order] = copy.deepcopy(classifier).double()(pack_batch([texts[i] for i in order])) / temperature
    if not classifier.sigmoid:
        return torch.softmax(logits, dim=1).numpy()
    sigmoids = torch.sigmoid(logits)
    if logits.shape[1] == 1:
        return torch.cat([1 - sigmoids, sigmoids], dim=1).numpy()
    return (sigmoids / sigmoids.sum(dim=1, keepdim=True)).numpy()


@for_every_architecture
def test_probabilities_equal_the_pytorch_model(
    pooling: str, bidirectional: bool, activation: str, classes: int
) -> None:
    classifier = random_classifier(classes, pooling=pooling, bidirectional=bidirectional, activation=activation)
    texts = random_ids(37)
    probabilities = make_network(classifier).probabilities(texts)
    assert probabilities.dtype == np.float32
    assert probabilities.shape == (37, classes)
    np.testing.assert_allclose(probabilities, expected_probabilities(classifier, texts), rtol=0, atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=1e-6)
    assert probabilities.std(axis=0).min() > 0.001


@for_every_architecture
def test_results_do_not_depend_on_the_batch(
    pooling: str, bidirectional: bool, activation: str, classes: int
) -> None:
    classifier = random_classifier(classes, pooling=pooling, bidirectional=bidirectional, activation=activation)
    model, texts = make_network(classifier), random_ids(67)
    batch = model.probabilities(texts)
    for k in (0, 1, 30, 31, 32, 33, 66):
        assert np.array_equal(model.probabilities(texts[k : k + 1])[0], batch[k])
    for seed in range(3):
        chosen = np.random.default_rng(seed).permutation(67)[: 67 - 20 * seed]
        assert np.array_equal(model.probabilities([texts[k] for k in chosen]), batch[chosen])


def test_results_do_not_depend_on_the_batch_in_the_tutorial_size() -> None:
    classifier = random_classifier(2, embedding_size=64, hidden_sizes=(64, 32))
    model, texts = make_network(classifier), random_ids(40)
    batch = model.probabilities(texts)
    for k, text in enumerate(texts):
        assert np.array_equal(model.probabilities([text])[0], batch[k])


@pytest.mark.parametrize(("activation", "classes"), OUTPUTS)
@pytest.mark.parametrize("temperature", [0.3, 2.5])
def test_temperature_divides_the_logits(activation: str, classes: int, temperature: float) -> None:
    classifier, texts = random_classifier(classes, activation=activation), random_ids(13)
    probabilities = make_network(classifier, temperature).probabilities(texts)
    np.testing.assert_allclose(
        probabilities, expected_probabilities(classifier, texts, temperature), rtol=0, atol=1e-5
    )
    if temperature > 1:
        assert probabilities.max() < make_network(classifier).probabilities(texts).max()


@pytest.mark.parametrize("table_bytes", [0, 1 << 20])
def test_cached_projections_do_not_change_the_results(monkeypatch: pytest.MonkeyPatch, table_bytes: int) -> None:
    monkeypatch.setattr(features, "MAX_TABLE_BYTES", table_bytes)
    model = make_network(random_classifier(3, pooling="concat", bidirectional=True))
    texts = random_ids(41)
    first = model.probabilities(texts)
    for _ in range(3):
        assert np.array_equal(model.probabilities(texts), first)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_results_of_large_layers_do_not_depend_on_threads(bidirectional: bool) -> None:
    sizes: Any = {"hidden_sizes": (301, 17), "bidirectional": bidirectional, "pooling": "concat"}
    classifier = random_classifier(2, 0.1, **sizes)
    texts = random_ids(5)
    probabilities = make_network(classifier).probabilities(texts)
    np.testing.assert_allclose(probabilities, expected_probabilities(classifier, texts), rtol=0, atol=1e-5)
    kernel = find_kernel().kernel
    if kernel is not None:
        threads_before = kernel.threads
        try:
            for threads in (1, 2, 3):
                kernel.threads = threads
                assert np.array_equal(make_network(classifier).probabilities(texts), probabilities)
        finally:
            kernel.threads = threads_before


@pytest.mark.parametrize("length", [1, 2, 500])
def test_single_texts_of_any_length_equal_the_pytorch_model(length: int) -> None:
    classifier = random_classifier(2, pooling="concat", bidirectional=True)
    text = np.random.default_rng(length).integers(0, VOCABULARY_SIZE, length, np.int32)
    probabilities = make_network(classifier).probabilities([text])
    np.testing.assert_allclose(probabilities, expected_probabilities(classifier, [text]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("use_sigmoid", "logits"), [(True, 1), (True, 5), (False, 2), (False, 5)])
@pytest.mark.parametrize("scale", [1e-40, 1, 1e3, 1e30])
def test_probabilities_of_extreme_logits_are_finite_and_sum_to_one(
    use_sigmoid: bool, logits: int, scale: float
) -> None:
    generator = np.random.default_rng(0)
    values = (generator.normal(size=(50, logits)) * scale).astype(np.float32)
    values[0] = -abs(values[0])
    probabilities = probabilities_of(values, use_sigmoid)
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=1e-6)
