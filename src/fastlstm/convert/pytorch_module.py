"""A fastlstm classifier in plain PyTorch. `load()` reads weights.pt, which is in the folder of this file.

    probabilities = load()(ids, lengths)

`ids` is int64 [batch, length], padded with any token id; `lengths` is int64 [batch]. A model with n-grams takes a
third argument, `ngram_logits`: the logits of the n-grams [batch, logits]. Without it, n-grams are ignored.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence


class Classifier(nn.Module):
    """Compute class probabilities from token ids; `shape` is an entry of weights.pt."""

    def __init__(self, shape: dict[str, Any]) -> None:
        super().__init__()
        self.shape = shape
        directions = 2 if shape["bidirectional"] else 1
        self.embedding = nn.Embedding(shape["vocabulary_size"], shape["embedding_size"])
        sizes = [shape["embedding_size"], *(directions * size for size in shape["hidden_sizes"])]
        self.layers = nn.ModuleList(
            nn.LSTM(input_size, hidden_size, bidirectional=shape["bidirectional"])
            for input_size, hidden_size in zip(sizes, shape["hidden_sizes"], strict=False)
        )
        features = [sizes[-1] * (3 if shape["pooling"] == "concat" else 1), *shape["dense_sizes"]]
        self.dense = nn.ModuleList(nn.Linear(*pair) for pair in itertools.pairwise(features))
        self.output = nn.Linear(features[-1], shape["logits"])

    def forward(self, ids: Tensor, lengths: Tensor, ngram_logits: Tensor | None = None) -> Tensor:
        """Return the probabilities [batch, classes]."""
        steps = pack_padded_sequence(self.embedding(ids).transpose(0, 1), lengths.cpu(), enforce_sorted=False)
        for layer in self.layers:
            steps, (h, _) = layer(steps)
        features = self.pool(steps, h, lengths)
        if self.shape["empty_text_id"] is not None:  # a text without tokens: its features are zeros
            features = features.masked_fill((ids[:, :1] == self.shape["empty_text_id"]).to(features.device), 0)
        for dense, activation in zip(self.dense, self.shape["dense_activations"], strict=True):
            features = dense(features) if activation == "linear" else getattr(torch, activation)(dense(features))
        logits: Tensor = self.output(features)
        if ngram_logits is not None:
            logits = logits + ngram_logits
        logits = logits / self.shape["temperature"]
        if self.shape["activation"] == "softmax":
            return logits.softmax(1)
        probabilities: Tensor = logits.sigmoid()
        if probabilities.shape[1] == 1:
            return torch.cat([1 - probabilities, probabilities], 1)
        probabilities = probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny)
        return probabilities / probabilities.sum(1, keepdim=True)

    def pool(self, steps: PackedSequence, h: Tensor, lengths: Tensor) -> Tensor:
        """Return features [batch, features] from the last layer's outputs and last states `h`, without padding."""
        last = h.transpose(0, 1).flatten(1)
        if self.shape["pooling"] == "last":
            return last
        outputs, _ = pad_packed_sequence(steps)
        if self.shape["pooling"] == "last-step":
            return outputs[lengths - 1, torch.arange(len(lengths), device=outputs.device)]
        positions = torch.arange(len(outputs), device=outputs.device)[:, None]
        mask = (positions < lengths.to(outputs.device)[None]).unsqueeze(2)
        parts = {
            "last": last,
            "max": outputs.masked_fill(~mask, -torch.inf).amax(0),
            "mean": outputs.masked_fill(~mask, 0).sum(0) / lengths[:, None],
        }
        names = ("last", "max", "mean") if self.shape["pooling"] == "concat" else (self.shape["pooling"],)
        return torch.cat([parts[name] for name in names], 1)


def load(folder: str | Path = Path(__file__).parent) -> Classifier:
    """Return the model of the weights.pt in `folder`."""
    saved = torch.load(Path(folder, "weights.pt"), weights_only=True)
    model = Classifier(saved["shape"])
    model.load_state_dict(saved["weights"])
    return model.eval()
