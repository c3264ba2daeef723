"""Cross-entropy with a sampled softmax.

The softmax's denominator is estimated from a random sample of the vocabulary by the Horvitz-Thompson estimator
(Horvitz & Thompson 1952): each sampled word is weighted by 1 / its inclusion probability. The estimate is unbiased,
so the trained model gives probabilities over the whole vocabulary. The most frequent words are always sampled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastlstm._typing import FloatArray, IndexArray, TokenIds
from fastlstm.kernel.loader import usable_cores
from fastlstm.nn import kernel_lstm
from fastlstm.nn.threads import use_one_thread

CHUNK_ROWS = 512
"""Tokens whose logits are in memory at a time. The order of sums depends on it, not on the number of threads."""
GPU_CHUNK_ROWS = 32768
"""The same on a GPU, which has memory for larger chunks and is not fully used by smaller ones."""
ALWAYS_SAMPLED = 0.25
"""Fraction of the sample that the most frequent words take."""
SAMPLE_MULTIPLE = 64
"""On a GPU the sample size is rounded up to a multiple of this: odd matrix sizes run at half the speed."""


class Sampler:
    """Samples words of a vocabulary sorted by frequency: the most frequent always, the others at random."""

    def __init__(self, vocabulary_size: int, samples: int) -> None:
        """Create a sampler.

        Args:
            vocabulary_size: Size of the vocabulary.
            samples: Expected size of the sample. A vocabulary that is not larger is sampled completely.
        """
        always = vocabulary_size if samples >= vocabulary_size else int(samples * ALWAYS_SAMPLED)
        # Zipf's law: the frequency of the word of rank r is proportional to 1/r. The square root samples rare words
        # more often, which lowers the variance of the estimate.
        probabilities = 1 / np.sqrt(np.arange(always + 1, vocabulary_size + 1))
        remaining = samples - always
        if len(probabilities):
            for _ in range(20):  # a probability is at most 1; the others share the excess
                probabilities = np.minimum(probabilities * (remaining / probabilities.sum()), 1.0)
        self._inclusion = np.concatenate([np.ones(always), probabilities])
        self._log_inclusion = np.log(self._inclusion).astype(np.float32)

    def draw(self, generator: np.random.Generator) -> tuple[TokenIds, FloatArray]:
        """Return increasing word ids [S], and the logarithm of each one's inclusion probability."""
        ids = np.flatnonzero(generator.random(len(self._inclusion)) < self._inclusion).astype(np.int32)
        return ids, self._log_inclusion[ids]


@dataclass(frozen=True)
class StepVocabulary:
    """The words that a training step uses.

    Attributes:
        ids: [U], increasing.
        sampled: [S], the rows of `ids` in the sample.
        log_inclusion: [S], the logarithm of each sampled word's inclusion probability.
        whole: Whether `ids` are the whole vocabulary.
    """

    ids: TokenIds
    sampled: IndexArray
    log_inclusion: FloatArray
    whole: bool = False

    @classmethod
    def used(
        cls, tokens: Iterable[TokenIds], sample: TokenIds, log_inclusion: FloatArray, vocabulary_size: int
    ) -> StepVocabulary:
        """Return the words that occur among the input and target tokens or in the sample."""
        is_used = np.zeros(vocabulary_size, np.bool_)
        for ids in (*tokens, sample):
            is_used[ids] = True
        ids = np.flatnonzero(is_used).astype(np.int32)
        return cls(ids, np.searchsorted(ids, sample), log_inclusion)

    @classmethod
    def all(cls, sample: TokenIds, log_inclusion: FloatArray, vocabulary_size: int) -> StepVocabulary:
        """Return the whole vocabulary, for a GPU: finding the words in use would take longer than it saves.

        The sample is padded with words of weight 0 to a multiple of `SAMPLE_MULTIPLE`.
        """
        padding = -len(sample) % SAMPLE_MULTIPLE
        sampled = np.concatenate([sample.astype(np.int64), np.zeros(padding, np.int64)])
        log_inclusion = np.concatenate([log_inclusion, np.full(padding, np.inf, np.float32)])
        return cls(np.arange(vocabulary_size, dtype=np.int32), sampled, log_inclusion, whole=True)

    def rows(self, ids: TokenIds) -> IndexArray:
        """Return the row of `self.ids` of each id."""
        return ids.astype(np.int64) if self.whole else np.searchsorted(self.ids, ids)

    def sample_positions(self, rows: IndexArray) -> IndexArray:
        """Return the position in the sample of each of these rows; -1 if it was not sampled."""
        positions = np.full(len(self.ids), -1, np.int64)
        positions[self.sampled[::-1]] = np.arange(len(self.sampled))[::-1]  # the first of several positions
        return positions[rows]


def sampled_loss(
    hidden: Tensor,
    projection: Tensor | None,
    vectors: Tensor,
    biases: Tensor,
    *,
    targets: Tensor,
    sampled: Tensor,
    log_inclusion: Tensor,
    positions: Tensor,
) -> Tensor:
    """Return the mean negative log likelihood (nats) of the targets; differentiable by the first four arguments.

    Args:
        hidden: [N, H], LSTM outputs.
        projection: [E, H], maps them to the embedding dimension; None if H = E.
        vectors: [U, E], the word vectors of the step.
        biases: [U], their biases.
        targets: [N] int64, the row of `vectors` of each target.
        sampled: [S] int64, the rows of `vectors` in the sample.
        log_inclusion: [S], the logarithm of each sampled word's inclusion probability.
        positions: [N] int64, the position of each target in `sampled`; -1 if it was not sampled.
    """
    apply: Callable[..., Tensor] = _SampledLoss.apply
    hidden = hidden.to(vectors.dtype)  # on a GPU the LSTM returns float16
    return apply(hidden, projection, vectors, biases, targets, sampled, log_inclusion, positions)


