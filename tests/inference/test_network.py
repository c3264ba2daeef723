"""The network of inference against the PyTorch model it was trained as, and against itself in other batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from fastlstm.batches import padded
from fastlstm.config import ModelConfig
from fastlstm.inference.network import Network, probabilities_of
from fastlstm.training.model import TextClassifier

Ids = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

VOCABULARY = 101
OUTPUTS = [("sigmoid", 2), ("softmax", 5), ("sigmoid", 5), ("softmax", 2)]

EVERY_MODEL = [
    pytest.mark.parametrize("pooling", ["last", "max", "mean", "concat"]),
    pytest.mark.parametrize("bidirectional", [False, True]),
    pytest.mark.parametrize(("activation", "classes"), OUTPUTS),
]


def every_model(test: Any) -> Any:
    for mark in EVERY_MODEL:
        test = mark(test)
    return test


def random_classifier(classes: int, **options: Any) -> TextClassifier:
    sizes: dict[str, Any] = {"embedding_size": 7, "hidden_sizes": (11, 5)}
    config = ModelConfig(vocabulary_size=VOCABULARY, **(sizes | options))
    classifier = TextClassifier(config, classes, seed=0)
    generator = np.random.default_rng(1)
    classifier.assign(
        {name: torch.from_numpy(generator.normal(0, 0.6, w.shape)) for name, w in classifier.arrays().items()}
    )
    return classifier.eval()


def network_of(classifier: TextClassifier, temperature: float = 1.0) -> Network:
    return Network(classifier.config, classifier.classes, classifier.arrays(), temperature)


def random_texts(texts: int, longest: int = 23, seed: int = 2) -> list[Ids]:
    """Ragged texts, longest first."""
    generator = np.random.default_rng(seed)
    lengths = sorted(generator.integers(1, longest + 1, texts).tolist(), reverse=True)
    return [generator.integers(0, VOCABULARY, length, np.int32) for length in lengths]


def score(network: Network, texts: Sequence[Ids]) -> Floats:
    """Probabilities of texts in any order."""
    order = sorted(range(len(texts)), key=lambda k: -len(texts[k]))
    scored = network.probabilities([texts[k] for k in order])
    result = np.empty_like(scored)
    result[order] = scored
    return result


def expected_of(classifier: TextClassifier, texts: Sequence[Ids], temperature: float = 1.0) -> Any:
    """Probabilities by PyTorch, from its logits on in double precision."""
    ids, lengths = padded(texts, np.arange(len(texts)))
    with torch.no_grad():
        logits = classifier(torch.from_numpy(ids), torch.from_numpy(lengths)).double() / temperature
    if not classifier.sigmoid:
        return torch.softmax(logits, dim=1).numpy()
    likely = torch.sigmoid(logits)
    if logits.shape[1] == 1:
        return torch.cat([1 - likely, likely], dim=1).numpy()
    return (likely / likely.sum(dim=1, keepdim=True)).numpy()


@every_model
def test_probabilities_are_those_of_the_pytorch_model(
    pooling: str, bidirectional: bool, activation: str, classes: int
) -> None:
    classifier = random_classifier(classes, pooling=pooling, bidirectional=bidirectional, activation=activation)
    texts = random_texts(37)
    came = network_of(classifier).probabilities(texts)
    assert came.dtype == np.float32
    assert came.shape == (37, classes)
    np.testing.assert_allclose(came, expected_of(classifier, texts), rtol=0, atol=1e-5)
    np.testing.assert_allclose(came.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=1e-6)
    assert came.std(axis=0).min() > 0.001


@every_model
def test_the_batch_does_not_change_a_bit(pooling: str, bidirectional: bool, activation: str, classes: int) -> None:
    classifier = random_classifier(classes, pooling=pooling, bidirectional=bidirectional, activation=activation)
    network, texts = network_of(classifier), random_texts(67)
    together = score(network, texts)
    for k in (0, 1, 30, 31, 32, 33, 66):
        assert np.array_equal(score(network, texts[k : k + 1])[0], together[k])
    for seed in range(3):
        chosen = np.random.default_rng(seed).permutation(67)[: 67 - 20 * seed]
        assert np.array_equal(score(network, [texts[k] for k in chosen]), together[chosen])


def test_the_batch_does_not_change_a_bit_at_the_size_of_the_tutorial() -> None:
    classifier = random_classifier(2, embedding_size=64, hidden_sizes=(64, 32))
    network, texts = network_of(classifier), random_texts(40)
    together = score(network, texts)
    for k, text in enumerate(texts):
        assert np.array_equal(score(network, [text])[0], together[k])


@pytest.mark.parametrize(("activation", "classes"), OUTPUTS)
@pytest.mark.parametrize("temperature", [0.3, 2.5])
def test_temperature_divides_the_logits(activation: str, classes: int, temperature: float) -> None:
    classifier, texts = random_classifier(classes, activation=activation), random_texts(13)
    came = network_of(classifier, temperature).probabilities(texts)
    np.testing.assert_allclose(came, expected_of(classifier, texts, temperature), rtol=0, atol=1e-5)
    if temperature > 1:
        assert came.max() < network_of(classifier).probabilities(texts).max()


@pytest.mark.parametrize("length", [1, 2, 500])
def test_a_single_text_of_any_length_is_scored(length: int) -> None:
    classifier = random_classifier(2, pooling="concat", bidirectional=True)
    text = np.random.default_rng(length).integers(0, VOCABULARY, length, np.int32)
    came = network_of(classifier).probabilities([text])
    np.testing.assert_allclose(came, expected_of(classifier, [text]), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("use_sigmoid", "logits"), [(True, 1), (True, 5), (False, 2), (False, 5)])
@pytest.mark.parametrize("scale", [1e-40, 1, 1e3, 1e30])
def test_probabilities_of_any_logits_are_finite_and_sum_to_one(
    use_sigmoid: bool, logits: int, scale: float
) -> None:
    generator = np.random.default_rng(0)
    values = (generator.normal(size=(50, logits)) * scale).astype(np.float32)
    values[0] = -abs(values[0])
    came = probabilities_of(values, use_sigmoid)
    assert came.dtype == np.float32
    assert (came >= 0).all()
    np.testing.assert_allclose(came.sum(axis=1, dtype=np.float64), 1, rtol=0, atol=1e-6)
