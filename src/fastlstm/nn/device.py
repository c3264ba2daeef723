"""Devices, and asynchronous copies between the CPU and a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from fastlstm.errors import DeviceError, OptionError, suggest

DEVICES = ("auto", "cpu", "cuda")


def find_device(name: str) -> torch.device:
    """Return the device of that name; "auto" is the GPU if there is one, otherwise the CPU.

    Raises:
        OptionError: The name is unknown.
        DeviceError: "cuda" is requested and PyTorch finds no CUDA device.
    """
    if name not in DEVICES:
        raise OptionError(
            f"unknown device {name!r}; {suggest(name, DEVICES)}", code="unknown-device", device=name, known=DEVICES
        )
    has_cuda = torch.cuda.is_available()
    if name == "cuda" and not has_cuda:
        raise DeviceError(
            "device cuda requested, but PyTorch finds no CUDA device; pass `device='cpu'`", device=name
        )
    return torch.device("cuda" if has_cuda and name != "cpu" else "cpu")


def to_device(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """Copy an array to the device. The copy to a GPU is asynchronous, from pinned memory."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def gather(rows: Tensor, index: npt.NDArray[np.generic]) -> Tensor:
    """Return `rows[index]`.

    If indices repeat often, a GPU sums the gradients of an embedding lookup many times faster than those of indexing.
    """
    positions = to_device(index, rows.device)
    return functional.embedding(positions, rows) if rows.is_cuda else rows[positions]


class AsyncScalar:
    """A number that the device is still computing.

    The copy to the CPU starts at once. Reading the number later waits only for work queued before the copy.
    """

    def __init__(self, value: Tensor) -> None:
        self._event: Any = None
        self._value = value.detach()
        if value.is_cuda:
            self._value = torch.empty(value.shape, dtype=value.dtype, pin_memory=True)
            self._value.copy_(value.detach(), non_blocking=True)
            self._event = torch.cuda.current_stream().record_event()

    def __call__(self) -> float:
        """Wait for the number and return it."""
        if self._event is not None:
            self._event.synchronize()
        return float(self._value)
