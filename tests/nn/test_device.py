import numpy as np
import torch

from fastlstm.nn.device import AsyncScalar, gather, to_device

CPU = torch.device("cpu")


def test_arrays_arrive_as_they_were_sent() -> None:
    array = np.arange(7, dtype=np.int32)
    np.testing.assert_array_equal(to_device(array, CPU).numpy(), array)


def test_rows_are_taken_and_their_gradients_summed() -> None:
    rows = torch.arange(12.0).view(4, 3).requires_grad_()
    index = np.array([2, 0, 2, 2])
    came = gather(rows, index)
    torch.testing.assert_close(came, rows[index])
    torch.autograd.backward(came.sum())
    assert rows.grad is not None
    assert rows.grad[:, 0].tolist() == [1, 0, 3, 0]


def test_a_number_is_what_it_was_when_it_was_asked_for() -> None:
    coming = AsyncScalar(torch.tensor(2.5, requires_grad=True) * 3)
    assert coming() == 7.5
