"""A language model as a PyTorch module: tokens -> embedding -> LSTM layers -> projection -> the embedding again."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from fastlstm.config import LanguageModelConfig, LanguageModelTrainingConfig
from fastlstm.language_model.corpus import Window
from fastlstm.language_model.sampled_softmax import sampled_loss
from fastlstm.nn import kernel_lstm
from fastlstm.nn.device import to_device
from fastlstm.nn.layers import Embedding, LSTMDirection, uses_kernel
from fastlstm.serialization import weights
from fastlstm.text.batches import DistinctTokens

EMBEDDING_RANGE = 0.1
"""Word vectors start uniform in this range around zero, as AWD-LSTM's (Merity et al. 2018)."""

EVEN_SAMPLE = 64
"""What divides the number of rivals in a GPU's softmax."""

States = list[tuple[Tensor, Tensor]]
"""h and c [B, H] of every layer."""


@dataclass(frozen=True)
class WindowVocabulary:
    """The words that a step needs.

    `ids` [U], rising; `sampled` [S] the rows of `ids` that rival the true tokens, and `log_chances` [S] the
    logarithm of each one's chance to be among them. `whole`: `ids` are all of the vocabulary.
    """

    ids: npt.NDArray[np.int32]
    sampled: npt.NDArray[np.int64]
    log_chances: npt.NDArray[np.float32]
    whole: bool = False

    @classmethod
    def of(
        cls, window: Window, sample: npt.NDArray[np.int32], log_chances: npt.NDArray[np.float32], size: int
    ) -> WindowVocabulary:
        """What a window reads, foretells and is rivalled by, of a vocabulary of `size`."""
        there = np.zeros(size, np.bool_)
        for ids in (window.read.ravel(), window.expected.ravel(), sample):
            there[ids] = True
        ids = np.flatnonzero(there).astype(np.int32)
        return cls(ids, np.searchsorted(ids, sample), log_chances)

    @classmethod
    def all(
        cls, sample: npt.NDArray[np.int32], log_chances: npt.NDArray[np.float32], size: int
    ) -> WindowVocabulary:
        """The whole vocabulary of `size`: what a GPU computes with, for which finding the few takes longer.

        The sample is filled up with words of no chance, since a GPU multiplies odd sizes at half the speed.
        """
        filling = -len(sample) % EVEN_SAMPLE
        sampled = np.concatenate([sample.astype(np.int64), np.zeros(filling, np.int64)])
        log_chances = np.concatenate([log_chances, np.full(filling, np.inf, np.float32)])
        return cls(np.arange(size, dtype=np.int32), sampled, log_chances, whole=True)

    def rows(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
        """Which row of `self.ids` each of these is."""
        return ids.astype(np.int64) if self.whole else np.searchsorted(self.ids, ids)

    def hits(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Where in the sample each of these rows stands, -1 where it does not."""
        place = np.full(len(self.ids), -1, np.int64)
        place[self.sampled[::-1]] = np.arange(len(self.sampled))[::-1]  # of several places the first
        return place[rows]


class LanguageModelNetwork(nn.Module):
    """One direction of a language model, with fresh weights drawn from PyTorch's generator.

    The embedding is shared: with the other direction, and as the weights of the softmax (Press & Wolf 2017).
    """

    def __init__(self, config: LanguageModelConfig, direction: str, embedding: Embedding) -> None:
        super().__init__()
        self.direction = direction
        self.embedding = embedding
        sizes = [config.embedding_size, *config.hidden_sizes]
        self.layers = nn.ModuleList(LSTMDirection(*pair) for pair in itertools.pairwise(sizes))
        self.projection = None
        if weights.has_projection(config):
            self.projection = nn.Parameter(torch.empty(config.embedding_size, sizes[-1]))
            nn.init.xavier_uniform_(self.projection)

    def loss(
        self,
        window: Window,
        words: WindowVocabulary,
        vectors: Tensor,
        biases: Tensor,
        states: States | None,
        config: LanguageModelTrainingConfig,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor, States]:
        """The mean loss (nats) a token, the penalty that AR and TAR add to it, and the states to go on with.

        Args:
            window: what is read and foretold, [T, B].
            words: the words needed, and
            vectors: [U, E], theirs, and
            biases: [U], theirs in the softmax.
            states: where the window before ended; zeros if None.
            config: what is dropped and penalised.
            generator: where dropout draws from.
        """
        mask = _Masks(config, generator, vectors)
        outputs, dropped, after = self._read(window, words, vectors, states, config, mask)
        rows = words.rows(window.expected.ravel())
        device = vectors.device
        loss = sampled_loss(
            dropped.flatten(0, 1),
            self.projection,
            vectors,
            biases,
            expected=to_device(rows, device),
            sampled=to_device(words.sampled, device),
            log_chances=to_device(words.log_chances, device),
            hits=to_device(words.hits(rows), device),
        )
        penalty = loss.new_zeros(())
        if config.activation_penalty:
            penalty = penalty + config.activation_penalty * dropped.square().mean()
        if config.change_penalty and len(outputs) > 1:
            penalty = penalty + config.change_penalty * (outputs[1:] - outputs[:-1]).square().mean()
        return loss, penalty, after

    def _read(
        self,
        window: Window,
        words: WindowVocabulary,
        vectors: Tensor,
        states: States | None,
        config: LanguageModelTrainingConfig,
        mask: _Masks,
    ) -> tuple[Tensor, Tensor, States]:
        """The last layer's outputs [T, B, H], the same after dropout, and each layer's last states."""
        steps, count = window.read.shape
        distinct: DistinctTokens | None = None
        if words.whole:
            rows = to_device(words.rows(window.read.ravel()), vectors.device)
            inputs = functional.embedding(rows, mask.words(vectors))
        else:
            distinct = DistinctTokens.of(window.read.ravel())
            inputs = mask.words(vectors[torch.from_numpy(words.rows(distinct.ids))])
            if config.input_dropout:
                inputs, distinct = inputs[torch.from_numpy(distinct.index)], None
        if distinct is None:
            inputs = mask.locked(inputs.view(steps, count, -1), config.input_dropout).flatten(0, 1)
        after: States = []
        outputs = inputs
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, LSTMDirection)
            if number:
                outputs = mask.locked(outputs.view(steps, count, -1), config.hidden_dropout).flatten(0, 1)
                distinct = None
            state = states[number] if states else None
            outputs, state = _recur(layer, mask.weights(layer.weight_hh), outputs, steps, count, distinct, state)
            after.append(state)
        grid = outputs.view(steps, count, -1)
        return grid, mask.locked(grid, config.output_dropout), after


def _recur(
    layer: LSTMDirection,
    weight_hh: Tensor,
    inputs: Tensor,
    steps: int,
    count: int,
    distinct: DistinctTokens | None,
    state: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Outputs [T * B, H] and last states [B, H] from inputs [T * B, I], or [M, I] of the `distinct` words."""
    if uses_kernel(inputs):
        h0, c0 = state or (None, None)
        outputs, h, c = kernel_lstm.kernel_lstm(
            inputs,
            layer.weight_ih,
            weight_hh,
            layer.bias,
            np.full(steps, count, np.int64),
            read=distinct,
            h0=h0,
            c0=c0,
        )
        return outputs, (h.detach(), c.detach())
    grid = inputs.view(steps, count, -1)
    zeros = inputs.new_zeros(count, layer.lstm.hidden_size)
    h0, c0 = state or (zeros, zeros)
    own = [layer.weight_ih, weight_hh, layer.bias, layer.lstm.get_parameter("bias_hh_l0")]
    outputs, h, c = torch.lstm(grid, [h0[None], c0[None]], own, True, 1, 0.0, True, False, False)
    return outputs.flatten(0, 1), (h[0].detach(), c[0].detach())


class _Masks:
    """Dropout. What is kept is scaled up, so that sums stay the same on average."""

    def __init__(
        self, config: LanguageModelTrainingConfig, generator: torch.Generator | None, like: Tensor
    ) -> None:
        self._config, self._generator, self._like = config, generator, like

    def words(self, vectors: Tensor) -> Tensor:
        """Whole words dropped, wherever they stand (Gal & Ghahramani 2016)."""
        return self._dropped(vectors, (len(vectors), 1), self._config.embedding_dropout)

    def locked(self, values: Tensor, share: float) -> Tensor:
        """[T, B, F], the same features dropped in every step of a stream (Gal & Ghahramani 2016)."""
        return self._dropped(values, values.shape[1:], share)

    def weights(self, weight_hh: Tensor) -> Tensor:
        """Recurrent weights dropped (DropConnect; Merity et al. 2018)."""
        return self._dropped(weight_hh, weight_hh.shape, self._config.weight_dropout)

    def _dropped(self, values: Tensor, shape: tuple[int, ...], share: float) -> Tensor:
        """`values` times a mask of `shape`."""
        if not share:
            return values
        # Faster on a CPU than bernoulli_.
        kept = torch.rand(shape, device=self._like.device, generator=self._generator) >= share
        return values * (kept / (1 - share)).to(values.dtype)


class LanguageModelNetworks(nn.Module):
    """Both directions, or the one there is, around one embedding."""

    def __init__(self, config: LanguageModelConfig, *, seed: int) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = Embedding(config.vocabulary_size, config.embedding_size)
            nn.init.uniform_(self.embedding.weight, -EMBEDDING_RANGE, EMBEDDING_RANGE)
            self.bias = nn.Parameter(torch.zeros(config.vocabulary_size))
            self.networks = nn.ModuleList(
                LanguageModelNetwork(config, direction, self.embedding) for direction in config.directions
            )

    def needed(
        self, windows: Sequence[Window], sample: npt.NDArray[np.int32], log_chances: npt.NDArray[np.float32]
    ) -> WindowVocabulary:
        """The words that a step on these windows needs, with this sample."""
        size = self.config.vocabulary_size
        if not uses_kernel(self.embedding.weight):
            return WindowVocabulary.all(sample, log_chances, size)
        of_each = [WindowVocabulary.of(window, sample, log_chances, size) for window in windows]
        union = of_each[0].ids
        for words in of_each[1:]:
            union = np.union1d(union, words.ids)
        return WindowVocabulary(union, np.searchsorted(union, sample), log_chances)

    def vectors_of(self, words: WindowVocabulary) -> tuple[Tensor, Tensor]:
        """The vectors [U, E] and the softmax's biases [U] of these words."""
        if words.whole:
            return self.embedding.weight, self.bias
        ids = torch.from_numpy(words.ids)
        return self.embedding(ids), self.bias[ids.long()]

    def each(self) -> list[LanguageModelNetwork]:
        """The directions' networks."""
        return [network for network in self.networks if isinstance(network, LanguageModelNetwork)]

    def learning(self) -> list[LanguageModelNetwork]:
        """The networks of those directions whose weights are learned."""
        return [network for network in self.each() if network.layers[0].weight_ih.requires_grad]

    def learned(self) -> dict[str, Tensor]:
        """The weights of `named` that are learned."""
        return {name: weight for name, weight in self.named().items() if weight.requires_grad}

    def keep(self, names: Iterable[str]) -> None:
        """Leaves these weights, of whole directions or of the words, as they are from here on."""
        named = self.named()
        for name in names:
            named[name].requires_grad_(False)

    def named(self) -> dict[str, Tensor]:
        """All weights, under the names of `fastlstm.serialization.weights.language_model_shapes`."""
        result: dict[str, Tensor] = {"embedding.weight": self.embedding.weight}
        for network in self.each():
            for number, layer in enumerate(network.layers):
                assert isinstance(layer, LSTMDirection)
                prefix = f"lstm.{number}.{network.direction}"
                result[f"{prefix}.weight_ih"] = layer.weight_ih
                result[f"{prefix}.weight_hh"] = layer.weight_hh
                result[f"{prefix}.bias"] = layer.bias
            if network.projection is not None:
                result[f"projection.{network.direction}.weight"] = network.projection
        return {**result, "output.bias": self.bias}

    def assign(self, values: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Copies in weights, by the names that `named` gives; those that are not among `values` stay."""
        with torch.no_grad():
            named = self.named()
            for name, value in values.items():
                named[name].copy_(torch.from_numpy(value))

    def arrays(self) -> dict[str, npt.NDArray[np.float32]]:
        """All weights as float32 arrays of their own."""
        return {name: w.detach().float().cpu().numpy().copy() for name, w in self.named().items()}
