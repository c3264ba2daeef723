"""Adversarial training: a step is also trained on its texts with the word vectors moved the way that hurts it most.

Miyato, Dai & Goodfellow (2017), "Adversarial Training Methods for Semi-Supervised Text Classification". There,
vectors are normalised and the disturbance has one size; here its size is a share of each text's vectors.
"""

from __future__ import annotations

import torch
from torch import Tensor

from fastlstm.batches import Packed

SMALLEST_NORM = 1e-12


def disturbance(vectors: Tensor, gradient: Tensor, batch: Packed, share: float) -> Tensor:
    """[N, E], along the gradient of the loss by the vectors, and of `share` times their norm in every text.

    Args:
        vectors: [N, E], of every token of the packed batch.
        gradient: [N, E], the loss's by them.
        batch: how the rows belong to texts.
        share: the disturbance's norm over a text's tokens, as a share of its vectors'.
    """
    text = torch.from_numpy(batch.places()[1]).to(vectors.device)

    def norms(values: Tensor) -> Tensor:
        """[B] over all tokens of each text."""
        squares = values.square().sum(dim=1)
        return squares.new_zeros(int(batch.batch_sizes[0])).index_add_(0, text, squares).sqrt()

    with torch.no_grad():
        scale = share * norms(vectors) / norms(gradient).clamp_min(SMALLEST_NORM)
        return gradient * scale[text][:, None]
