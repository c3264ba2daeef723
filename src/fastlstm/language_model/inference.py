"""A language model at work: how likely texts are, and new ones, with NumPy and the kernel alone."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.errors import DataError, OptionError
from fastlstm.inference.classifier import validate_texts
from fastlstm.kernel import find_kernel, reference
from fastlstm.pretrained import ENGLISH_ENCODER, find_model
from fastlstm.serialization import weights
from fastlstm.serialization.folder import check_target
from fastlstm.serialization.language_model import (
    LANGUAGE_MODEL_FORMAT,
    SavedLanguageModel,
    read_language_model,
    write_language_model,
)
from fastlstm.serialization.model_card import language_model_card
from fastlstm.serialization.weights import layer_weights
from fastlstm.text.batches import batches_by_length, lengths_of, pack_batch
from fastlstm.text.detokenizer import add_spaces, detokenize, split_tokens
from fastlstm.text.tokenizer import BOUNDARY_ID, UNKNOWN_ID, TextTokenizer, truncate_text

States = list[tuple[FloatArray, FloatArray]]
"""h and c [B, H] of every layer."""


class Recurrence:
    """Layers that all read forward."""

    def __init__(self, layers: Sequence[tuple[FloatArray, FloatArray, FloatArray]]) -> None:
        """`layers`: W_ih [4H, I], W_hh [4H, H] and bias [4H] of each."""
        self._layers = layers
        self._kernel = find_kernel().kernel
        self._packed = None if self._kernel is None else [self._kernel.pack(*layer) for layer in layers]

    @classmethod
    def of(cls, arrays: Mapping[str, FloatArray], direction: str, layers: int) -> Recurrence:
        """That of weights with the names of `fastlstm.serialization.weights`."""
        return cls([layer_weights(arrays, f"lstm.{layer}.{direction}") for layer in range(layers)])

    def __call__(
        self, inputs: FloatArray, batch_sizes: npt.NDArray[np.int64], states: States | None = None
    ) -> tuple[FloatArray, States]:
        """The last layer's outputs [N, H] for packed rows [N, I], and the states after each sequence's last."""
        after: States = []
        for number, (weight_ih, weight_hh, bias) in enumerate(self._layers):
            h0, c0 = states[number] if states else (None, None)
            if self._kernel is not None and self._packed is not None:
                inputs, h, c = self._kernel.forward(self._packed[number], batch_sizes, inputs=inputs, h0=h0, c0=c0)
            else:
                inputs, h, c = reference.forward(inputs, batch_sizes, weight_ih, weight_hh, bias, h0=h0, c0=c0)
            after.append((h, c))
        return inputs, after


BATCH_TEXTS = 64
SCORED_ROWS = 512
"""Tokens whose scores over the whole vocabulary are in memory at a time."""
ALL_TOKENS = 10**9
MIN_WORDS = 3
"""Boundary, unknown and a word."""
MAX_NATS = math.log(sys.float_info.max)
"""The largest loss whose exponential is a number."""


@dataclass(frozen=True)
class Perplexity:
    """How well a language model foretells texts.

    `loss` is the mean negative log likelihood of a token (nats), each text's end counted as one, over the whole
    vocabulary; `perplexity` its exponential. `unknown` is the share of tokens that the vocabulary lacks: the model
    foretells of them only that they are unknown, so perplexities compare only between models of one vocabulary.
    """

    texts: int
    tokens: int
    loss: float
    perplexity: float
    vocabulary_size: int
    unknown: float

    @classmethod
    def of(cls, encoded: Sequence[TokenIds], losses: Sequence[float], vocabulary_size: int) -> Perplexity:
        """That of these texts, whose loss is, summed over all tokens, one of `losses` in each direction."""
        tokens = int(lengths_of(encoded).sum()) + len(encoded)
        loss = float(np.mean(losses)) / tokens
        return cls(
            texts=len(encoded),
            tokens=tokens,
            loss=loss,
            perplexity=math.exp(min(loss, MAX_NATS)),
            vocabulary_size=vocabulary_size,
            unknown=sum(int((ids == UNKNOWN_ID).sum()) for ids in encoded) / tokens,
        )

    def __str__(self) -> str:
        texts = "1 text" if self.texts == 1 else f"{self.texts:,} texts"
        return (
            f"{texts}, {self.tokens:,} tokens: perplexity {self.perplexity:.1f} "
            f"({self.loss:.4f} nats a token), vocabulary {self.vocabulary_size:,}, unknown {self.unknown:.2%}"
        )

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON takes them."""
        return asdict(self)


