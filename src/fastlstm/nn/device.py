"""Numbers on their way to a GPU and back, without the processor waiting for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from fastlstm.errors import DeviceError, OptionError, suggest


def to_device(array: npt.NDArray[np.generic], device: torch.device) -> Tensor:
    """The array on the device. A copy to a GPU waits neither for it nor for what it has still to do."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def gather(rows: Tensor, index: npt.NDArray[np.generic]) -> Tensor:
    """`rows[index]`. Where many take one row, a GPU sums their gradients many times faster so."""
    places = to_device(index, rows.device)
    return functional.embedding(places, rows) if rows.is_cuda else rows[places]


class AsyncScalar:
    """Numbers that a device is still computing: asked for early, so that reading them waits for nothing after."""

    def __init__(self, values: Tensor) -> None:
        self._event: Any = None
        self._values = values.detach()
        if values.is_cuda:
            self._values = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._values.copy_(values.detach(), non_blocking=True)
            self._event = torch.cuda.current_stream().record_event()

    def __call__(self) -> float:
        """The number, once it is there."""
        if self._event is not None:
            self._event.synchronize()
        return float(self._values)


def find_device(name: str) -> torch.device:
    """The device of that name; "auto" is a GPU if there is one. Raises `DeviceError`, `OptionError`."""
    if name not in ("auto", "cpu", "cuda"):
        raise OptionError(f"unknown device {name!r}; {suggest(name, ('auto', 'cpu', 'cuda'))}")
    there = torch.cuda.is_available()
    if name == "cuda" and not there:
        raise DeviceError("cuda was asked for and PyTorch finds no CUDA device; pass --device cpu, or auto")
    return torch.device("cuda" if there and name != "cpu" else "cpu")
