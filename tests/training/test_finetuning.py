"""Classifiers start from language models: the same features, and an output layer fitted first."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastlstm.config import Direction, LanguageModelConfig, LanguageModelTrainingConfig, ModelConfig
from fastlstm.errors import OptionError
from fastlstm.language_model.inference import UnidirectionalLSTM
from fastlstm.language_model.loop import make_state
from fastlstm.text.batches import pack_batch
from fastlstm.training import finetuning
from fastlstm.training.finetuning import (
    balanced_sample,
    config_from_encoder,
    copy_encoder,
    fit_head,
    held_out_part,
    language_model_config,
)
from fastlstm.training.loop import LabelledIds, compute_logits
from fastlstm.training.model import TextClassifier

TEXTS = [np.array(ids, np.int32) for ids in ([3, 4, 5, 3, 9], [6, 6, 2], [7])]
PRETRAINING = LanguageModelTrainingConfig(seed=3)
CLASS_COUNT = 3


@pytest.mark.parametrize("direction", ["forward", "both"])
@pytest.mark.parametrize("hidden_sizes", [(7,), (7, 5)])
def test_features_are_the_last_states_of_the_language_model(
    direction: Direction, hidden_sizes: tuple[int, ...]
) -> None:
    encoder = LanguageModelConfig(
        vocabulary_size=12, embedding_size=6, hidden_sizes=hidden_sizes, direction=direction
    )
    arrays = make_state(encoder, PRETRAINING, torch.device("cpu")).model.arrays()
    model = TextClassifier(config_from_encoder(encoder, ModelConfig(pooling="last")), 2, seed=0).eval()
    copy_encoder(model, arrays)
    with torch.no_grad():
        features = model.features(pack_batch(TEXTS)).numpy()
    texts = {"forward": TEXTS, "backward": [ids[::-1] for ids in TEXTS]}
    expected = []
    for name in encoder.directions:
        batch = pack_batch(texts[name])
        _, states = UnidirectionalLSTM.from_weights(arrays, name, len(hidden_sizes))(
            arrays["embedding.weight"][batch.ids], batch.batch_sizes
        )
        expected.append(states[-1][0])
    np.testing.assert_allclose(features, np.concatenate(expected, axis=1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_language_model_config_is_the_inverse_of_config_from_encoder(bidirectional: bool) -> None:
    config = ModelConfig(vocabulary_size=12, embedding_size=6, hidden_sizes=(7, 5), bidirectional=bidirectional)
    assert config_from_encoder(language_model_config(config), config) == config


def test_backward_encoder_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        config_from_encoder(LanguageModelConfig(direction="backward"), ModelConfig())
    assert (raised.value.code, raised.value.direction) == ("backward-encoder", "backward")


def make_labelled_ids(seed: int, count: int) -> LabelledIds:
    """Return ragged texts of random words, of which about 40% are the word of the class (3, 4 or 5)."""
    generator = np.random.default_rng(seed)
    classes = np.arange(count) % CLASS_COUNT
    texts = [generator.integers(6, 20, generator.integers(3, 12)).astype(np.int32) for _ in classes]
    for ids, k in zip(texts, classes, strict=True):
        ids[generator.random(len(ids)) < 0.4] = 3 + k
    return LabelledIds(texts, classes)


@pytest.mark.parametrize("max_texts", [10_000, 40])
@pytest.mark.parametrize("is_validated", [True, False])
def test_fit_head_changes_only_the_output_layer(
    max_texts: int, is_validated: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuning, "MAX_TEXTS", max_texts)
    config = ModelConfig(vocabulary_size=20, embedding_size=7, hidden_sizes=(11,), pooling="concat")
    model = TextClassifier(config, CLASS_COUNT, seed=5)
    training, validation = make_labelled_ids(1, 90), make_labelled_ids(2, 60)
    before = {name: weight.detach().clone() for name, weight in model.named().items()}

    fit_head(model, training, validation if is_validated else None)

    changed = {name for name, weight in model.named().items() if not torch.equal(weight, before[name])}
    assert changed == {"output.weight", "output.bias"}
    assert (compute_logits(model, validation.texts).numpy().argmax(axis=1) == validation.classes).mean() > 0.6


def test_the_part_that_selects_the_penalty_leaves_out_a_text_of_each_class() -> None:
    classes = np.array([0, 1, 0, 0, 2, 0, 1, 0, 0])
    np.testing.assert_array_equal(np.flatnonzero(held_out_part(classes)), [3, 8])
    assert not held_out_part(np.array([0, 1])).any()


def test_sample_has_texts_of_every_class_in_proportion() -> None:
    classes = np.array([0] * 700 + [1] * 299 + [2])
    np.random.default_rng(0).shuffle(classes)
    sample = balanced_sample(classes, 100)
    assert np.bincount(classes[sample]).tolist() == [70, 30, 1]
    assert len(set(sample.tolist())) == len(sample)


def test_sample_of_few_texts_has_all() -> None:
    np.testing.assert_array_equal(balanced_sample(np.array([1, 0, 1]), 3), [0, 1, 2])
