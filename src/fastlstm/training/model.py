"""The classifier as a PyTorch module: tokens -> embedding -> LSTM layers -> pooling -> dropout -> linear."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from fastlstm.config import ModelConfig
from fastlstm.nn.device import gather, to_device
from fastlstm.nn.layers import Embedding, LSTMDirection, pool, run_layer
from fastlstm.serialization import weights
from fastlstm.text.batches import DistinctTokens, PackedBatch

EMBEDDING_RANGE = 0.05
"""Embeddings start uniform in this range around zero, as Keras starts them."""


class TextClassifier(nn.Module):
    """A model of the given shape with fresh weights that `seed` decides, whatever was random before."""

    def __init__(self, config: ModelConfig, classes: int, *, seed: int) -> None:
        super().__init__()
        self.config = config
        self.classes = classes
        self.sigmoid = weights.uses_sigmoid(config, classes)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = Embedding(config.vocabulary_size, config.embedding_size)
            nn.init.uniform_(self.embedding.weight, -EMBEDDING_RANGE, EMBEDDING_RANGE)
            self.directions = nn.ModuleList(
                LSTMDirection(d.input_size, d.hidden_size, reverse=d.reverse) for d in weights.directions(config)
            )
            self.output = nn.Linear(weights.feature_size(config), weights.output_size(config, classes))
            nn.init.xavier_uniform_(self.output.weight)
            nn.init.zeros_(self.output.bias)
        self.center: Tensor
        self.deviation: Tensor
        self.register_buffer("center", torch.zeros(self.output.in_features))
        self.register_buffer("deviation", torch.ones(self.output.in_features))

    def standardise(self, center: Tensor, deviation: Tensor) -> None:
        """Makes the output layer read (feature - center) / deviation, both [features], from now on.

        Dropout then puts a feature at its centre. What is saved has it folded into the output layer.
        """
        self.center.copy_(center)
        self.deviation.copy_(deviation)

    def forward(self, batch: PackedBatch, generator: torch.Generator | None = None) -> Tensor:
        """Logits [B, logits] of a packed batch.

        Args:
            batch: texts of at least one token each.
            generator: where dropout draws from in training; on the model's device.
        """
        vectors = self.embedding(to_device(batch.distinct.ids, self.embedding.weight.device))
        return self._logits(vectors, batch, batch.distinct, generator)

    def embedded(self, batch: PackedBatch) -> Tensor:
        """[N, E], the word vector of every token of a packed batch."""
        device = self.embedding.weight.device
        vectors: Tensor = self.embedding(to_device(batch.distinct.ids, device))
        return gather(vectors, batch.distinct.index)

    def read(self, vectors: Tensor, batch: PackedBatch, generator: torch.Generator | None = None) -> Tensor:
        """`forward` for tokens whose vectors [N, E] are given."""
        return self._logits(vectors, batch, None, generator)

    def _logits(
        self, outputs: Tensor, batch: PackedBatch, words: DistinctTokens | None, generator: torch.Generator | None
    ) -> Tensor:
        features = (self._features(outputs, batch, words) - self.center) / self.deviation
        logits: Tensor = self.output(self._dropped(features, generator))
        return logits

    def features(self, batch: PackedBatch) -> Tensor:
        """[B, features] that pooling keeps of a packed batch, as the LSTM gives them."""
        vectors = self.embedding(to_device(batch.distinct.ids, self.embedding.weight.device))
        return self._features(vectors, batch, batch.distinct)

    def _features(self, outputs: Tensor, batch: PackedBatch, words: DistinctTokens | None) -> Tensor:
        each = 2 if self.config.bidirectional else 1
        pairs: list[tuple[Tensor, Tensor]] = []
        for first in range(0, len(self.directions), each):
            if pairs:
                outputs = torch.cat([of_steps for of_steps, _ in pairs], dim=1) if each > 1 else pairs[0][0]
                words = None
            pairs = run_layer(self.directions[first : first + each], outputs, batch, words)
        return self._pooled(pairs, batch)

    def _pooled(self, pairs: list[tuple[Tensor, Tensor]], batch: PackedBatch) -> Tensor:
        """[B, features]: what pooling keeps of each direction's outputs [N, H] and last states [B, H]."""
        pooling = self.config.pooling
        kept = [last for _, last in pairs] if pooling in ("last", "concat") else []
        if pooling != "last":
            highest, mean = zip(*(pool(of_steps, batch) for of_steps, _ in pairs), strict=True)
            kept += highest if pooling in ("max", "concat") else []
            kept += mean if pooling in ("mean", "concat") else []
        return torch.cat(kept, dim=1)

    def _dropped(self, features: Tensor, generator: torch.Generator | None) -> Tensor:
        if not self.training or self.config.dropout == 0:
            return features
        keep = 1 - self.config.dropout
        return features * torch.empty_like(features).bernoulli_(keep, generator=generator) / keep

    def losses(self, logits: Tensor, truth: Tensor) -> Tensor:
        """[B] each text's negative log likelihood (nats), for the true classes [B] int64.

        A sigmoid over several classes asks one yes-or-no question a class, and their losses are summed.
        Instead of classes, `truth` may hold the probability of each, [B, classes].
        """
        if not self.sigmoid:
            return functional.cross_entropy(logits, truth, reduction="none")
        if truth.dim() == 1:
            truth = functional.one_hot(truth, self.classes)
        target = (truth[:, 1:] if logits.shape[1] == 1 else truth).to(logits.dtype)
        return functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(dim=1)

    def divergence(self, said: Tensor, logits: Tensor) -> Tensor:
        """The mean Kullback-Leibler divergence (nats) from what logits [B, logits] `said` to what these say."""
        if not self.sigmoid:
            expected = functional.log_softmax(said.float(), dim=1)
            came = functional.log_softmax(logits.float(), dim=1)
            return functional.kl_div(came, expected, reduction="batchmean", log_target=True)
        expected = torch.sigmoid(said.float())
        of_each = functional.binary_cross_entropy_with_logits(logits.float(), expected, reduction="none")
        own = functional.binary_cross_entropy_with_logits(said.float(), expected, reduction="none")
        return (of_each - own).sum(dim=1).mean()

    def predicted(self, logits: Tensor) -> Tensor:
        """[B] int64, the most likely class."""
        return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)

    def named(self) -> dict[str, Tensor]:
        """The learned weights, under the names of `fastlstm.serialization.weights.shapes`."""
        result = {"embedding.weight": self.embedding.weight}
        for spec, direction in zip(weights.directions(self.config), self.directions, strict=True):
            assert isinstance(direction, LSTMDirection)
            result[f"{spec.prefix}.weight_ih"] = direction.weight_ih
            result[f"{spec.prefix}.weight_hh"] = direction.weight_hh
            result[f"{spec.prefix}.bias"] = direction.bias
        return {**result, "output.weight": self.output.weight, "output.bias": self.output.bias}

    def assign(self, values: Mapping[str, Tensor]) -> None:
        """Copies in weights, by the names that `named` gives."""
        with torch.no_grad():
            for name, parameter in self.named().items():
                parameter.copy_(values[name])

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """The learned weights as float32 arrays of their own, for features as the LSTM gives them."""
        result = {name: w.detach().float().cpu().numpy().copy() for name, w in self.named().items()}
        weight = self.output.weight.detach().double() / self.deviation
        bias = self.output.bias.detach().double() - weight @ self.center.double()
        result["output.weight"], result["output.bias"] = (w.float().cpu().numpy() for w in (weight, bias))
        return result
