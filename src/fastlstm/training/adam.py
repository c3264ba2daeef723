"""Adam, for a model most of whose weights are word vectors, of which a step reads few."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from fastlstm.training import kernel_lstm
from fastlstm.training.layer import uses_kernel

BETAS = 0.9, 0.999
EPSILON = 1e-8
MOMENTS = "exp_avg", "exp_avg_sq"


class Adam:
    """Adam (Kingma & Ba 2015), with the gradient's norm clipped over all weights together.

    A word vector that a step does not read has no gradient but moves all the same, by what its moments remember.
    Where there is a kernel it makes these steps when it is next read: ask `catch_up` before. The bits are those
    of moving every word in every step. Everything else is PyTorch's fused Adam.
    """

    def __init__(self, embedding: nn.Embedding, named: Mapping[str, Tensor], clip_norm: float = 0.0) -> None:
        """`named`: all weights, `embedding`'s among them. `clip_norm`: 0 for no limit."""
        self._named = dict(named)
        self._clip_norm = clip_norm
        self._step = 0
        self._words = Words(embedding) if uses_kernel(embedding.weight) else None
        rest = [w for w in named.values() if self._words is None or w is not embedding.weight]
        self._rest = torch.optim.Adam(rest, betas=BETAS, eps=EPSILON, fused=True)

    def catch_up(self, ids: npt.NDArray[np.int32] | None = None) -> None:
        """Brings these words' vectors [M] up to date, each named once; all of them if None."""
        if self._words is not None:
            self._words.move(ids)

    def step(self, learning_rate: float) -> None:
        """Moves all weights by their gradients, and forgets those."""
        scale = self._scale()
        self._step += 1
        if self._words is not None:
            self._words.step(learning_rate, scale)
        for group in self._rest.param_groups:
            group["lr"] = learning_rate
            if scale < 1:
                torch._foreach_mul_([w.grad for w in group["params"] if w.grad is not None], scale)
        self._rest.step()
        self._rest.zero_grad()

    def _scale(self) -> float:
        """By how much the gradient is shortened."""
        if not self._clip_norm:
            return 1.0
        grads = [w.grad for w in self._named.values() if w.grad is not None]
        norms = [torch.linalg.vector_norm(g.coalesce().values() if g.is_sparse else g) for g in grads]
        return min(1.0, self._clip_norm / (float(torch.linalg.vector_norm(torch.stack(norms))) + 1e-6))

    def state(self) -> dict[str, Tensor]:
        """`step.NAME`, `exp_avg.NAME` and `exp_avg_sq.NAME` of every weight, once there was a step."""
        self.catch_up()
        result: dict[str, Tensor] = {}
        for name, weight in self._named.items() if self._step else ():
            values = self._rest.state.get(weight) or self._words_state()
            result |= {f"{key}.{name}": value for key, value in values.items()}
        return result

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Goes on from what `state` gave. Raises `KeyError` for a missing tensor."""
        for name, weight in self._named.items():
            values = {key: state[f"{key}.{name}"].to(weight.device) for key in ("step", *MOMENTS)}
            self._step = int(values["step"])
            if self._words is not None and weight is self._words.weight:
                self._words.restore(values)
            else:
                self._rest.state[weight] = values

    def _words_state(self) -> dict[str, Tensor]:
        assert self._words is not None
        return {"step": torch.tensor(float(self._step)), **self._words.moments}


class Words:
    """The word vectors' part, on the kernel. Their gradient comes as a sparse tensor, of the words read only."""

    def __init__(self, embedding: nn.Embedding) -> None:
        embedding.sparse = True
        self.weight = embedding.weight
        self.moments = {key: torch.zeros_like(self.weight) for key in MOMENTS}
        self._done = np.zeros(len(self.weight), np.int64)
        self._rates = np.zeros((1, 2), np.float32)

    def move(self, ids: npt.NDArray[np.int32] | None, grads: Tensor | None = None, scale: float = 1.0) -> None:
        """The steps that these rows have missed, the last one by `grads` [M, I] if given."""
        native = kernel_lstm.kernel()
        assert native is not None
        if len(self._rates) == 1:
            return
        native.adam(
            self.weight.detach().numpy(),
            self.moments["exp_avg"].numpy(),
            self.moments["exp_avg_sq"].numpy(),
            self._done,
            self._rates,
            rows=ids,
            grads=None if grads is None else grads.numpy(),
            scale=scale,
            betas=BETAS,
            epsilon=EPSILON,
        )

    def step(self, learning_rate: float, scale: float) -> None:
        step = len(self._rates)
        corrections = [1 - beta**step for beta in BETAS]
        rates = [learning_rate / corrections[0], 1 / math.sqrt(corrections[1])]
        self._rates = np.concatenate([self._rates, np.array([rates], np.float32)])
        grad, self.weight.grad = self.weight.grad, None
        if grad is not None:
            grad = grad.coalesce()
            ids: npt.NDArray[np.int32] = grad.indices()[0].int().numpy()
            self.move(ids, grad.values(), scale)

    def restore(self, values: Mapping[str, Tensor]) -> None:
        step = int(values["step"])
        self.moments = {key: values[key].contiguous() for key in MOMENTS}
        self._done = np.full(len(self.weight), step, np.int64)
        self._rates = np.zeros((step + 1, 2), np.float32)