class _SampledLoss(torch.autograd.Function):
    """Computes the gradients in the forward pass, while the logits of a chunk are in the cache."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        projection: Tensor | None,
        vectors: Tensor,
        biases: Tensor,
        targets: Tensor,
        sampled: Tensor,
        log_inclusion: Tensor,
        positions: Tensor,
    ) -> Tensor:
        narrow, wide = operand_dtype(hidden.device), hidden.dtype
        negatives, offsets = vectors[sampled].to(narrow), biases[sampled] - log_inclusion
        project = None if projection is None else projection.to(narrow)
        grad_hidden = torch.empty_like(hidden)

        @torch.no_grad()  # not inherited by worker threads
        def run_chunk(rows: slice) -> tuple[Tensor, ...]:
            """Return loss and gradients: target logits, target vectors, negatives, offsets, projection."""
            target_vectors, position = vectors[targets[rows]], positions[rows]
            chunk = hidden[rows].to(narrow)
            projected = chunk if project is None else chunk @ project.T
            logits = (projected @ negatives.T).to(wide).add_(offsets)
            target_logits = (projected.to(wide) * target_vectors).sum(dim=1) + biases[targets[rows]]
            column = position.clamp_min(0)[:, None]  # the target is not its own negative
            logits.scatter_(1, column, logits.gather(1, column).masked_fill_(position[:, None] >= 0, -torch.inf))
            maximum = torch.maximum(logits.amax(dim=1), target_logits)
            weights = logits.sub_(maximum[:, None]).exp_()
            target_weight = (target_logits - maximum).exp_()
            total = weights.sum(dim=1).add_(target_weight)
            loss = (total.log() + maximum - target_logits).sum()
            grad_logits = weights.div_(total[:, None])
            grad_offsets = grad_logits.sum(dim=0)
            grad_logits = grad_logits.to(narrow)
            grad_target = target_weight.div_(total).sub_(1)[:, None]
            grad_projected = (grad_logits @ negatives).to(wide).addcmul_(grad_target, target_vectors)
            grad_negatives = (grad_logits.T @ projected).to(wide)
            grad_target_vectors = grad_target * projected.to(wide)
            if project is None:
                grad_hidden[rows] = grad_projected
                return loss, grad_target[:, 0], grad_target_vectors, grad_negatives, grad_offsets
            grad_projected = grad_projected.to(narrow)
            grad_hidden[rows] = (grad_projected @ project).to(wide)
            grad_projection = (grad_projected.T @ chunk).to(wide)
            return loss, grad_target[:, 0], grad_target_vectors, grad_negatives, grad_offsets, grad_projection

        on_cpu = hidden.device.type == "cpu"
        size = CHUNK_ROWS if on_cpu else GPU_CHUNK_ROWS
        chunks = [slice(start, start + size) for start in range(0, len(hidden), size)]
        parts = list(_workers().map(run_chunk, chunks) if on_cpu else map(run_chunk, chunks))
        losses, by_target, by_target_vectors, by_negatives, by_offsets, *by_projection = zip(*parts, strict=True)
        grad_vectors, grad_biases = torch.zeros_like(vectors), torch.zeros_like(biases)
        grad_vectors.index_add_(0, targets, torch.cat(by_target_vectors))
        grad_vectors.index_add_(0, sampled, torch.stack(by_negatives).sum(dim=0))
        grad_biases.index_add_(0, targets, torch.cat(by_target))
        grad_biases.index_add_(0, sampled, torch.stack(by_offsets).sum(dim=0))
        grad_projection = [torch.stack(by_projection[0]).sum(dim=0)] if by_projection else []
        ctx.save_for_backward(grad_hidden, grad_vectors, grad_biases, *grad_projection)
        ctx.count = len(hidden)
        return torch.stack(losses).sum() / len(hidden)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scale = grad / ctx.count
        hidden, vectors, biases, *projection = (gradient * scale for gradient in ctx.saved_tensors)
        return hidden, projection[0] if projection else None, vectors, biases, None, None, None, None


def operand_dtype(device: torch.device) -> torch.dtype:
    """Return the type of matrix operands."""
    bfloat16 = device.type != "cpu" or kernel_lstm.current_precision() == "bfloat16"
    return torch.bfloat16 if bfloat16 else torch.float32


@cache
def _workers() -> ThreadPoolExecutor:
    """Return separate threads: PyTorch's idle workers spin on the cores that the kernel's threads need."""
    return ThreadPoolExecutor(initializer=_initialize_worker, max_workers=_worker_count())


def _worker_count() -> int:
    native = kernel_lstm.kernel()
    return native.threads if native is not None else usable_cores()


def _initialize_worker() -> None:
    use_one_thread()
    torch.set_flush_denormal(True)  # of this thread


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.cache_clear)  # threads do not survive a fork
