"""The classifier as a PyTorch module: embedding, LSTM layers, pooling, dropout, linear layer."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from fastlstm.config import ModelConfig
from fastlstm.nn.device import gather, to_device
from fastlstm.nn.layers import Embedding, LSTMDirection, make_layer, pool, run_layer
from fastlstm.nn.parallel import process_group
from fastlstm.serialization import weights
from fastlstm.text.batches import DistinctTokens, PackedBatch

EMBEDDING_RANGE = 0.05
"""Embeddings are initialized uniformly in [-range, range], as in Keras."""


class TextClassifier(nn.Module):
    """A classifier with fresh weights, which depend on `seed` alone."""

    def __init__(self, config: ModelConfig, classes: int, *, seed: int) -> None:
        super().__init__()
        self.config = config
        self.classes = classes
        self.sigmoid = weights.uses_sigmoid(config, classes)
        generator = torch.Generator().manual_seed(seed)
        self.embedding = make_layer(Embedding, config.vocabulary_size, config.embedding_size, generator=generator)
        nn.init.uniform_(self.embedding.weight, -EMBEDDING_RANGE, EMBEDDING_RANGE, generator=generator)
        self.directions = nn.ModuleList(
            LSTMDirection(d.input_size, d.hidden_size, reverse=d.reverse, generator=generator)
            for d in weights.directions(config)
        )
        sizes = weights.feature_size(config), weights.output_size(config, classes)
        self.output = make_layer(nn.Linear, *sizes, generator=generator)
        nn.init.xavier_uniform_(self.output.weight, generator=generator)
        nn.init.zeros_(self.output.bias)
        self.center: Tensor
        self.deviation: Tensor
        self.register_buffer("center", torch.zeros(self.output.in_features))
        self.register_buffer("deviation", torch.ones(self.output.in_features))

    def standardize(self, center: Tensor, deviation: Tensor) -> None:
        """Standardize the inputs of the output layer: (feature - center) / deviation, both [features].

        Saved weights have it folded into the output layer.
        """
        self.center.copy_(center)
        self.deviation.copy_(deviation)

    def forward(
        self, batch: PackedBatch, generator: torch.Generator | None = None, texts: int | None = None
    ) -> Tensor:
        """Return the logits [B, logits] of a packed batch.

        Args:
            batch: Texts of at least one token each.
            generator: Random generator of dropout in training, on the device of the model.
            texts: The number of texts of which the batch is this process's share. None: B.
        """
        vectors = self.embedding(to_device(batch.distinct.ids, self.embedding.weight.device))
        return self._logits(vectors, batch, batch.distinct, generator, texts)

    def token_vectors(self, batch: PackedBatch) -> Tensor:
        """Return the word vectors [N, E] of the tokens of a packed batch."""
        device = self.embedding.weight.device
        vectors: Tensor = self.embedding(to_device(batch.distinct.ids, device))
        return gather(vectors, batch.distinct.index)

    def from_vectors(
        self,
        vectors: Tensor,
        batch: PackedBatch,
        generator: torch.Generator | None = None,
        texts: int | None = None,
    ) -> Tensor:
        """Return the logits of a packed batch from the word vectors [N, E] of its tokens; see `forward`."""
        return self._logits(vectors, batch, None, generator, texts)

    def _logits(
        self,
        outputs: Tensor,
        batch: PackedBatch,
        distinct: DistinctTokens | None,
        generator: torch.Generator | None,
        texts: int | None,
    ) -> Tensor:
        features = (self._features(outputs, batch, distinct) - self.center) / self.deviation
        logits: Tensor = self.output(self._dropout(features, generator, texts))
        return logits

    def features(self, batch: PackedBatch) -> Tensor:
        """Return the pooled outputs [B, features] of a packed batch, not standardized."""
        vectors = self.embedding(to_device(batch.distinct.ids, self.embedding.weight.device))
        return self._features(vectors, batch, batch.distinct)

    def _features(self, outputs: Tensor, batch: PackedBatch, distinct: DistinctTokens | None) -> Tensor:
        width = 2 if self.config.bidirectional else 1
        pairs: list[tuple[Tensor, Tensor]] = []
        for first in range(0, len(self.directions), width):
            if pairs:
                outputs = torch.cat([steps for steps, _ in pairs], dim=1) if width > 1 else pairs[0][0]
                distinct = None
            pairs = run_layer(self.directions[first : first + width], outputs, batch, distinct)
        return self._pooled(pairs, batch)

    def _pooled(self, pairs: list[tuple[Tensor, Tensor]], batch: PackedBatch) -> Tensor:
        """Return the pooled features [B, features] of the outputs [N, H] and last states [B, H] per direction."""
        pooling = self.config.pooling
        if pooling == "last-step":
            rows = torch.from_numpy(batch.last_rows()).to(pairs[0][0].device)
            return torch.cat([steps[rows] for steps, _ in pairs], dim=1)
        parts = [last for _, last in pairs] if pooling in ("last", "concat") else []
        if pooling != "last":
            maximum, mean = zip(*(pool(steps, batch) for steps, _ in pairs), strict=True)
            parts += maximum if pooling in ("max", "concat") else []
            parts += mean if pooling in ("mean", "concat") else []
        return torch.cat(parts, dim=1)

    def _dropout(self, features: Tensor, generator: torch.Generator | None, texts: int | None) -> Tensor:
        if not self.training or self.config.dropout == 0:
            return features
        keep = 1 - self.config.dropout
        mask = features.new_empty(texts or len(features), features.shape[1]).bernoulli_(keep, generator=generator)
        return features * (mask if texts is None else process_group().share(mask)) / keep

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the negative log-likelihood [B] of each text in nats.

        Args:
            logits: [B, logits].
            targets: Class indices [B] int64, or class probabilities [B, classes].

        With a sigmoid over several classes, the binary losses of the classes are summed.
        """
        if not self.sigmoid:
            return functional.cross_entropy(logits, targets, reduction="none")
        if targets.dim() == 1:
            targets = functional.one_hot(targets, self.classes)
        binary = (targets[:, 1:] if logits.shape[1] == 1 else targets).to(logits.dtype)
        return functional.binary_cross_entropy_with_logits(logits, binary, reduction="none").sum(dim=1)

    def divergence(self, reference: Tensor, logits: Tensor) -> Tensor:
        """Return the mean Kullback-Leibler divergence (nats) of `logits` from `reference`, both [B, logits]."""
        if not self.sigmoid:
            expected = functional.log_softmax(reference.float(), dim=1)
            actual = functional.log_softmax(logits.float(), dim=1)
            return functional.kl_div(actual, expected, reduction="batchmean", log_target=True)
        expected = torch.sigmoid(reference.float())
        cross = functional.binary_cross_entropy_with_logits(logits.float(), expected, reduction="none")
        entropy = functional.binary_cross_entropy_with_logits(reference.float(), expected, reduction="none")
        return (cross - entropy).sum(dim=1).mean()

    def predicted(self, logits: Tensor) -> Tensor:
        """Return the most likely classes [B] int64."""
        return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)

    def named(self) -> dict[str, Tensor]:
        """Return the weights, with the names of `fastlstm.serialization.weights.shapes`."""
        result = {"embedding.weight": self.embedding.weight}
        for spec, direction in zip(weights.directions(self.config), self.directions, strict=True):
            assert isinstance(direction, LSTMDirection)
            result[f"{spec.prefix}.weight_ih"] = direction.weight_ih
            result[f"{spec.prefix}.weight_hh"] = direction.weight_hh
            result[f"{spec.prefix}.bias"] = direction.bias
        return {**result, "output.weight": self.output.weight, "output.bias": self.output.bias}

    def assign(self, values: Mapping[str, Tensor]) -> None:
        """Copy weights into the model, by the names of `named`."""
        with torch.no_grad():
            for name, parameter in self.named().items():
                parameter.copy_(values[name])

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """Return copies of the weights as float32 arrays, with standardization folded into the output layer."""
        result = {name: w.detach().float().cpu().numpy().copy() for name, w in self.named().items()}
        weight = self.output.weight.detach().double() / self.deviation
        bias = self.output.bias.detach().double() - weight @ self.center.double()
        result["output.weight"], result["output.bias"] = (w.float().cpu().numpy() for w in (weight, bias))
        return result
