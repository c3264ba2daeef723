"""Adam, for a model most of whose weights are word vectors, of which a step reads few."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fastlstm.kernel.bindings import Kernel
from fastlstm.nn import kernel_lstm
from fastlstm.nn.layers import uses_kernel
from fastlstm.nn.numerics import GPU_GRADIENT_SCALE

BETAS = 0.9, 0.999
EPSILON = 1e-8
MOMENT_NAMES = "exp_avg", "exp_avg_sq"


class Adam:
    """Adam (Kingma & Ba 2015), with the gradient's norm clipped over all weights together.

    A word vector that a step does not read has no gradient but moves all the same, by what its moments remember.
    Where there is a kernel it makes these steps when it is next read: ask `catch_up` before. The bits are those
    of moving every word in every step. Without one, PyTorch's fused Adam moves everything.
    """

    def __init__(self, embedding: nn.Embedding, named: Mapping[str, Tensor], clip_norm: float = 0.0) -> None:
        """`named`: all weights that are learned, `embedding`'s among them or not. `clip_norm`: 0 for no limit."""
        self._named = dict(named)
        self._clip_norm = clip_norm
        self._on_gpu = embedding.weight.is_cuda
        self._words = next((name for name, weight in named.items() if weight is embedding.weight), None)
        self._by: _ByKernel | _ByPyTorch = _ByPyTorch(self._named)
        if uses_kernel(embedding.weight):
            embedding.sparse = True
            self._by = _ByKernel(self._named)

    def catch_up(self, ids: npt.NDArray[np.int32] | None = None) -> None:
        """Brings these words' vectors [M] up to date, each named once; all of them if None."""
        if self._words is not None:
            self._by.catch_up(self._words, ids)

    def step(self, learning_rate: float) -> None:
        """Moves all weights by their gradients, and forgets those."""
        grads = {name: weight.grad for name, weight in self._named.items() if weight.grad is not None}
        grads = {name: _summed(grad) if grad.is_sparse else grad for name, grad in grads.items()}
        self._by.step(learning_rate, grads, self._scale(grads))
        for weight in self._named.values():
            weight.grad = None

    def _scale(self, grads: Mapping[str, Tensor]) -> float | Tensor:
        """By how much the gradient is shortened. A GPU's number stays there: reading it would wait for it."""
        if not self._clip_norm and not self._on_gpu:
            return 1.0
        norms = torch._foreach_norm([grad.values() if grad.is_sparse else grad for grad in grads.values()])
        norm = torch.linalg.vector_norm(torch.stack(norms))
        if self._on_gpu:
            return _scale_on_gpu(norm / GPU_GRADIENT_SCALE, self._clip_norm)
        return min(1.0, self._clip_norm / (float(norm) + 1e-6))

    def state(self) -> dict[str, Tensor]:
        """`step.NAME`, `exp_avg.NAME` and `exp_avg_sq.NAME` of every weight, once there was a step."""
        self.catch_up()
        return self._by.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` gave. Raises `KeyError` for a missing tensor."""
        self._by.restore(state)


class _ByPyTorch:
    def __init__(self, named: Mapping[str, Tensor]) -> None:
        self._named = named
        self._adam = torch.optim.Adam(list(named.values()), betas=BETAS, eps=EPSILON, fused=True)

    def catch_up(self, name: str, rows: npt.NDArray[np.int32] | None) -> None:
        """Every step moves every weight."""

    def step(self, learning_rate: float, grads: Mapping[str, Tensor], scale: float | Tensor) -> None:
        for group in self._adam.param_groups:
            group["lr"] = learning_rate
        if isinstance(scale, Tensor):  # what `torch.amp.GradScaler` tells a fused optimizer
            self._adam.grad_scale = 1 / scale  # type: ignore[attr-defined]
            self._adam.found_inf = (~(scale > 0)).float()  # type: ignore[attr-defined]
        elif scale < 1:
            torch._foreach_mul_(list(grads.values()), scale)
        self._adam.step()

    def state(self) -> dict[str, Tensor]:
        moments = {name: self._adam.state.get(weight, {}) for name, weight in self._named.items()}
        return {f"{key}.{name}": value for name, of in moments.items() for key, value in of.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, weight in self._named.items():
            self._adam.state[weight] = {
                key: state[f"{key}.{name}"].to(weight.device) for key in ("step", *MOMENT_NAMES)
            }


class _ByKernel:
    def __init__(self, named: Mapping[str, Tensor]) -> None:
        self._named = named
        self._moments = {name: {key: torch.zeros_like(w) for key in MOMENT_NAMES} for name, w in named.items()}
        self._done = {name: np.zeros(len(_matrix(weight)), np.int64) for name, weight in named.items()}
        self._step = 0
        self._rates = np.zeros((1024, 2), np.float32)

    def catch_up(self, name: str, rows: npt.NDArray[np.int32] | None) -> None:
        """The steps that these rows of a weight have missed, whose gradients were zero."""
        if self._step:
            self._move(name, rows)

    def step(self, learning_rate: float, grads: Mapping[str, Tensor], scale: float | Tensor) -> None:
        self._step += 1
        scale = float(scale)
        if self._step == len(self._rates):
            self._rates = np.concatenate([self._rates, np.zeros_like(self._rates)])
        corrections = [1 - beta**self._step for beta in BETAS]
        self._rates[self._step] = learning_rate / corrections[0], 1 / math.sqrt(corrections[1])
        for name, grad in grads.items():
            if grad.is_sparse:
                self._move(name, grad.indices()[0].int().numpy(), _matrix(grad.values().contiguous()), scale)
            else:
                self._move(name, None, _matrix(grad.contiguous()), scale)

    def _move(
        self,
        name: str,
        rows: npt.NDArray[np.int32] | None,
        grads: npt.NDArray[np.float32] | None = None,
        scale: float = 1.0,
    ) -> None:
        """The steps that these rows have missed, the last one by `grads` if given."""
        mean, square = (_matrix(self._moments[name][key]) for key in MOMENT_NAMES)
        _kernel().adam(
            _matrix(self._named[name]),
            mean,
            square,
            self._done[name],
            self._rates[: self._step + 1],
            rows=rows,
            grads=grads,
            scale=scale,
            betas=BETAS,
            epsilon=EPSILON,
        )

    def state(self) -> dict[str, Tensor]:
        result: dict[str, Tensor] = {}
        for name in self._named if self._step else ():
            values = {"step": torch.tensor(float(self._step)), **self._moments[name]}
            result |= {f"{key}.{name}": value for key, value in values.items()}
        return result

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, done in self._done.items():
            self._step = int(state[f"step.{name}"])
            self._moments[name] = {key: state[f"{key}.{name}"].contiguous() for key in MOMENT_NAMES}
            done[:] = self._step
        self._rates = np.zeros((self._step + 1024, 2), np.float32)


def _scale_on_gpu(norm: Tensor, clip_norm: float) -> Tensor:
    """What a GPU's gradients are multiplied by, whose norm is `norm`; 0, and no step, where that is no number."""
    shortened = (clip_norm / (norm + 1e-6)).clamp_max(1.0) if clip_norm else torch.ones_like(norm)
    return torch.where(norm.isfinite(), shortened / GPU_GRADIENT_SCALE, 0.0)


def _summed(grad: Tensor) -> Tensor:
    """A sparse gradient with each row once. autograd forgets that one of `WordVectors` already is."""
    rows = grad._indices()[0]
    return grad._coalesced_(True) if bool((rows[1:] > rows[:-1]).all()) else grad.coalesce()


def _matrix(tensor: Tensor) -> npt.NDArray[np.float32]:
    """The tensor's own memory, as rows; of a vector, one."""
    rows: npt.NDArray[np.float32] = tensor.detach().view(-1, tensor.shape[-1]).numpy()
    return rows


def _kernel() -> Kernel:
    kernel = kernel_lstm.kernel()
    assert kernel is not None, "Adam asks whether there is a kernel first"
    return kernel
