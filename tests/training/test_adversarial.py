from typing import Any

import numpy as np
import pytest
import torch

from fastlstm.config import ModelConfig, configure
from fastlstm.data import Dataset
from fastlstm.errors import OptionError
from fastlstm.text.batches import pack_batch
from fastlstm.training.adversarial import perturbation, vat_loss
from fastlstm.training.model import TextClassifier
from fastlstm.training.prepare import prepare

TEXTS = [np.array(ids, np.int32) for ids in ([3, 4, 5, 3, 9], [6, 6, 2], [7], [8])]


def test_every_text_is_disturbed_by_its_share_along_the_gradient() -> None:
    batch = pack_batch(TEXTS)
    generator = torch.Generator().manual_seed(0)
    vectors, gradient = (torch.randn(len(batch.ids), 6, generator=generator) for _ in range(2))
    came = perturbation(vectors, gradient, batch, 0.25)
    _, text = batch.positions()
    for k in range(len(TEXTS)):
        of = torch.from_numpy(text == k)
        assert came[of].norm().item() == np.float32(0.25 * vectors[of].norm().item()).item() or torch.isclose(
            came[of].norm(), 0.25 * vectors[of].norm(), rtol=1e-5
        )
        cosine = torch.nn.functional.cosine_similarity(came[of].flatten(), gradient[of].flatten(), dim=0)
        assert cosine.item() > 0.9999


def test_a_text_without_a_gradient_is_left_alone() -> None:
    batch = pack_batch(TEXTS)
    vectors, gradient = torch.ones(len(batch.ids), 6), torch.zeros(len(batch.ids), 6)
    assert (perturbation(vectors, gradient, batch, 0.25) == 0).all()


def test_the_disturbance_raises_the_loss_more_than_a_random_one() -> None:
    batch = pack_batch(TEXTS)
    config = ModelConfig(
        vocabulary_size=12, embedding_size=6, hidden_sizes=(7,), bidirectional=True, pooling="concat"
    )
    model = TextClassifier(config, 2, seed=0).eval()
    truth = torch.tensor([0, 1, 1, 0])

    def loss(vectors: torch.Tensor) -> torch.Tensor:
        return model.losses(model.from_vectors(vectors, batch), truth).sum()

    vectors = model.token_vectors(batch).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(vectors), [vectors])
    against = perturbation(vectors.detach(), gradient, batch, 0.05)
    chance = perturbation(
        vectors.detach(), torch.randn(gradient.shape, generator=torch.Generator().manual_seed(1)), batch, 0.05
    )
    with torch.no_grad():
        before, hurt, shaken = loss(vectors).item(), loss(vectors + against).item(), loss(vectors + chance).item()
    assert hurt - before > 2 * abs(shaken - before)


def test_reading_given_vectors_is_reading_the_words() -> None:
    batch = pack_batch(TEXTS)
    for bidirectional in (False, True):
        config = ModelConfig(
            vocabulary_size=12, embedding_size=6, hidden_sizes=(7, 5), bidirectional=bidirectional, pooling="concat"
        )
        model = TextClassifier(config, 3, seed=0).eval()
        with torch.no_grad():
            torch.testing.assert_close(
                model.from_vectors(model.token_vectors(batch), batch), model(batch), rtol=1e-5, atol=1e-6
            )


@pytest.mark.parametrize(("classes", "activation"), [(2, "auto"), (3, "softmax"), (3, "sigmoid")])
def test_the_virtual_loss_is_that_of_a_disturbance_which_sways_more_than_chance(
    classes: int, activation: Any
) -> None:
    batch = pack_batch(TEXTS)
    config = ModelConfig(
        vocabulary_size=12, embedding_size=6, hidden_sizes=(7,), pooling="concat", activation=activation
    )
    model = TextClassifier(config, classes, seed=0).eval()
    found = vat_loss(model, batch, 0.05, torch.Generator().manual_seed(2))
    assert found.requires_grad
    with torch.no_grad():
        vectors = model.token_vectors(batch)
        said = model.from_vectors(vectors, batch)
        assert model.divergence(said, said).abs().item() < 1e-7
        chances = []
        for seed in range(20):
            random = torch.randn(vectors.shape, generator=torch.Generator().manual_seed(seed))
            moved = vectors + perturbation(vectors, random, batch, 0.05)
            chances.append(model.divergence(said, model.from_vectors(moved, batch)).item())
    assert found.item() > max(chances) > 0


def test_unlabelled_texts_move_the_weights_only_where_they_are_asked_for() -> None:
    def weights(**options: Any) -> Any:
        model, training = configure("tutorial", {"hidden_sizes": (5,), "embedding_size": 4, "epochs": 1, **options})
        records = Dataset(["good film", "bad film", "good", "bad"] * 3, ["a", "b", "a", "b"] * 3)
        fitting = prepare(records, records, model, training, cap_vocabulary=True, unlabelled=["a good one", "film"])
        list(fitting.epochs())
        return fitting.state.model.arrays()["output.weight"]

    without, with_them = weights(adversarial=0.05), weights(adversarial=0.05, virtual_texts=2)
    assert not np.array_equal(without, with_them)
    assert np.array_equal(with_them, weights(adversarial=0.05, virtual_texts=2))


def test_virtual_training_draws_from_its_seed_alone() -> None:
    model, training = configure(
        "tutorial",
        {
            "hidden_sizes": (5,),
            "embedding_size": 4,
            "epochs": 1,
            "dropout": 0.5,
            "adversarial": 0.05,
            "virtual_texts": 2,
        },
    )
    records = Dataset(["good film", "bad film", "good", "bad"] * 3, ["a", "b", "a", "b"] * 3)
    came = []
    for seed in (1, 2):  # of what else runs beside
        torch.manual_seed(seed)
        fitting = prepare(records, records, model, training, cap_vocabulary=True, unlabelled=["a good one", "film"])
        list(fitting.epochs())
        came.append(fitting.state.model.arrays()["output.weight"])
    np.testing.assert_array_equal(came[0], came[1])


def test_what_is_not_disturbed_is_said_again_with_the_same_features_dropped() -> None:
    batch = pack_batch(TEXTS)
    config = ModelConfig(vocabulary_size=12, embedding_size=6, hidden_sizes=(7,), dropout=0.5)
    model = TextClassifier(config, 2, seed=0).train()
    assert vat_loss(model, batch, 0.0, torch.Generator().manual_seed(1)).abs().item() < 1e-7
    assert vat_loss(model, batch, 0.3, torch.Generator().manual_seed(1)).item() > 1e-7


@pytest.mark.parametrize(
    ("options", "unlabelled", "message"),
    [
        ({"adversarial": 0.05}, [], "there are no unlabelled texts to take them from"),
        ({"adversarial": 0.0}, ["a good one"], "the size of the disturbance, is 0"),
    ],
)
def test_virtual_training_that_can_not_be_had_is_refused(
    options: dict[str, Any], unlabelled: list[str], message: str
) -> None:
    model, training = configure("tutorial", {"virtual_texts": 2, **options})
    records = Dataset(["good film", "bad film"] * 3, ["a", "b"] * 3)
    with pytest.raises(OptionError, match=message):
        prepare(records, records, model, training, cap_vocabulary=True, unlabelled=unlabelled)
