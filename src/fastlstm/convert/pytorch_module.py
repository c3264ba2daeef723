"""A classifier of fastlstm in plain PyTorch: `load()` reads weights.pt, which lies beside this file.

    probabilities = load()(ids, lengths)  # ids [batch, length] int64, padded with any word's; lengths [batch]

Where the model has n-grams, what they add to the logits [batch, logits] is a third argument; without it, nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


class Classifier(nn.Module):
    """Token ids -> probabilities; `shape` as weights.pt has it."""

    def __init__(self, shape: dict[str, Any]) -> None:
        super().__init__()
        self.shape = shape
        directions = 2 if shape["bidirectional"] else 1
        self.embedding = nn.Embedding(shape["vocabulary_size"], shape["embedding_size"])
        sizes = [shape["embedding_size"], *(directions * size for size in shape["hidden_sizes"])]
        self.layers = nn.ModuleList(
            nn.LSTM(inputs, size, bidirectional=shape["bidirectional"])
            for inputs, size in zip(sizes, shape["hidden_sizes"], strict=False)
        )
        features = sizes[-1] * (3 if shape["pooling"] == "concat" else 1)
        self.output = nn.Linear(features, shape["logits"])

    def forward(self, ids: Tensor, lengths: Tensor, evidence: Tensor | None = None) -> Tensor:
        """[batch, classes]."""
        steps = pack_padded_sequence(self.embedding(ids).transpose(0, 1), lengths.cpu(), enforce_sorted=False)
        for layer in self.layers:
            steps, (h, _) = layer(steps)
        logits: Tensor = self.output(self.pooled(steps, h, lengths))
        if evidence is not None:
            logits = logits + evidence
        logits = logits / self.shape["temperature"]
        if self.shape["activation"] == "softmax":
            return logits.softmax(1)
        likely: Tensor = logits.sigmoid()
        if likely.shape[1] == 1:
            return torch.cat([1 - likely, likely], 1)
        likely = likely.clamp_min(torch.finfo(likely.dtype).tiny)
        return likely / likely.sum(1, keepdim=True)

    def pooled(self, steps: PackedSequence, h: Tensor, lengths: Tensor) -> Tensor:
        """[batch, features] of the last layer's steps and last states h; padding is left out."""
        last = h.transpose(0, 1).flatten(1)
        if self.shape["pooling"] == "last":
            return last
        outputs, _ = pad_packed_sequence(steps)
        there = (
            torch.arange(len(outputs), device=outputs.device)[:, None] < lengths.to(outputs.device)[None]
        ).unsqueeze(2)
        parts = {
            "last": last,
            "max": outputs.masked_fill(~there, -torch.inf).amax(0),
            "mean": outputs.masked_fill(~there, 0).sum(0) / lengths[:, None],
        }
        names = ("last", "max", "mean") if self.shape["pooling"] == "concat" else (self.shape["pooling"],)
        return torch.cat([parts[name] for name in names], 1)


def load(folder: str | Path = Path(__file__).parent) -> Classifier:
    """The model whose weights.pt lies in `folder`."""
    saved = torch.load(Path(folder, "weights.pt"), weights_only=True)
    model = Classifier(saved["shape"])
    model.load_state_dict(saved["weights"])
    return model.eval()
