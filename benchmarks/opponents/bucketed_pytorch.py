"""Well-tuned training in PyTorch on a CPU: length-bucketed padding, oneDNN, flushed denormals, fused Adam."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

BATCH, POOL = 64, 50


class Tutorial(nn.Module):
    """Embedding 10,000 x 64, LSTM 64, LSTM 32, linear 1, as PyTorch users write it."""

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, 64)
        self.first = nn.LSTM(64, 64)
        self.second = nn.LSTM(64, 32)
        self.output = nn.Linear(32, 1)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        outputs, _ = self.second(self.first(self.embedding(ids))[0])
        last = outputs[lengths - 1, torch.arange(outputs.shape[1])]
        logits: Tensor = self.output(last)[:, 0]
        return logits


class Opponent:
    """Trains the tutorial model, epoch by epoch."""

    def __init__(
        self,
        texts: list[npt.NDArray[np.int32]],
        truth: npt.NDArray[np.int64],
        vocabulary: int,
        *,
        bfloat16: bool = False,
    ) -> None:
        """Prepare the model; with `bfloat16`, it is trained under autocast."""
        self.bfloat16 = bfloat16
        self.texts = [torch.from_numpy(text.astype(np.int64)) for text in texts]
        self.truth = torch.from_numpy(truth).float()
        self.lengths = torch.tensor([len(text) for text in texts])
        self.model = Tutorial(vocabulary)
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-3, fused=True)

    def epoch(self) -> float:
        """Train one epoch and return its seconds: batches, forward, backward, Adam."""
        torch.set_flush_denormal(True)  # in every epoch, since fastlstm may turn it off in between
        started = time.perf_counter()
        for batch in self._batches():
            ids = pad_sequence([self.texts[i] for i in batch])
            with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
                logits = self.model(ids, self.lengths[batch])
            loss = functional.binary_cross_entropy_with_logits(logits.float(), self.truth[batch])
            self.optimizer.zero_grad()
            torch.autograd.backward(loss)
            self.optimizer.step()
        return time.perf_counter() - started

    def _batches(self) -> list[list[int]]:
        batches: list[list[int]] = []
        for pool in torch.split(torch.randperm(len(self.texts)), BATCH * POOL):
            sorted_pool = pool[self.lengths[pool].argsort()]
            batches += [batch.tolist() for batch in torch.split(sorted_pool, BATCH)]
        return [batches[i] for i in torch.randperm(len(batches))]
