import numpy as np
import pytest
import torch

from fastlstm.config import ModelConfig
from fastlstm.training import finetuning as head
from fastlstm.training.finetuning import balanced_sample, fit_head
from fastlstm.training.loop import LabelledIds, compute_logits
from fastlstm.training.model import TextClassifier

CLASSES = 3


def texts_of(seed: int, count: int) -> LabelledIds:
    """Ragged texts of random words, each with words of its class (3, 4 or 5) among them."""
    random = np.random.default_rng(seed)
    truth = np.arange(count) % CLASSES
    texts = [random.integers(6, 20, random.integers(3, 12)).astype(np.int32) for _ in truth]
    for ids, of in zip(texts, truth, strict=True):
        ids[random.random(len(ids)) < 0.4] = 3 + of
    return LabelledIds(texts, truth)


@pytest.mark.parametrize("most", [10_000, 40])
def test_the_output_layer_is_fitted_to_features_that_rest(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "MAX_TEXTS", most)
    config = ModelConfig(vocabulary_size=20, embedding_size=7, hidden_sizes=(11,), pooling="concat")
    model = TextClassifier(config, CLASSES, seed=5)
    training, validation = texts_of(1, 90), texts_of(2, 60)
    before = {name: weight.detach().clone() for name, weight in model.named().items()}

    fit_head(model, training, validation)

    changed = {name for name, weight in model.named().items() if not torch.equal(weight, before[name])}
    assert changed == {"output.weight", "output.bias"}
    assert (compute_logits(model, validation.texts).numpy().argmax(axis=1) == validation.classes).mean() > 0.6


def test_some_texts_are_taken_of_every_class() -> None:
    truth = np.array([0] * 700 + [1] * 299 + [2])
    np.random.default_rng(0).shuffle(truth)
    some = balanced_sample(truth, 100)
    assert np.bincount(truth[some]).tolist() == [70, 30, 1]
    assert len(set(some.tolist())) == len(some)


def test_all_texts_are_taken_where_they_are_few() -> None:
    np.testing.assert_array_equal(balanced_sample(np.array([1, 0, 1]), 3), [0, 1, 2])
