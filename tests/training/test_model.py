"""The PyTorch model: its weights, its losses, its pooling, its dropout."""

from __future__ import annotations

import itertools
from typing import get_args

import numpy as np
import pytest
import torch
from torch.nn import functional

from fastlstm.config import ModelConfig, Pooling
from fastlstm.serialization import weights
from fastlstm.text.batches import pack_batch
from fastlstm.training.model import TextClassifier

TINY = ModelConfig(vocabulary_size=13, embedding_size=3, hidden_sizes=(5, 2))
TEXTS = [np.array(ids, np.int32) for ids in ([3, 6, 8], [5, 7], [4])]
BATCH = pack_batch(TEXTS)


def test_weights_have_the_names_and_shapes_that_inference_reads() -> None:
    for bidirectional, pooling in itertools.product((False, True), get_args(Pooling)):
        config = ModelConfig(
            vocabulary_size=13, embedding_size=3, hidden_sizes=(5, 2), bidirectional=bidirectional, pooling=pooling
        )
        arrays = TextClassifier(config, 4, seed=0).arrays()
        assert {name: array.shape for name, array in arrays.items()} == weights.shapes(config, 4)


def test_the_seed_decides_the_weights_and_nothing_random_outside_changes() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = TextClassifier(TINY, 2, seed=1).arrays()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    again, other = (TextClassifier(TINY, 2, seed=seed).arrays() for seed in (1, 2))
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["embedding.weight"] != other["embedding.weight"]).any()


@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_text_scores_the_same_alone_and_beside_longer_ones(pooling: Pooling, bidirectional: bool) -> None:
    config = ModelConfig(
        vocabulary_size=13,
        embedding_size=3,
        hidden_sizes=(5, 2),
        pooling=pooling,
        bidirectional=bidirectional,
    )
    model = TextClassifier(config, 3, seed=0).double().eval()
    together = model(BATCH)
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(model(pack_batch([text]))[0], together[row], atol=1e-12, rtol=0)


def test_one_logit_is_scored_by_binary_cross_entropy() -> None:
    model = TextClassifier(TINY, 2, seed=0)
    logits, truth = torch.tensor([[0.3], [-2.0], [30.0]]), torch.tensor([1, 0, 0])
    expected = -torch.log(torch.stack([logits.sigmoid()[0, 0], 1 - logits.sigmoid()[1, 0]]))
    losses = model.losses(logits, truth)
    torch.testing.assert_close(losses[:2], expected)
    torch.testing.assert_close(losses[2], torch.tensor(30.0))
    assert model.predicted(logits).tolist() == [1, 0, 1]


def test_several_classes_are_scored_by_cross_entropy_or_one_question_each() -> None:
    logits, truth = torch.tensor([[0.3, -1.0, 2.0], [0.1, 0.2, -0.3]]), torch.tensor([2, 0])
    softmax = TextClassifier(TINY, 3, seed=0)
    torch.testing.assert_close(softmax.losses(logits, truth), -logits.log_softmax(dim=1)[torch.arange(2), truth])
    config = ModelConfig(vocabulary_size=13, embedding_size=3, hidden_sizes=(5,), activation="sigmoid")
    questions = TextClassifier(config, 3, seed=0)
    signs = 2 * functional.one_hot(truth, 3) - 1
    torch.testing.assert_close(questions.losses(logits, truth), -functional.logsigmoid(signs * logits).sum(dim=1))
    assert questions.predicted(logits).tolist() == [2, 1]


def test_dropout_draws_from_its_generator_and_rests_in_evaluation() -> None:
    config = ModelConfig(vocabulary_size=13, embedding_size=3, hidden_sizes=(31,), dropout=0.5)
    model = TextClassifier(config, 2, seed=0)
    one, two, other = (model(BATCH, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    model.eval()
    assert torch.equal(model(BATCH), model(BATCH, torch.Generator().manual_seed(1)))
    kept = model.train()._dropout(torch.ones(1000, 31), torch.Generator().manual_seed(3))
    assert set(kept.flatten().tolist()) == {0.0, 2.0}
    assert abs(float(kept.mean()) - 1) < 0.05
