"""Adversarial and virtual adversarial training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from fastlstm._typing import FloatArray
from fastlstm.config import ModelConfig, configure
from fastlstm.data import Dataset
from fastlstm.errors import OptionError
from fastlstm.text.batches import pack_batch
from fastlstm.training.adversarial import perturbation, vat_loss
from fastlstm.training.model import TextClassifier
from fastlstm.training.prepare import prepare

BATCH = pack_batch([np.array(ids, np.int32) for ids in ([3, 4, 5, 3, 9], [6, 6, 2], [7], [8])])
DATASET = Dataset(["good film", "bad film", "good", "bad"] * 3, ["a", "b", "a", "b"] * 3)
FIELDS: dict[str, Any] = {"hidden_sizes": (5,), "embedding_size": 4, "epochs": 1}


def make_model(class_count: int = 2, **fields: Any) -> TextClassifier:
    shape: dict[str, Any] = {"vocabulary_size": 12, "embedding_size": 6, "hidden_sizes": (7,), "pooling": "concat"}
    return TextClassifier(ModelConfig(**{**shape, **fields}), class_count, seed=0).eval()


def train_output_weight(**fields: Any) -> FloatArray:
    """Return the weight of the output layer after one epoch with unlabelled texts."""
    model, training = configure("tutorial", {**FIELDS, **fields})
    run = prepare(DATASET, DATASET, model, training, cap_vocabulary=True, unlabelled=["a good one", "film"])
    list(run.epochs())
    return run.state.model.arrays()["output.weight"]


def test_perturbation_is_along_the_gradient_with_the_relative_norm_for_each_text() -> None:
    generator = torch.Generator().manual_seed(0)
    vectors, gradient = (torch.randn(len(BATCH.ids), 6, generator=generator) for _ in range(2))
    result = perturbation(vectors, gradient, BATCH, 0.25)
    _, text = BATCH.positions()
    for k in range(4):
        rows = torch.from_numpy(text == k)
        torch.testing.assert_close(result[rows].norm(), 0.25 * vectors[rows].norm(), rtol=1e-5, atol=0)
        cosine = torch.nn.functional.cosine_similarity(result[rows].flatten(), gradient[rows].flatten(), dim=0)
        assert cosine.item() > 0.9999


def test_perturbation_without_gradient_is_zero() -> None:
    vectors, gradient = torch.ones(len(BATCH.ids), 6), torch.zeros(len(BATCH.ids), 6)
    assert (perturbation(vectors, gradient, BATCH, 0.25) == 0).all()


def test_adversarial_perturbation_raises_the_loss_more_than_a_random_one() -> None:
    model, classes = make_model(bidirectional=True), torch.tensor([0, 1, 1, 0])

    def loss(vectors: torch.Tensor) -> torch.Tensor:
        return model.losses(model.from_vectors(vectors, BATCH), classes).sum()

    vectors = model.token_vectors(BATCH).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(vectors), [vectors])
    noise = torch.randn(gradient.shape, generator=torch.Generator().manual_seed(1))
    adversarial, random = (perturbation(vectors.detach(), g, BATCH, 0.05) for g in (gradient, noise))
    with torch.no_grad():
        before = loss(vectors).item()
        assert loss(vectors + adversarial).item() - before > 2 * abs(loss(vectors + random).item() - before)


@pytest.mark.parametrize(("class_count", "activation"), [(2, "auto"), (3, "softmax"), (3, "sigmoid")])
def test_virtual_loss_exceeds_the_divergence_of_random_perturbations(class_count: int, activation: str) -> None:
    model = make_model(class_count, activation=activation)
    virtual = vat_loss(model, BATCH, 0.05, torch.Generator().manual_seed(2))
    assert virtual.requires_grad
    with torch.no_grad():
        vectors = model.token_vectors(BATCH)
        reference = model.from_vectors(vectors, BATCH)
        assert model.divergence(reference, reference).abs().item() < 1e-7
        divergences = []
        for seed in range(20):
            noise = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(seed))
            perturbed = vectors + perturbation(vectors, noise, BATCH, 0.05)
            divergences.append(model.divergence(reference, model.from_vectors(perturbed, BATCH)).item())
    assert virtual.item() > max(divergences) > 0


def test_virtual_loss_uses_one_dropout_mask_for_both_predictions() -> None:
    model = make_model(pooling="last", dropout=0.5).train()
    assert vat_loss(model, BATCH, 0.0, torch.Generator().manual_seed(1)).abs().item() < 1e-7
    assert vat_loss(model, BATCH, 0.3, torch.Generator().manual_seed(1)).item() > 1e-7


def test_unlabelled_texts_change_the_weights_only_with_virtual_texts() -> None:
    without, virtual = train_output_weight(adversarial=0.05), train_output_weight(adversarial=0.05, virtual_texts=2)
    assert not np.array_equal(without, virtual)
    assert np.array_equal(virtual, train_output_weight(adversarial=0.05, virtual_texts=2))


def test_virtual_training_does_not_depend_on_the_global_random_state() -> None:
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        results.append(train_output_weight(dropout=0.5, adversarial=0.05, virtual_texts=2))
    np.testing.assert_array_equal(results[0], results[1])


@pytest.mark.parametrize(
    ("adversarial", "unlabelled", "code"),
    [
        (0.05, [], "virtual-texts-need-unlabelled"),
        (0.0, ["a good one"], "virtual-texts-need-adversarial"),
    ],
)
def test_virtual_texts_without_a_requirement_raise_option_error(
    adversarial: float, unlabelled: list[str], code: str
) -> None:
    model, training = configure("tutorial", {"virtual_texts": 2, "adversarial": adversarial})
    with pytest.raises(OptionError) as raised:
        prepare(DATASET, DATASET, model, training, cap_vocabulary=True, unlabelled=unlabelled)
    assert raised.value.code == code
