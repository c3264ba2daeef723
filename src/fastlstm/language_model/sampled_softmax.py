"""The loss of foretelling a token, with a softmax over a sample of the vocabulary.

The sum over all words in the softmax's denominator is estimated from a sample (Horvitz & Thompson 1952): a word
that is drawn one time in ten counts ten times when it is. The estimate is true on average, so a model trained with
it gives probabilities over the whole vocabulary. The commonest words are always in the sample.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastlstm._typing import TokenIds
from fastlstm.nn import kernel_lstm

CHUNK_ROWS = 512
"""Tokens whose scores are in memory at a time. The number of chunks, not of threads, decides the order of sums."""
GPU_CHUNK_ROWS = 32768
"""The same on a GPU, which is kept busy by large pieces, and whose memory holds them."""
ALWAYS_SAMPLED = 0.25
"""The share of a sample that the commonest words fill."""


class Sampler:
    """Draws words of a vocabulary sorted by falling frequency: the commonest always, others now and then."""

    def __init__(self, vocabulary_size: int, samples: int) -> None:
        """`samples`: words in a sample, about; the whole vocabulary where it has no more."""
        always = vocabulary_size if samples >= vocabulary_size else int(samples * ALWAYS_SAMPLED)
        # Zipf's law: the word of rank r is seen in proportion to 1/r. The square root draws rare words more often,
        # which lowers the estimate's variance.
        shares = 1 / np.sqrt(np.arange(always + 1, vocabulary_size + 1))
        left = samples - always
        if len(shares):
            for _ in range(20):  # none may be drawn with more than certainty; what is cut off goes to the others
                shares = np.minimum(shares * (left / shares.sum()), 1.0)
        self._chances = np.concatenate([np.ones(always), shares])
        self._logarithms = np.log(self._chances).astype(np.float32)

    def draw(self, generator: np.random.Generator) -> tuple[TokenIds, npt.NDArray[np.float32]]:
        """Word ids [S], rising, and the logarithm of each one's chance to be drawn."""
        ids = np.flatnonzero(generator.random(len(self._chances)) < self._chances).astype(np.int32)
        return ids, self._logarithms[ids]


def sampled_loss(
    states: Tensor,
    projection: Tensor | None,
    words: Tensor,
    biases: Tensor,
    *,
    expected: Tensor,
    sampled: Tensor,
    log_chances: Tensor,
    hits: Tensor,
) -> Tensor:
    """The mean negative log likelihood (nats) of the expected tokens; differentiable by the first four.

    Args:
        states: [N, H], what foretells each token.
        projection: [E, H], brings states to the size of word vectors; None where they have it.
        words: [U, E] vectors of the words that the step needs, and
        biases: [U], one each.
        expected: [N] int64, the row of `words` of each true token.
        sampled: [S] int64, the rows of `words` that are in the sample.
        log_chances: [S], the logarithm of each one's chance to be there.
        hits: [N] int64, where in `sampled` each true token stands; -1: it was not drawn.
    """
    apply: Callable[..., Tensor] = _SampledLoss.apply
    states = states.to(words.dtype)  # a GPU's LSTM gives narrower ones
    return apply(states, projection, words, biases, expected, sampled, log_chances, hits)


class _SampledLoss(torch.autograd.Function):
    """The gradients are made on the way forward, while the scores of a chunk are in the cache."""

    @staticmethod
    def forward(
        ctx: Any,
        states: Tensor,
        projection: Tensor | None,
        words: Tensor,
        biases: Tensor,
        expected: Tensor,
        sampled: Tensor,
        log_chances: Tensor,
        hits: Tensor,
    ) -> Tensor:
        narrow, wide = _narrow(states.device), states.dtype
        rivals, offsets = words[sampled].to(narrow), biases[sampled] - log_chances
        project = None if projection is None else projection.to(narrow)
        by_states = torch.empty_like(states)

        @torch.no_grad()  # which the workers do not know of
        def of_chunk(rows: slice) -> tuple[Tensor, ...]:
            """The chunk's loss; its gradients by own scores, own words, rivals, their biases, the projection."""
            truth, hit = words[expected[rows]], hits[rows]
            read = states[rows].to(narrow)
            vectors = read if project is None else read @ project.T
            scores = (vectors @ rivals.T).to(wide).add_(offsets)
            own = (vectors.to(wide) * truth).sum(dim=1) + biases[expected[rows]]
            place = hit.clamp_min(0)[:, None]  # the true token is no rival of itself
            scores.scatter_(1, place, scores.gather(1, place).masked_fill_(hit[:, None] >= 0, -torch.inf))
            highest = torch.maximum(scores.amax(dim=1), own)
            shares = scores.sub_(highest[:, None]).exp_()
            own_share = (own - highest).exp_()
            total = shares.sum(dim=1).add_(own_share)
            loss = (total.log() + highest - own).sum()
            by_scores = shares.div_(total[:, None])
            by_offsets = by_scores.sum(dim=0)
            by_scores = by_scores.to(narrow)
            by_own = own_share.div_(total).sub_(1)[:, None]
            by_vectors = (by_scores @ rivals).to(wide).addcmul_(by_own, truth)
            by_rivals = (by_scores.T @ vectors).to(wide)
            by_truth = by_own * vectors.to(wide)
            if project is None:
                by_states[rows] = by_vectors
                return loss, by_own[:, 0], by_truth, by_rivals, by_offsets
            by_vectors = by_vectors.to(narrow)
            by_states[rows] = (by_vectors @ project).to(wide)
            return loss, by_own[:, 0], by_truth, by_rivals, by_offsets, (by_vectors.T @ read).to(wide)

        on_cpu = states.device.type == "cpu"
        size = CHUNK_ROWS if on_cpu else GPU_CHUNK_ROWS
        chunks = [slice(at, at + size) for at in range(0, len(states), size)]
        parts = list(_workers().map(of_chunk, chunks) if on_cpu else map(of_chunk, chunks))
        losses, by_own, by_truth, by_rivals, by_offsets, *by_projection = zip(*parts, strict=True)
        by_words, by_biases = torch.zeros_like(words), torch.zeros_like(biases)
        by_words.index_add_(0, expected, torch.cat(by_truth))
        by_words.index_add_(0, sampled, torch.stack(by_rivals).sum(dim=0))
        by_biases.index_add_(0, expected, torch.cat(by_own))
        by_biases.index_add_(0, sampled, torch.stack(by_offsets).sum(dim=0))
        projected = [torch.stack(by_projection[0]).sum(dim=0)] if by_projection else []
        ctx.save_for_backward(by_states, by_words, by_biases, *projected)
        ctx.count = len(states)
        return torch.stack(losses).sum() / len(states)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        scale = grad / ctx.count
        by_states, by_words, by_biases, *by_projection = (part * scale for part in ctx.saved_tensors)
        return by_states, by_projection[0] if by_projection else None, by_words, by_biases, None, None, None, None


def _narrow(device: torch.device) -> torch.dtype:
    """What matrix products are taken of."""
    bfloat16 = device.type != "cpu" or kernel_lstm.precision() == "bfloat16"
    return torch.bfloat16 if bfloat16 else torch.float32


@cache
def _workers() -> ThreadPoolExecutor:
    """Threads of our own: PyTorch's wait for work busily, on the cores that the kernel's need."""
    return ThreadPoolExecutor(initializer=_one_thread_each, max_workers=_cores())


def _cores() -> int:
    there = kernel_lstm.kernel()
    return there.threads if there is not None else torch.get_num_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.cache_clear)  # threads do not survive a fork


def _one_thread_each() -> None:
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
