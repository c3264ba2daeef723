"""Adversarial and virtual adversarial training: perturbations of the word vectors.

Miyato, Dai & Goodfellow (2017), "Adversarial Training Methods for Semi-Supervised Text Classification". They normalize
the vectors and use a perturbation of fixed norm; here its norm is relative to the norm of the vectors of each text.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastlstm.nn.device import to_device
from fastlstm.nn.numerics import scale_loss
from fastlstm.text.batches import PackedBatch
from fastlstm.training.model import TextClassifier

MIN_NORM = 1e-12
PROBE_NORM = 0.002
"""Relative norm of the random perturbation from which the power method starts."""


def vat_loss(model: TextClassifier, batch: PackedBatch, norm: float, generator: torch.Generator) -> Tensor:
    """Return the virtual adversarial loss: the mean divergence (nats) between predictions with and without noise.

    The perturbation is the one that changes the prediction most, approximated by one step of the power method. It
    needs no labels.

    Args:
        model: Classifier in training mode.
        batch: Unlabelled texts.
        norm: Relative norm of the perturbation.
        generator: Random generator of the first perturbation and of dropout.
    """
    state = generator.get_state()

    def logits(vectors: Tensor) -> Tensor:
        """Return the logits, with the same dropout at every call."""
        generator.set_state(state)
        return model.from_vectors(vectors, batch, generator)

    with torch.no_grad():
        vectors = model.token_vectors(batch)
    reference = logits(vectors.requires_grad_()).detach()
    vectors = vectors.detach()
    random = torch.randn(vectors.shape, generator=generator, device=vectors.device)
    perturbed = (vectors + perturbation(vectors, random, batch, PROBE_NORM)).requires_grad_()
    (gradient,) = torch.autograd.grad(scale_loss(model.divergence(reference, logits(perturbed))), [perturbed])
    adversarial = perturbation(vectors, gradient, batch, norm)
    return model.divergence(reference, logits(model.token_vectors(batch) + adversarial))


def perturbation(vectors: Tensor, gradient: Tensor, batch: PackedBatch, norm: float) -> Tensor:
    """Return the perturbation [N, E]: along the gradient, with `norm` times the norm of the vectors of each text.

    Args:
        vectors: Word vectors [N, E] of the tokens of the packed batch.
        gradient: Gradient [N, E] of the loss with respect to them.
        batch: The packed batch.
        norm: Norm of the perturbation over the tokens of a text, relative to that of its vectors.
    """
    text = to_device(batch.positions()[1], vectors.device)

    def norms(values: Tensor) -> Tensor:
        """Return the norms [B] over all tokens of each text."""
        squares = values.square().sum(dim=1)
        return squares.new_zeros(int(batch.batch_sizes[0])).index_add_(0, text, squares).sqrt()

    with torch.no_grad():
        scale = norm * norms(vectors) / norms(gradient).clamp_min(MIN_NORM)
        return gradient * scale[text][:, None]
