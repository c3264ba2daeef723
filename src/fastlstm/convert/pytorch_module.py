"""A fastlstm classifier in plain PyTorch. `load()` reads weights.pt, which is in the folder of this file.

    probabilities = load()(ids, lengths)

`ids` is int64 [batch, length], all token ids of each text, followed by any ids; `lengths` is int64 [batch], the number
of tokens of each text. The module truncates, pads and computes n-grams as fastlstm does. golden.json has texts with
their ids and probabilities.
"""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

PADDING_ID, UNKNOWN_ID = 0, 1
MIX_CONSTANTS = (-0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15)
"""The constants of SplitMix64, as int64."""


def mix(values: Tensor) -> Tensor:
    """Return the finalizer of SplitMix64 of int64 values; products wrap around, shifts are those of uint64."""
    for shift, factor in ((30, MIX_CONSTANTS[1]), (27, MIX_CONSTANTS[2]), (31, 1)):
        values = (values ^ (values >> shift & (1 << 64 - shift) - 1)) * factor
    return values


class Classifier(nn.Module):
    """Compute class probabilities from token ids; `shape` is an entry of weights.pt."""

    ngram_ids: Tensor
    ngram_weight: Tensor

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
        self.register_buffer("ngram_ids", torch.zeros(shape["ngrams"], dtype=torch.int64))
        self.register_buffer("ngram_weight", torch.zeros(shape["ngrams"], shape["logits"]))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the probabilities [batch, classes]."""
        if self.shape["padding"] == "none":  # a text without tokens
            empty = self.shape["empty_text_id"]
            ids = torch.where(lengths[:, None] < 1, UNKNOWN_ID if empty is None else empty, ids)
            lengths = lengths.clamp_min(1)
        ngram_logits = self.ngram_logits(ids, lengths) if self.shape["ngrams"] else None
        ids, lengths = self.truncate(ids, lengths)
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

    def truncate(self, ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return the ids [batch, length] that the LSTM reads, truncated and padded, and their number [batch]."""
        limit, padding = self.shape["max_tokens"], self.shape["padding"]
        head = {"end": 0, "beginning": limit, "both": limit // 2}[self.shape["truncate"]]
        counts = lengths.clamp_max(limit)
        read_length = min(ids.shape[1], limit) if padding == "none" else limit
        positions = torch.arange(read_length, device=ids.device).repeat(len(ids), 1)
        if padding == "front":
            positions -= (limit - counts)[:, None]
        source = torch.where(positions < head, positions, positions + (lengths - counts)[:, None])
        read_ids = ids.gather(1, source.clamp(0, ids.shape[1] - 1))
        if padding == "none":
            return read_ids, counts
        is_text = (source >= 0) & (source < lengths[:, None])
        return torch.where(is_text, read_ids, PADDING_ID), torch.full_like(lengths, limit)

    def ngram_logits(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """Return the sum of the weights of the distinct n-grams of each text [batch, logits]."""
        positions = torch.arange(ids.shape[1], device=ids.device)
        remaining = lengths[:, None] - positions
        tokens = ((ids + 1) * MIX_CONSTANTS[0]).flatten()
        keys = []
        for tag, offsets, beginning, end in self.shape["ngram_kinds"]:
            inside = remaining > offsets[-1]
            if beginning:
                inside &= positions + offsets[-1] < beginning
            if end:
                inside &= remaining <= end
            text, position = inside.nonzero(as_tuple=True)
            state = torch.full_like(text, tag)
            for offset in offsets:
                state = mix(state + tokens[text * ids.shape[1] + position + offset])
            keys.append(text << 32 | state & self.shape["ngram_id_count"] - 1)
        distinct = torch.unique(torch.cat(keys))
        text, ngrams = distinct >> 32, distinct & 0xFFFFFFFF
        rows = torch.searchsorted(self.ngram_ids, ngrams).clamp_max(len(self.ngram_ids) - 1)
        is_known = self.ngram_ids[rows] == ngrams
        total = torch.zeros(len(ids), self.shape["logits"], dtype=torch.float64, device=ids.device)
        total.index_add_(0, text[is_known], self.ngram_weight[rows[is_known]].double())
        return total.float()

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
