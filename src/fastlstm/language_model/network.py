"""A language model as a PyTorch module: embedding, LSTM layers per direction, projection, tied softmax."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.config import LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.language_model.corpus import Window
from fastlstm.language_model.perplexity import evaluation_batches
from fastlstm.language_model.sampled_softmax import StepVocabulary, sampled_loss
from fastlstm.nn import kernel_lstm
from fastlstm.nn.device import AsyncScalar, to_device
from fastlstm.nn.layers import Embedding, LSTMDirection, make_layer, pytorch_lstm, uses_kernel
from fastlstm.nn.parallel import process_group
from fastlstm.serialization import weights
from fastlstm.text.batches import DistinctTokens

EMBEDDING_RANGE = 0.1
"""Word vectors are initialized uniformly in [-range, range], as in AWD-LSTM (Merity et al. 2018)."""
BATCH_SIZE = 128
"""Texts per batch of an evaluation."""
LOGIT_ROWS = 8192
"""Tokens whose logits over the whole vocabulary are in memory at a time during an evaluation."""

States = list[tuple[Tensor, Tensor]]
"""h and c [B, H] of each layer."""


class LanguageModelNetwork(nn.Module):
    """A language model: one or two directions that share their word vectors and softmax."""

    def __init__(self, config: LanguageModelConfig, *, seed: int) -> None:
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        self.embedding = make_layer(Embedding, config.vocabulary_size, config.embedding_size, generator=generator)
        nn.init.uniform_(self.embedding.weight, -EMBEDDING_RANGE, EMBEDDING_RANGE, generator=generator)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary_size))
        self._directions = nn.ModuleList(
            DirectionNetwork(config, name, generator=generator) for name in config.directions
        )

    @property
    def directions(self) -> list[DirectionNetwork]:
        """The network of each direction."""
        return [network for network in self._directions if isinstance(network, DirectionNetwork)]

    @property
    def trained_directions(self) -> list[DirectionNetwork]:
        """The networks of the directions that are not frozen."""
        return [network for network in self.directions if network.layers[0].weight_ih.requires_grad]

    def step_vocabulary(
        self, windows: Sequence[Window], sample: TokenIds, log_inclusion: FloatArray
    ) -> StepVocabulary:
        """Return the words that a step on these windows uses, with this sample (see `Sampler.draw`)."""
        size = self.config.vocabulary_size
        if not uses_kernel(self.embedding.weight):
            return StepVocabulary.all(sample, log_inclusion, size)
        tokens = [ids for window in windows for ids in (window.inputs.ravel(), window.targets.ravel())]
        return StepVocabulary.used(tokens, sample, log_inclusion, size)

    def embed(self, vocabulary: StepVocabulary) -> tuple[Tensor, Tensor]:
        """Return the vectors [U, E] and the softmax biases [U] of the words of a step."""
        if vocabulary.whole:
            return self.embedding.weight, self.bias
        ids = torch.from_numpy(vocabulary.ids)
        return self.embedding(ids), self.bias[ids.long()]

    def sum_losses(self, texts: Sequence[TokenIds]) -> list[float]:
        """Return the summed loss (nats) of texts over the whole vocabulary in each direction, in float32."""
        with torch.inference_mode():
            return [self._sum_loss(network, texts) for network in self.directions]

    def _sum_loss(self, network: DirectionNetwork, texts: Sequence[TokenIds]) -> float:
        device = self.bias.device
        total = torch.zeros((), dtype=torch.float64, device=device)
        for batch, targets in evaluation_batches(texts, network.direction, BATCH_SIZE):
            outputs: Tensor = self.embedding.weight[to_device(batch.ids, device).long()]
            for layer in network.layers:
                assert isinstance(layer, LSTMDirection)
                outputs, _ = pytorch_lstm(layer.lstm, outputs, batch)
            if network.projection is not None:
                outputs = outputs @ network.projection.T
            target_ids = to_device(targets, device).long()
            for start in range(0, len(outputs), LOGIT_ROWS):
                rows = slice(start, start + LOGIT_ROWS)
                logits = outputs[rows] @ self.embedding.weight.T + self.bias
                total += functional.cross_entropy(logits, target_ids[rows], reduction="sum")
        return AsyncScalar(total)()

    def named(self) -> dict[str, Tensor]:
        """Return all weights, by the names of `serialization.weights.language_model_shapes`."""
        result: dict[str, Tensor] = {"embedding.weight": self.embedding.weight}
        for network in self.directions:
            for number, layer in enumerate(network.layers):
                assert isinstance(layer, LSTMDirection)
                prefix = f"lstm.{number}.{network.direction}"
                result[f"{prefix}.weight_ih"] = layer.weight_ih
                result[f"{prefix}.weight_hh"] = layer.weight_hh
                result[f"{prefix}.bias"] = layer.bias
            if network.projection is not None:
                result[f"projection.{network.direction}.weight"] = network.projection
        return {**result, "output.bias": self.bias}

    def trained(self) -> dict[str, Tensor]:
        """Return the weights of `named` that are not frozen."""
        return {name: weight for name, weight in self.named().items() if weight.requires_grad}

    def freeze(self, names: Iterable[str]) -> None:
        """Exclude weights from training, by the names of `named`: word vectors and biases, or a whole direction."""
        named = self.named()
        for name in names:
            named[name].requires_grad_(False)

    def assign(self, values: Mapping[str, FloatArray]) -> None:
        """Copy weights into the network, by the names of `named`. Weights not in `values` keep their values."""
        with torch.no_grad():
            named = self.named()
            for name, value in values.items():
                named[name].copy_(torch.from_numpy(value))

    def arrays(self) -> dict[str, FloatArray]:
        """Return copies of all weights as float32 arrays."""
        return {name: w.detach().float().cpu().numpy().copy() for name, w in self.named().items()}


class DirectionNetwork(nn.Module):
    """The LSTM layers and the projection of one direction, with fresh weights from a generator.

    The word vectors are also the weights of the softmax (Press & Wolf 2017).
    """

    def __init__(self, config: LanguageModelConfig, direction: str, *, generator: torch.Generator) -> None:
        super().__init__()
        self.direction = direction
        sizes = [config.embedding_size, *config.hidden_sizes]
        self.layers = nn.ModuleList(LSTMDirection(*pair, generator=generator) for pair in itertools.pairwise(sizes))
        self.projection = None
        if weights.has_projection(config):
            self.projection = nn.Parameter(torch.empty(config.embedding_size, sizes[-1]))
            nn.init.xavier_uniform_(self.projection, generator=generator)

    def loss(
        self,
        window: Window,
        vocabulary: StepVocabulary,
        vectors: Tensor,
        biases: Tensor,
        states: States | None,
        config: LanguageModelTrainingConfig,
        generator: torch.Generator | None,
        whole: Window,
    ) -> tuple[Tensor, Tensor, States]:
        """Return the mean loss (nats per token), the AR and TAR penalty to add to it, and the final states.

        Args:
            window: Input and target tokens, [T, B].
            vocabulary: The words of the step.
            vectors, biases: [U, E] and [U], from `LanguageModelNetwork.embed`.
            states: The final states of the previous window; zeros if None.
            config: Dropout and penalties.
            generator: Random generator of dropout.
            whole: The window of all streams, of which `window` has this process's share.
        """
        dropout = _Dropout(config, generator, vectors.device, whole)
        outputs, dropped, final_states = self._run(window, vocabulary, vectors, states, config, dropout)
        rows = vocabulary.rows(window.targets.ravel())
        device = vectors.device
        loss = sampled_loss(
            dropped.flatten(0, 1),
            self.projection,
            vectors,
            biases,
            targets=to_device(rows, device),
            sampled=to_device(vocabulary.sampled, device),
            log_inclusion=to_device(vocabulary.log_inclusion, device),
            positions=to_device(vocabulary.sample_positions(rows), device),
        )
        penalty = loss.new_zeros(())
        if config.activation_penalty:
            penalty = penalty + config.activation_penalty * dropped.square().mean()
        if config.change_penalty and len(outputs) > 1:
            penalty = penalty + config.change_penalty * (outputs[1:] - outputs[:-1]).square().mean()
        return loss, penalty, final_states

    def _run(
        self,
        window: Window,
        vocabulary: StepVocabulary,
        vectors: Tensor,
        states: States | None,
        config: LanguageModelTrainingConfig,
        dropout: _Dropout,
    ) -> tuple[Tensor, Tensor, States]:
        """Return the last layer's outputs [T, B, H] before and after dropout, and each layer's final states."""
        steps, count = window.inputs.shape
        distinct: DistinctTokens | None = None
        if vocabulary.whole:
            rows = to_device(vocabulary.rows(window.inputs.ravel()), vectors.device)
            inputs = functional.embedding(rows, dropout.drop_words(vectors))
        else:
            distinct = DistinctTokens.from_ids(window.inputs.ravel())
            inputs = dropout.drop_words(vectors[torch.from_numpy(vocabulary.rows(distinct.ids))], distinct.ids)
            if config.input_dropout:
                inputs, distinct = inputs[torch.from_numpy(distinct.index)], None
        if distinct is None:
            inputs = dropout.drop_features(inputs.view(steps, count, -1), config.input_dropout).flatten(0, 1)
        final_states: States = []
        outputs = inputs
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, LSTMDirection)
            if number:
                outputs = dropout.drop_features(outputs.view(steps, count, -1), config.hidden_dropout).flatten(0, 1)
                distinct = None
            state = states[number] if states else None
            weight_hh = dropout.drop_weights(layer.weight_hh)
            outputs, state = _run_layer(layer, weight_hh, outputs, steps, count, distinct, state)
            final_states.append(state)
        grid = outputs.view(steps, count, -1)
        return grid, dropout.drop_features(grid, config.output_dropout), final_states


def _run_layer(
    layer: LSTMDirection,
    weight_hh: Tensor,
    inputs: Tensor,
    steps: int,
    count: int,
    distinct: DistinctTokens | None,
    state: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return outputs [T * B, H] and final states [B, H], from inputs [T * B, I], or [M, I] with `distinct`."""
    if uses_kernel(inputs):
        h0, c0 = state or (None, None)
        outputs, h, c = kernel_lstm.kernel_lstm(
            inputs,
            layer.weight_ih,
            weight_hh,
            layer.bias,
            np.full(steps, count, np.int64),
            distinct=distinct,
            h0=h0,
            c0=c0,
        )
        return outputs, (h.detach(), c.detach())
    grid = inputs.view(steps, count, -1)
    zeros = inputs.new_zeros(count, layer.lstm.hidden_size)
    h0, c0 = state or (zeros, zeros)
    parameters = [layer.weight_ih, weight_hh, layer.bias, layer.lstm.get_parameter("bias_hh_l0")]
    outputs, h, c = torch.lstm(grid, [h0[None], c0[None]], parameters, True, 1, 0.0, True, False, False)
    return outputs.flatten(0, 1), (h[0].detach(), c[0].detach())


