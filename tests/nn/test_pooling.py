"""Pooling of packed outputs: maximum and mean of each text, and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastlstm.nn.layers import pool
from fastlstm.text.batches import PackedBatch, pack_batch


def random_batch() -> tuple[PackedBatch, torch.Tensor]:
    batch = pack_batch([np.ones(length, np.int32) for length in (9, 5, 5, 2, 1)])
    rows = torch.randn(len(batch.ids), 7, generator=torch.Generator().manual_seed(0))
    return batch, rows


def reference_pool(rows: torch.Tensor, batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    _, text = batch.positions()
    texts = [rows[torch.from_numpy(text == k)] for k in range(int(batch.batch_sizes[0]))]
    return torch.stack([t.amax(dim=0) for t in texts]), torch.stack([t.mean(dim=0) for t in texts])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_maximum_and_mean_of_every_text_and_their_gradients(dtype: torch.dtype) -> None:
    batch, rows = random_batch()
    rows = rows.to(dtype).requires_grad_()
    generator = torch.Generator().manual_seed(1)
    grads = [torch.randn(5, 7, generator=generator, dtype=dtype) for _ in range(2)]
    pooled, expected = pool(rows, batch), reference_pool(rows, batch)
    for value, expected_value in zip(pooled, expected, strict=True):
        torch.testing.assert_close(value, expected_value)
    gradients = [torch.autograd.grad(values, [rows], grads)[0] for values in (pooled, expected)]
    torch.testing.assert_close(*gradients)


def test_all_steps_that_share_the_maximum_get_its_gradient() -> None:
    batch = pack_batch([np.ones(3, np.int32)])
    rows = torch.tensor([[2.0], [1.0], [2.0]], requires_grad=True)
    maximum, _ = pool(rows, batch)
    (gradient,) = torch.autograd.grad(maximum.sum(), [rows])
    assert gradient[:, 0].tolist() == [1, 0, 1]