class LanguageModel:
    """Foretells tokens. Made by `load_language_model`, `pretrain` or from a `SavedLanguageModel`."""

    def __init__(self, model: SavedLanguageModel) -> None:
        self.model = model
        config, arrays = model.config, model.weights
        self._encode = TextTokenizer(model.tokenizer, max_tokens=ALL_TOKENS, truncate="end")
        self._embedding = np.ascontiguousarray(arrays["embedding.weight"], np.float32)
        self._bias = arrays["output.bias"]
        layers = len(config.hidden_sizes)
        self._directions = {name: Recurrence.of(arrays, name, layers) for name in config.directions}

    def evaluate(self, texts: str | Iterable[str]) -> Perplexity:
        """The perplexity of one text or of several, each read by itself; of a model of both directions, the mean of
        the two's loss.

        Raises `DataError` for no texts, and for anything that is not text.
        """
        return self.perplexity(self._encode(validate_texts([texts] if isinstance(texts, str) else texts)).ids)

    def perplexity(self, encoded: Sequence[TokenIds]) -> Perplexity:
        """`evaluate` for texts that are token ids already."""
        if not encoded:
            raise DataError("no texts came; expected one or more to measure perplexity on")
        losses = [self._loss(encoded, direction) for direction in self._directions]
        return Perplexity.of(encoded, losses, self.model.config.vocabulary_size)

    def _loss(self, encoded: Sequence[TokenIds], direction: str) -> float:
        """The summed loss (nats) of all texts, each between two boundaries."""
        boundary = np.array([BOUNDARY_ID], np.int32)
        turned = encoded if direction == "forward" else [ids[::-1] for ids in encoded]
        between = [np.concatenate([boundary, ids, boundary]) for ids in turned]
        total = 0.0
        for members in batches_by_length(lengths_of(between), BATCH_TEXTS):
            read = pack_batch([between[i][:-1] for i in members])
            expected = pack_batch([between[i][1:] for i in members]).ids
            outputs, _ = self._directions[direction](self._embedding[read.ids], read.batch_sizes)
            for at in range(0, len(outputs), SCORED_ROWS):
                rows = slice(at, at + SCORED_ROWS)
                scores = self._scores(outputs[rows], direction)
                highest = scores.max(axis=1)
                own = scores[np.arange(len(scores)), expected[rows]]
                spread = np.exp(scores - highest[:, None]).sum(axis=1, dtype=np.float64)
                total += float((highest + np.log(spread) - own).sum())
        return total

    def generate(
        self,
        prompt: str = "",
        *,
        max_tokens: int = 100,
        temperature: float = 1.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> str:
        """The prompt and what the model writes after it; a backward model writes before it.

        Args:
            prompt: how the text begins, or for a backward model ends. Words that the model does not know are read
                as unknown ones.
            max_tokens: tokens to write at most; a text that the model ends is shorter.
            temperature: scores are divided by it: below 1 the likely becomes likelier; 0: always the likeliest.
            top_p: draw only from the likeliest tokens that have this probability together (Holtzman et al. 2020).
            seed: of the draws. The same seed gives the same text.

        Raises `OptionError` for a number out of its range, `DataError` for a prompt that is not text.
        """
        given = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
        return "".join(self.stream(prompt, **given))

    def stream(self, prompt: str, **options: Any) -> Iterator[str]:
        """The text of `generate`, with its options, piece by piece as it is written; a backward model's at once.

        Raises what `generate` raises, before the first piece.
        """
        (prompt,) = validate_texts([prompt])
        return self._pieces(prompt, self.tokens(prompt, **options))

    def _pieces(self, prompt: str, tokens: Iterator[str]) -> Iterator[str]:
        if self.model.config.direction == "backward":
            first = split_tokens(prompt)[:1]
            text = detokenize([*reversed(list(tokens)), *first])
            yield text[: len(text) - len("".join(first))] + prompt.lstrip()
            return
        if prompt.strip():
            yield prompt.rstrip()
        yield from add_spaces(tokens, prompt)

    def tokens(
        self, prompt: str, *, max_tokens: int = 100, temperature: float = 1.0, top_p: float = 1.0, seed: int = 0
    ) -> Iterator[str]:
        """The tokens that `generate` writes, one by one as they are drawn."""
        _check_range("temperature", temperature, 0, 100)
        _check_range("top-p", top_p, 1e-6, 1)
        _check_range("max-tokens", max_tokens, 1, math.inf, whole=True)
        _check_range("seed", seed, 0, math.inf, whole=True)
        (prompt,) = validate_texts([prompt])
        return self._drawn(prompt, max_tokens, temperature, top_p, seed)

    def _drawn(self, prompt: str, max_tokens: int, temperature: float, top_p: float, seed: int) -> Iterator[str]:
        direction = self.model.config.directions[0]
        generator = np.random.default_rng(seed)
        ids = self._encode([prompt]).ids[0] if prompt.strip() else np.zeros(0, np.int32)
        ids = np.concatenate([[BOUNDARY_ID], ids if direction == "forward" else ids[::-1]]).astype(np.int32)
        states: States | None = None
        for _ in range(max_tokens):
            steps = np.ones(len(ids), np.int64)
            outputs, states = self._directions[direction](self._embedding[ids], steps, states)
            scores = self._scores(outputs[-1:], direction)[0]
            scores[UNKNOWN_ID] = -np.inf  # not a word
            drawn = _draw(scores, temperature, top_p, generator)
            if drawn == BOUNDARY_ID:
                return
            yield str(self.model.tokenizer.id_to_token(drawn))
            ids = np.array([drawn], np.int32)

    def _scores(self, outputs: FloatArray, direction: str) -> FloatArray:
        """[N, V] of the last layer's outputs [N, H]: the logits of every word."""
        if weights.has_projection(self.model.config):
            outputs = outputs @ self.model.weights[f"projection.{direction}.weight"].T
        scores: FloatArray = outputs @ self._embedding.T + self._bias
        return scores

    def of_vocabulary(self, size: int) -> LanguageModel:
        """A model that knows the `size` most frequent words alone: smaller, and the others are unknown to it.

        Its record keeps neither figures nor what its run is known by, which are another vocabulary's.

        Raises `OptionError` for a size that is no number from 3 to the vocabulary's own.
        """
        config, record = self.model.config, dict(self.model.training)
        _check_range("vocabulary-size", size, MIN_WORDS, config.vocabulary_size, whole=True)
        for name in ("results", "identity"):
            record.pop(name, None)
        return LanguageModel(
            SavedLanguageModel(
                dataclasses.replace(config, vocabulary_size=size),
                truncate_text(self.model.tokenizer, size),
                {
                    name: weight[:size] if name in ("embedding.weight", "output.bias") else weight
                    for name, weight in self.model.weights.items()
                },
                record,
            )
        )

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False, storage: str = "float32") -> None:
        """Writes the model as a folder, whole or not at all; see `Classifier.save`.

        Figures in its record stay those of this model, whatever is rounded.
        """
        check_target(Path(folder), LANGUAGE_MODEL_FORMAT, overwrite=overwrite)
        model = dataclasses.replace(self.model, training={**self.model.training, "storage": storage})
        write_language_model(model, Path(folder), card=language_model_card(model), extras={}, storage=storage)

    def __repr__(self) -> str:
        return f"LanguageModel({self.model.config})"


