"""The classifier in PyTorch: weights, losses, pooling and dropout."""

from __future__ import annotations

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


@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize("bidirectional", [False, True])
def test_weights_have_the_names_and_shapes_of_inference(pooling: Pooling, bidirectional: bool) -> None:
    config = ModelConfig(
        vocabulary_size=13, embedding_size=3, hidden_sizes=(5, 2), bidirectional=bidirectional, pooling=pooling
    )
    arrays = TextClassifier(config, 4, seed=0).arrays()
    assert {name: array.shape for name, array in arrays.items()} == weights.shapes(config, 4)


def test_seed_determines_the_weights_and_no_global_state_changes() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = TextClassifier(TINY, 2, seed=1).arrays()
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(6)
    same, other = (TextClassifier(TINY, 2, seed=seed).arrays() for seed in (1, 2))
    assert all((first[name] == same[name]).all() for name in first)
    assert (first["embedding.weight"] != other["embedding.weight"]).any()


@pytest.mark.parametrize("pooling", get_args(Pooling))
@pytest.mark.parametrize("bidirectional", [False, True])
def test_logits_do_not_depend_on_the_other_texts_of_a_batch(pooling: Pooling, bidirectional: bool) -> None:
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


@pytest.mark.parametrize("bidirectional", [False, True])
def test_logits_from_word_vectors_are_those_of_the_tokens(bidirectional: bool) -> None:
    config = ModelConfig(
        vocabulary_size=13, embedding_size=6, hidden_sizes=(7, 5), bidirectional=bidirectional, pooling="concat"
    )
    model = TextClassifier(config, 3, seed=0).eval()
    with torch.no_grad():
        logits = model.from_vectors(model.token_vectors(BATCH), BATCH)
        torch.testing.assert_close(logits, model(BATCH), rtol=1e-5, atol=1e-6)


def test_loss_of_one_logit_is_binary_cross_entropy() -> None:
    model = TextClassifier(TINY, 2, seed=0)
    logits, classes = torch.tensor([[0.3], [-2.0], [30.0]]), torch.tensor([1, 0, 0])
    expected = -torch.log(torch.stack([logits.sigmoid()[0, 0], 1 - logits.sigmoid()[1, 0]]))
    losses = model.losses(logits, classes)
    torch.testing.assert_close(losses[:2], expected)
    torch.testing.assert_close(losses[2], torch.tensor(30.0))
    assert model.predicted(logits).tolist() == [1, 0, 1]


def test_loss_of_several_classes_is_cross_entropy_or_a_sum_of_binary_losses() -> None:
    logits, classes = torch.tensor([[0.3, -1.0, 2.0], [0.1, 0.2, -0.3]]), torch.tensor([2, 0])
    softmax = TextClassifier(TINY, 3, seed=0)
    expected = -logits.log_softmax(dim=1)[torch.arange(2), classes]
    torch.testing.assert_close(softmax.losses(logits, classes), expected)
    config = ModelConfig(vocabulary_size=13, embedding_size=3, hidden_sizes=(5,), activation="sigmoid")
    sigmoid = TextClassifier(config, 3, seed=0)
    signs = 2 * functional.one_hot(classes, 3) - 1
    torch.testing.assert_close(sigmoid.losses(logits, classes), -functional.logsigmoid(signs * logits).sum(dim=1))
    assert sigmoid.predicted(logits).tolist() == [2, 1]


@pytest.mark.parametrize(("class_count", "activation"), [(2, "auto"), (3, "softmax"), (3, "sigmoid")])
def test_loss_of_one_hot_targets_is_that_of_classes(class_count: int, activation: str) -> None:
    config = ModelConfig(vocabulary_size=13, hidden_sizes=(5,), activation=activation)  # type: ignore[arg-type]
    model = TextClassifier(config, class_count, seed=0)
    logits = torch.randn(4, model.output.out_features, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([1, 0, 1, 1])
    one_hot = functional.one_hot(classes, class_count).float()
    torch.testing.assert_close(model.losses(logits, one_hot), model.losses(logits, classes))


def test_dropout_uses_its_generator_and_is_off_in_evaluation() -> None:
    config = ModelConfig(vocabulary_size=13, embedding_size=3, hidden_sizes=(31,), dropout=0.5)
    model = TextClassifier(config, 2, seed=0)
    one, two, other = (model(BATCH, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    model.eval()
    assert torch.equal(model(BATCH), model(BATCH, torch.Generator().manual_seed(1)))


def test_dropout_scales_the_remaining_features() -> None:
    config = ModelConfig(vocabulary_size=13, embedding_size=3, hidden_sizes=(31,), dropout=0.5)
    model = TextClassifier(config, 2, seed=0).train()
    batch = pack_batch([np.array([3, 6, 8], np.int32)] * 1000)
    inputs: list[torch.Tensor] = []
    model.output.register_forward_hook(lambda _, arguments, __: inputs.append(arguments[0]))
    with torch.no_grad():
        model(batch, torch.Generator().manual_seed(3))
        scale = inputs[0] / model.features(batch)
    assert set(scale.flatten().tolist()) == {0.0, 2.0}
    assert abs(float(scale.mean()) - 1) < 0.05
