"""Adversarial training: a step is also trained on its texts with the word vectors moved the way that hurts it most.

Miyato, Dai & Goodfellow (2017), "Adversarial Training Methods for Semi-Supervised Text Classification". There,
vectors are normalised and the disturbance has one size; here its size is a share of each text's vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastlstm.nn.device import to_device
from fastlstm.nn.numerics import scaled_backward
from fastlstm.text.batches import PackedBatch
from fastlstm.training.model import TextClassifier

MIN_NORM = 1e-12
FIRST_SHARE = 0.002
"""Of the random disturbance whose effect shows in which direction a text is most easily swayed."""


def vat_loss(model: TextClassifier, batch: PackedBatch, share: float, generator: torch.Generator) -> Tensor:
    """The mean divergence (nats) of what the model says of texts and of the same disturbed where it matters most.

    Virtual adversarial training, for which no labels are needed: the disturbance is the one that changes the answer
    most, found by one step of the power method.

    Args:
        model: in training.
        batch: unlabelled texts.
        share: the disturbance's size, as `perturbation` takes it.
        generator: where the first, random disturbance and dropout are drawn from.
    """
    begin = generator.get_state()

    def read(vectors: Tensor) -> Tensor:
        """What the model says, with the same features dropped and the same precision every time."""
        generator.set_state(begin)
        return model.read(vectors, batch, generator)

    with torch.no_grad():
        vectors = model.embedded(batch)
    said = read(vectors.requires_grad_()).detach()
    vectors = vectors.detach()
    random = torch.randn(vectors.shape, generator=generator, device=vectors.device)
    moved = (vectors + perturbation(vectors, random, batch, FIRST_SHARE)).requires_grad_()
    (gradient,) = torch.autograd.grad(scaled_backward(model.divergence(said, read(moved))), [moved])
    against = perturbation(vectors, gradient, batch, share)
    return model.divergence(said, read(model.embedded(batch) + against))


def perturbation(vectors: Tensor, gradient: Tensor, batch: PackedBatch, share: float) -> Tensor:
    """[N, E], along the gradient of the loss by the vectors, and of `share` times their norm in every text.

    Args:
        vectors: [N, E], of every token of the packed batch.
        gradient: [N, E], the loss's by them.
        batch: how the rows belong to texts.
        share: the disturbance's norm over a text's tokens, as a share of its vectors'.
    """
    text = to_device(batch.places()[1], vectors.device)

    def norms(values: Tensor) -> Tensor:
        """[B] over all tokens of each text."""
        squares = values.square().sum(dim=1)
        return squares.new_zeros(int(batch.batch_sizes[0])).index_add_(0, text, squares).sqrt()

    with torch.no_grad():
        scale = share * norms(vectors) / norms(gradient).clamp_min(MIN_NORM)
        return gradient * scale[text][:, None]
