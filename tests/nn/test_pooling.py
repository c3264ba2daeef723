import numpy as np
import pytest
import torch

from fastlstm.nn.layers import pool
from fastlstm.text.batches import PackedBatch, pack_batch


def a_batch() -> tuple[PackedBatch, torch.Tensor]:
    batch = pack_batch([np.ones(length, np.int32) for length in (9, 5, 5, 2, 1)])
    rows = torch.randn(len(batch.ids), 7, generator=torch.Generator().manual_seed(0))
    return batch, rows


def plainly(rows: torch.Tensor, batch: PackedBatch) -> tuple[torch.Tensor, torch.Tensor]:
    _, text = batch.places()
    texts = [rows[torch.from_numpy(text == k)] for k in range(int(batch.batch_sizes[0]))]
    return torch.stack([t.amax(dim=0) for t in texts]), torch.stack([t.mean(dim=0) for t in texts])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_largest_and_the_mean_of_every_text_and_their_gradients(dtype: torch.dtype) -> None:
    batch, rows = a_batch()
    rows = rows.to(dtype).requires_grad_()
    generator = torch.Generator().manual_seed(1)
    by = [torch.randn(5, 7, generator=generator, dtype=dtype) for _ in range(2)]
    came, expected = pool(rows, batch), plainly(rows, batch)
    for one, other in zip(came, expected, strict=True):
        torch.testing.assert_close(one, other)
    gradients = [torch.autograd.grad(of, [rows], by)[0] for of in (came, expected)]
    torch.testing.assert_close(*gradients)


def test_steps_that_share_the_largest_output_all_get_its_gradient() -> None:
    batch = pack_batch([np.ones(3, np.int32)])
    rows = torch.tensor([[2.0], [1.0], [2.0]], requires_grad=True)
    highest, _ = pool(rows, batch)
    (gradient,) = torch.autograd.grad(highest.sum(), [rows])
    assert gradient[:, 0].tolist() == [1, 0, 1]