class _Dropout:
    """Dropout of words, features and recurrent weights. Remaining values are scaled by 1 / (1 - fraction)."""

    def __init__(
        self,
        config: LanguageModelTrainingConfig,
        generator: torch.Generator | None,
        device: torch.device,
        whole: Window,
    ) -> None:
        self._config, self._generator, self._device, self._whole = config, generator, device, whole
        self._group = process_group()

    def drop_words(self, vectors: Tensor, ids: TokenIds | None = None) -> Tensor:
        """Drop whole words, in all their occurrences (Gal & Ghahramani 2016).

        Args:
            vectors: [M, E].
            ids: Their increasing ids [M]; None if all processes have the same vectors.
        """
        fraction = self._config.embedding_dropout
        if not fraction:
            return vectors
        if ids is None or self._group.size == 1:
            return vectors * self._mask((len(vectors), 1), fraction).to(vectors.dtype)
        whole_ids = np.flatnonzero(np.bincount(self._whole.inputs.ravel()))
        rows = torch.from_numpy(np.searchsorted(whole_ids, ids))
        return vectors * self._mask((len(whole_ids), 1), fraction)[rows].to(vectors.dtype)

    def drop_features(self, values: Tensor, fraction: float) -> Tensor:
        """Drop features of [T, B, F], the same ones in all steps of a stream (Gal & Ghahramani 2016)."""
        if not fraction:
            return values
        mask = self._mask((self._whole.inputs.shape[1], values.shape[2]), fraction)
        return values * self._group.share(mask).to(values.dtype)

    def drop_weights(self, weight_hh: Tensor) -> Tensor:
        """Drop recurrent weights (DropConnect, Merity et al. 2018)."""
        fraction = self._config.weight_dropout
        return (
            weight_hh * self._mask(tuple(weight_hh.shape), fraction).to(weight_hh.dtype) if fraction else weight_hh
        )

    def _mask(self, shape: tuple[int, ...], fraction: float) -> Tensor:
        """Return factors of `shape`, the same in all processes: 0, or 1 / (1 - fraction)."""
        # Faster on a CPU than bernoulli_.
        kept = torch.rand(shape, device=self._device, generator=self._generator) >= fraction
        return kept / (1 - fraction)
