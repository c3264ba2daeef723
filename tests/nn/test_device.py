"""Devices and copies to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastlstm.errors import DeviceError, OptionError
from fastlstm.nn.device import AsyncScalar, find_device, gather, to_device

CPU = torch.device("cpu")


def test_to_device_keeps_values() -> None:
    array = np.arange(7, dtype=np.int32)
    np.testing.assert_array_equal(to_device(array, CPU).numpy(), array)


def test_gather_takes_rows_and_sums_their_gradients() -> None:
    rows = torch.arange(12.0).view(4, 3).requires_grad_()
    index = np.array([2, 0, 2, 2])
    gathered = gather(rows, index)
    torch.testing.assert_close(gathered, rows[index])
    torch.autograd.backward(gathered.sum())
    assert rows.grad is not None
    assert rows.grad[:, 0].tolist() == [1, 0, 3, 0]


def test_async_scalar_is_the_value_of_its_tensor() -> None:
    assert AsyncScalar(torch.tensor(2.5, requires_grad=True) * 3)() == 7.5


@pytest.mark.parametrize(
    ("name", "has_cuda", "expected"),
    [("auto", False, "cpu"), ("auto", True, "cuda"), ("cpu", True, "cpu"), ("cuda", True, "cuda")],
)
def test_auto_is_the_gpu_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, name: str, has_cuda: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    assert find_device(name).type == expected


def test_cuda_without_a_gpu_raises_device_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError) as raised:
        find_device("cuda")
    assert (raised.value.code, raised.value.device) == ("device-unavailable", "cuda")


def test_an_unknown_device_raises_option_error() -> None:
    with pytest.raises(OptionError) as raised:
        find_device("gpu")
    assert (raised.value.code, raised.value.device) == ("unknown-device", "gpu")
