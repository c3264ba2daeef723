import numpy as np
import torch

from fastlstm.batches import packed
from fastlstm.config import ModelConfig
from fastlstm.training.adversarial import disturbance
from fastlstm.training.model import TextClassifier

TEXTS = [np.array(ids, np.int32) for ids in ([3, 4, 5, 3, 9], [6, 6, 2], [7], [8])]


def test_every_text_is_disturbed_by_its_share_along_the_gradient() -> None:
    batch = packed(TEXTS)
    generator = torch.Generator().manual_seed(0)
    vectors, gradient = (torch.randn(len(batch.ids), 6, generator=generator) for _ in range(2))
    came = disturbance(vectors, gradient, batch, 0.25)
    _, text = batch.places()
    for k in range(len(TEXTS)):
        of = torch.from_numpy(text == k)
        assert came[of].norm().item() == np.float32(0.25 * vectors[of].norm().item()).item() or torch.isclose(
            came[of].norm(), 0.25 * vectors[of].norm(), rtol=1e-5
        )
        cosine = torch.nn.functional.cosine_similarity(came[of].flatten(), gradient[of].flatten(), dim=0)
        assert cosine.item() > 0.9999


def test_a_text_without_a_gradient_is_left_alone() -> None:
    batch = packed(TEXTS)
    vectors, gradient = torch.ones(len(batch.ids), 6), torch.zeros(len(batch.ids), 6)
    assert (disturbance(vectors, gradient, batch, 0.25) == 0).all()


def test_the_disturbance_raises_the_loss_more_than_a_random_one() -> None:
    batch = packed(TEXTS)
    config = ModelConfig(
        vocabulary_size=12, embedding_size=6, hidden_sizes=(7,), bidirectional=True, pooling="concat"
    )
    model = TextClassifier(config, 2, seed=0).eval()
    truth = torch.tensor([0, 1, 1, 0])

    def loss(vectors: torch.Tensor) -> torch.Tensor:
        return model.losses(model.read(vectors, batch), truth).sum()

    vectors = model.embedded(batch).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(vectors), [vectors])
    against = disturbance(vectors.detach(), gradient, batch, 0.05)
    chance = disturbance(
        vectors.detach(), torch.randn(gradient.shape, generator=torch.Generator().manual_seed(1)), batch, 0.05
    )
    with torch.no_grad():
        before, hurt, shaken = loss(vectors).item(), loss(vectors + against).item(), loss(vectors + chance).item()
    assert hurt - before > 2 * abs(shaken - before)


def test_reading_given_vectors_is_reading_the_words() -> None:
    batch = packed(TEXTS)
    for bidirectional in (False, True):
        config = ModelConfig(
            vocabulary_size=12, embedding_size=6, hidden_sizes=(7, 5), bidirectional=bidirectional, pooling="concat"
        )
        model = TextClassifier(config, 3, seed=0).eval()
        with torch.no_grad():
            torch.testing.assert_close(model.read(model.embedded(batch), batch), model(batch), rtol=1e-5, atol=1e-6)
