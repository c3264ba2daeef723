"""Adam for models whose weights are mostly word vectors, of which a step uses few.

There are two Adam implementations: the kernel's, which updates only the word vectors in use, and PyTorch's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.nn import kernel_lstm
from fastlstm.nn.layers import uses_kernel
from fastlstm.nn.numerics import GPU_GRADIENT_SCALE
from fastlstm.nn.parallel import process_group

BETAS = 0.9, 0.999
EPSILON = 1e-8
MOMENT_NAMES = "exp_avg", "exp_avg_sq"


class Adam:
    """Adam (Kingma & Ba 2015), with the norm of all gradients together clipped.

    In a step, a word vector that is not in use has a zero gradient, but its moments still move it. The kernel
    postpones these updates: call `catch_up` before the vectors are used. The results are bit-identical to updating
    every vector in every step. Without the kernel, PyTorch's fused Adam updates all weights in every step.
    """

    def __init__(self, embedding: nn.Embedding, weights: Mapping[str, Tensor], clip_norm: float = 0.0) -> None:
        """Optimize `weights`.

        Args:
            embedding: The word vectors; gets sparse gradients if the kernel is used.
            weights: All trained weights by name, with or without those of `embedding`.
            clip_norm: Maximum norm of the gradients; 0 for no limit.
        """
        self._weights = dict(weights)
        self._clip_norm = clip_norm
        self._on_gpu = embedding.weight.is_cuda
        self._group = process_group()
        self._ids: TokenIds | None = None
        self._embedding_name = next((name for name, w in weights.items() if w is embedding.weight), None)
        self._adam: _KernelAdam | _PyTorchAdam = _PyTorchAdam(self._weights)
        if uses_kernel(embedding.weight):
            embedding.sparse = True
            self._adam = _KernelAdam(self._weights)

    def catch_up(self, ids: TokenIds | None = None) -> None:
        """Apply the postponed updates of the word vectors with these increasing ids, int32 [M]; of all if None.

        In a group of processes, the ids before a step must contain those that any process uses.
        """
        self._ids = ids
        if self._embedding_name is not None:
            self._adam.catch_up(self._embedding_name, ids)

    def step(self, learning_rate: float) -> None:
        """Update all weights by their gradients, and clear the gradients."""
        grads = {name: weight.grad for name, weight in self._weights.items() if weight.grad is not None}
        grads = {name: _coalesce(grad) if grad.is_sparse else grad for name, grad in grads.items()}
        if self._group.size > 1:
            grads = self._summed(grads)
        self._adam.step(learning_rate, grads, self._factor(grads))
        for weight in self._weights.values():
            weight.grad = None

    def _summed(self, grads: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the gradients of all weights, summed over the group."""
        ids = self._ids if isinstance(self._adam, _KernelAdam) else None
        own = []
        for name, weight in self._weights.items():
            grad = grads.get(name)
            if name == self._embedding_name and ids is not None:
                rows = weight.new_zeros(len(ids), weight.shape[1])
                if grad is not None:
                    rows[torch.from_numpy(np.searchsorted(ids, grad.indices()[0].numpy()))] = grad.values()
                grad = rows
            own.append(torch.zeros_like(weight) if grad is None else grad)
        result = dict(zip(self._weights, self._group.sum(own), strict=True))
        if self._embedding_name is not None and ids is not None:
            index = torch.from_numpy(ids.astype(np.int64))[None]
            shape = self._weights[self._embedding_name].shape
            result[self._embedding_name] = torch.sparse_coo_tensor(
                index, result[self._embedding_name], shape, is_coalesced=True, check_invariants=False
            )
        return result

    def _factor(self, grads: Mapping[str, Tensor]) -> float | Tensor:
        """Return the factor on the gradients. On a GPU it stays there: reading it would wait for the GPU."""
        if not self._clip_norm and not self._on_gpu:
            return 1.0
        norms = torch._foreach_norm([grad.values() if grad.is_sparse else grad for grad in grads.values()])
        norm = torch.linalg.vector_norm(torch.stack(norms))
        if self._on_gpu:
            return gpu_gradient_factor(norm / GPU_GRADIENT_SCALE, self._clip_norm)
        return min(1.0, self._clip_norm / (float(norm) + 1e-6))

    def state(self) -> dict[str, Tensor]:
        """Return `step.NAME`, `exp_avg.NAME` and `exp_avg_sq.NAME` of every weight; empty before the first step."""
        self.catch_up()
        return self._adam.state()

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned. Raise `KeyError` for a missing tensor."""
        self._adam.restore(state)


class _PyTorchAdam:
    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights
        self._adam = torch.optim.Adam(list(weights.values()), betas=BETAS, eps=EPSILON, fused=True)

    def catch_up(self, name: str, rows: TokenIds | None) -> None:
        """Do nothing: every step updates every weight."""

    def step(self, learning_rate: float, grads: Mapping[str, Tensor], factor: float | Tensor) -> None:
        for name, grad in grads.items():
            self._weights[name].grad = grad
        for group in self._adam.param_groups:
            group["lr"] = learning_rate
        if isinstance(factor, Tensor):  # as `torch.amp.GradScaler` sets them on a fused optimizer
            self._adam.grad_scale = 1 / factor  # type: ignore[attr-defined]
            self._adam.found_inf = (~(factor > 0)).float()  # type: ignore[attr-defined]
        elif factor < 1:
            torch._foreach_mul_(list(grads.values()), factor)
        self._adam.step()

    def state(self) -> dict[str, Tensor]:
        moments = {name: self._adam.state.get(weight, {}) for name, weight in self._weights.items()}
        return {f"{key}.{name}": value for name, values in moments.items() for key, value in values.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, weight in self._weights.items():
            self._adam.state[weight] = {
                key: state[f"{key}.{name}"].to(weight.device) for key in ("step", *MOMENT_NAMES)
            }


class _KernelAdam:
    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self._weights = weights
        self._moments = {name: {key: torch.zeros_like(w) for key in MOMENT_NAMES} for name, w in weights.items()}
        self._row_steps = {name: np.zeros(len(_matrix(weight)), np.int64) for name, weight in weights.items()}
        self._step = 0
        self._rates = np.zeros((1024, 2), np.float32)

    def catch_up(self, name: str, rows: TokenIds | None) -> None:
        """Apply the steps that these rows of a weight have missed, in which their gradients were zero."""
        if self._step:
            self._update(name, rows)

    def step(self, learning_rate: float, grads: Mapping[str, Tensor], factor: float | Tensor) -> None:
        self._step += 1
        factor = float(factor)
        if self._step == len(self._rates):
            self._rates = np.concatenate([self._rates, np.zeros_like(self._rates)])
        corrections = [1 - beta**self._step for beta in BETAS]
        self._rates[self._step] = learning_rate / corrections[0], 1 / math.sqrt(corrections[1])
        for name, grad in grads.items():
            if grad.is_sparse:
                self._update(name, grad.indices()[0].int().numpy(), _matrix(grad.values().contiguous()), factor)
            else:
                self._update(name, None, _matrix(grad.contiguous()), factor)

    def _update(
        self, name: str, rows: TokenIds | None, grads: FloatArray | None = None, factor: float = 1.0
    ) -> None:
        """Apply the steps that these rows have missed, the last one with `grads` if given."""
        mean, square = (_matrix(self._moments[name][key]) for key in MOMENT_NAMES)
        kernel_lstm.require_kernel().adam(
            _matrix(self._weights[name]),
            mean,
            square,
            self._row_steps[name],
            self._rates[: self._step + 1],
            rows=rows,
            grads=grads,
            scale=factor,
            betas=BETAS,
            epsilon=EPSILON,
        )

    def state(self) -> dict[str, Tensor]:
        result: dict[str, Tensor] = {}
        for name in self._weights if self._step else ():
            values = {"step": torch.tensor(float(self._step)), **self._moments[name]}
            result |= {f"{key}.{name}": value for key, value in values.items()}
        return result

    def restore(self, state: Mapping[str, Tensor]) -> None:
        for name, steps in self._row_steps.items():
            self._step = int(state[f"step.{name}"])
            self._moments[name] = {key: state[f"{key}.{name}"].contiguous() for key in MOMENT_NAMES}
            steps[:] = self._step
        self._rates = np.zeros((self._step + 1024, 2), np.float32)


def gpu_gradient_factor(norm: Tensor, clip_norm: float) -> Tensor:
    """Return the factor that clips and unscales gradients of norm `norm` on a GPU.

    A non-finite norm gives 0, which skips the step.
    """
    clipped = (clip_norm / (norm + 1e-6)).clamp_max(1.0) if clip_norm else torch.ones_like(norm)
    return torch.where(norm.isfinite(), clipped / GPU_GRADIENT_SCALE, 0.0)


def _coalesce(grad: Tensor) -> Tensor:
    """Return a sparse gradient with unique rows. autograd forgets that one of `Embedding` already is coalesced."""
    rows = grad._indices()[0]
    return grad._coalesced_(True) if bool((rows[1:] > rows[:-1]).all()) else grad.coalesce()


def _matrix(tensor: Tensor) -> FloatArray:
    """Return the tensor as a matrix without a copy; a vector as one row."""
    rows: FloatArray = tensor.detach().view(-1, tensor.shape[-1]).numpy()
    return rows