def load_language_model(folder: str | os.PathLike[str] | None = None) -> LanguageModel:
    """The language model that `fastlstm pretrain` saved in `folder`; without one, the bundled one.

    Raises `ModelNotFoundError`, `NotAModelError`, `CorruptModelError` or `ModelTooNewError`.
    """
    return LanguageModel(read_language_model(find_model(folder, ENGLISH_ENCODER)))


def _draw(scores: FloatArray, temperature: float, top_p: float, generator: np.random.Generator) -> int:
    if temperature == 0:
        return int(scores.argmax())
    with np.errstate(over="ignore"):  # what is too unlikely to be a number is not drawn
        scaled = (scores.astype(np.float64) - scores.max()) / temperature
    order = np.argsort(-scaled, kind="stable")
    chances = np.exp(scaled[order])
    chances /= chances.sum()
    before = np.cumsum(chances) - chances
    chances = np.where(before < top_p, chances, 0)
    return int(order[generator.choice(len(order), p=chances / chances.sum())])


def _check_range(name: str, value: float, lowest: float, highest: float, *, whole: bool = False) -> None:
    kind = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kind):
        raise OptionError(f"{name} is {value!r}; expected a {'whole ' if whole else ''}number")
    if not lowest <= value <= highest:
        limits = f"at least {lowest:g}" if highest == math.inf else f"from {lowest:g} to {highest:g}"
        raise OptionError(f"{name} is {value!r}; expected {limits}")
