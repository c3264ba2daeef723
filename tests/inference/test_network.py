"""The network of inference against the PyTorch model it was trained as, and against itself in other batches."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from fastlstm.config import ModelConfig
from fastlstm.inference import network
from fastlstm.inference import network as features
from fastlstm.inference.network import Network, probabilities_of
from fastlstm.kernel import KernelInfo, find_kernel
from fastlstm.text.batches import pack_batch
from fastlstm.training.model import TextClassifier


@pytest.fixture(autouse=True, params=["kernel", "NumPy"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads the texts."""
    if request.param == "NumPy":
        monkeypatch.setattr(network, "find_kernel", lambda: KernelInfo(None, "a test asks for NumPy", None))
    elif find_kernel().kernel is None:
        pytest.skip(f"no kernel: {find_kernel().why_not}")


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


def random_classifier(classes: int, spread: float = 0.6, **options: Any) -> TextClassifier:
    sizes: dict[str, Any] = {"embedding_size": 7, "hidden_sizes": (11, 5)}
    config = ModelConfig(vocabulary_size=VOCABULARY, **(sizes | options))
    classifier = TextClassifier(config, classes, seed=0)
    generator = np.random.default_rng(1)
    classifier.assign(
        {name: torch.from_numpy(generator.normal(0, spread, w.shape)) for name, w in classifier.arrays().items()}
    )
    return classifier.eval()


def network_of(classifier: TextClassifier, temperature: float = 1.0) -> Network:
    return Network(classifier.config, classifier.classes, classifier.arrays(), temperature)


def random_texts(texts: int, longest: int = 23, seed: int = 2) -> list[Ids]:
    """Ragged texts in no order."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, longest + 1, texts)
    return [generator.integers(0, VOCABULARY, int(length), np.int32) for length in lengths]


def expected_of(classifier: TextClassifier, texts: Sequence[Ids], temperature: float = 1.0) -> Any:
    """Probabilities by PyTorch, in double precision."""
    order = np.argsort([-len(text) for text in texts], kind="stable")
    logits = torch.empty(len(texts), classifier.output.out_features, dtype=torch.float64)
    with torch.no_grad():
        logits[order] = copy.deepcopy(classifier).double()(pack_batch([texts[i] for i in order])) / temperature
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
    model, texts = network_of(classifier), random_texts(67)
    together = model.probabilities(texts)
    for k in (0, 1, 30, 31, 32, 33, 66):
        assert np.array_equal(model.probabilities(texts[k : k + 1])[0], together[k])
    for seed in range(3):
        chosen = np.random.default_rng(seed).permutation(67)[: 67 - 20 * seed]
        assert np.array_equal(model.probabilities([texts[k] for k in chosen]), together[chosen])


def test_the_batch_does_not_change_a_bit_at_the_size_of_the_tutorial() -> None:
    classifier = random_classifier(2, embedding_size=64, hidden_sizes=(64, 32))
    model, texts = network_of(classifier), random_texts(40)
    together = model.probabilities(texts)
    for k, text in enumerate(texts):
        assert np.array_equal(model.probabilities([text])[0], together[k])


@pytest.mark.parametrize(("activation", "classes"), OUTPUTS)
@pytest.mark.parametrize("temperature", [0.3, 2.5])
def test_temperature_divides_the_logits(activation: str, classes: int, temperature: float) -> None:
    classifier, texts = random_classifier(classes, activation=activation), random_texts(13)
    came = network_of(classifier, temperature).probabilities(texts)
    np.testing.assert_allclose(came, expected_of(classifier, texts, temperature), rtol=0, atol=1e-5)
    if temperature > 1:
        assert came.max() < network_of(classifier).probabilities(texts).max()


@pytest.mark.parametrize("table_bytes", [0, 1 << 20])
def test_a_table_of_all_words_gives_the_bits_of_projecting_those_that_come(
    monkeypatch: pytest.MonkeyPatch, table_bytes: int
) -> None:
    monkeypatch.setattr(features, "TABLE_BYTES", table_bytes)
    model = network_of(random_classifier(3, pooling="concat", bidirectional=True))
    texts = random_texts(41)
    first = model.probabilities(texts)
    for _ in range(3):
        assert np.array_equal(model.probabilities(texts), first)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_few_texts_through_large_layers_are_read_by_all_threads_together(bidirectional: bool) -> None:
    sizes: Any = {"hidden_sizes": (301, 17), "bidirectional": bidirectional, "pooling": "concat"}
    classifier = random_classifier(2, 0.1, **sizes)
    texts = random_texts(5)
    came = network_of(classifier).probabilities(texts)
    np.testing.assert_allclose(came, expected_of(classifier, texts), rtol=0, atol=1e-5)
    kernel = find_kernel().kernel
    if kernel is not None:
        before = kernel.threads
        try:
            for threads in (1, 2, 3):
                kernel.threads = threads
                assert np.array_equal(network_of(classifier).probabilities(texts), came)
        finally:
            kernel.threads = before


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
