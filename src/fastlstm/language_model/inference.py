"""Language model inference: perplexity and text generation with NumPy and the kernel."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastlstm._typing import FloatArray, IndexArray, TokenIds
from fastlstm.errors import DataError, OptionError
from fastlstm.kernel import find_kernel, reference
from fastlstm.language_model.perplexity import Perplexity, evaluation_batches
from fastlstm.pretrained import ENGLISH_ENCODER, find_model
from fastlstm.serialization import weights
from fastlstm.serialization.folder import LANGUAGE_MODEL_FORMAT, check_target
from fastlstm.serialization.language_model import SavedLanguageModel, read_language_model, write_language_model
from fastlstm.serialization.model_card import language_model_card
from fastlstm.serialization.weights import layer_weights
from fastlstm.text.detokenizer import add_spaces, detokenize
from fastlstm.text.subwords import continues_word, join_subwords
from fastlstm.text.tokenizer import BOUNDARY_ID, UNKNOWN_ID, TextTokenizer, truncate_vocabulary
from fastlstm.text.validation import as_text, validate_text, validate_texts

BATCH_SIZE = 64
"""Texts per batch."""
LOGIT_ROWS = 512
"""Tokens whose logits over the whole vocabulary are in memory at a time."""
MAX_TOKENS = 10**9
"""Token limit of the tokenizer: texts are never truncated."""
MIN_VOCABULARY_SIZE = 3
"""Boundary, unknown and one word."""

States = list[tuple[FloatArray, FloatArray]]
"""h and c [B, H] of each layer."""


class UnidirectionalLSTM:
    """Stacked LSTM layers that read in one direction."""

    def __init__(self, layers: Sequence[tuple[FloatArray, FloatArray, FloatArray]]) -> None:
        """Create the layers from W_ih [4H, I], W_hh [4H, H] and bias [4H] of each."""
        self._layers = layers
        self._kernel = find_kernel().kernel
        self._packed = None if self._kernel is None else [self._kernel.pack(*layer) for layer in layers]

    @classmethod
    def from_weights(cls, arrays: Mapping[str, FloatArray], direction: str, layers: int) -> UnidirectionalLSTM:
        """Create one direction of a saved language model from its weights."""
        return cls([layer_weights(arrays, f"lstm.{layer}.{direction}") for layer in range(layers)])

    def __call__(
        self, inputs: FloatArray, batch_sizes: IndexArray, states: States | None = None
    ) -> tuple[FloatArray, States]:
        """Return the last layer's outputs [N, H] for packed rows [N, I], and the final states."""
        final_states: States = []
        for layer, (weight_ih, weight_hh, bias) in enumerate(self._layers):
            h0, c0 = states[layer] if states else (None, None)
            if self._kernel is not None and self._packed is not None:
                inputs, h, c = self._kernel.forward(self._packed[layer], batch_sizes, inputs=inputs, h0=h0, c0=c0)
            else:
                inputs, h, c = reference.forward(inputs, batch_sizes, weight_ih, weight_hh, bias, h0=h0, c0=c0)
            final_states.append((h, c))
        return inputs, final_states


class LanguageModel:
    """A trained language model. Returned by `load_language_model` and `train_language_model`."""

    def __init__(self, saved: SavedLanguageModel) -> None:
        self.saved = saved
        config, arrays = saved.config, saved.weights
        self._tokenize = TextTokenizer(saved.tokenizer, max_tokens=MAX_TOKENS, truncate="end")
        self._embedding = np.ascontiguousarray(arrays["embedding.weight"], np.float32)
        self._bias = arrays["output.bias"]
        layers = len(config.hidden_sizes)
        self._lstms = {name: UnidirectionalLSTM.from_weights(arrays, name, layers) for name in config.directions}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the saved model; the rest is prepared again."""
        return type(self), (self.saved,)

    def evaluate(self, texts: str | Iterable[str]) -> Perplexity:
        """Return the perplexity of one or several texts, each read from a zero state.

        The loss of a model of both directions is the mean of its two directions.

        Raise `DataError` if there are no texts, or one is not a text.
        """
        text = as_text(texts)
        return self.evaluate_ids(self._tokenize(validate_texts(texts if text is None else [text])).ids)

    def evaluate_ids(self, texts: Sequence[TokenIds]) -> Perplexity:
        """Return the perplexity of texts given as token ids, without boundaries."""
        if not texts:
            raise DataError("no texts; pass one or more texts to measure perplexity", code="empty-dataset")
        losses = [self._sum_loss(texts, direction) for direction in self._lstms]
        return Perplexity.from_losses(texts, losses, self.saved.config.vocabulary_size)

    def _sum_loss(self, texts: Sequence[TokenIds], direction: str) -> float:
        """Return the summed loss (nats) of all tokens."""
        total = 0.0
        for batch, targets in evaluation_batches(texts, direction, BATCH_SIZE):
            outputs, _ = self._lstms[direction](self._embedding[batch.ids], batch.batch_sizes)
            for start in range(0, len(outputs), LOGIT_ROWS):
                rows = slice(start, start + LOGIT_ROWS)
                logits = self._logits(outputs[rows], direction)
                maximum = logits.max(axis=1)
                target_logits = logits[np.arange(len(logits)), targets[rows]]
                exponentials = np.exp(logits - maximum[:, None]).sum(axis=1, dtype=np.float64)
                total += float((maximum + np.log(exponentials) - target_logits).sum())
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
        """Return the prompt with generated text after it; before it for a backward model.

        Args:
            prompt: The beginning of the text; for a backward model the end. Words outside the vocabulary are read
                as unknown.
            max_tokens: Maximum number of generated tokens. The model may end the text earlier.
            temperature: Divisor of the logits. Below 1, likely tokens become more likely; 0 means greedy decoding.
            top_p: Sample from the smallest set of most likely tokens with this total probability (nucleus sampling,
                Holtzman et al. 2020).
            seed: Random seed. The same seed gives the same text.

        Raises:
            OptionError: A number is out of range.
            DataError: The prompt is not a text.
        """
        options = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p, "seed": seed}
        return "".join(self.stream(prompt, **options))

    def stream(self, prompt: str, **options: Any) -> Iterator[str]:
        """Yield the text of `generate` in pieces while it is generated; for a backward model in one piece.

        Options and errors are those of `generate`. Errors are raised by the call, before the first piece.
        """
        prompt = validate_text(prompt, "prompt")
        return self._pieces(prompt, self.stream_tokens(prompt, **options))

    def _pieces(self, prompt: str, tokens: Iterator[str]) -> Iterator[str]:
        words = self._tokenize.segments(prompt)
        if self.saved.config.direction == "backward":
            text = detokenize([*self._words(reversed(list(tokens))), *words[:1]])
            yield text[: len(text) - len("".join(words[:1]))] + prompt.lstrip()
            return
        if prompt.strip():
            yield prompt.rstrip()
        if self._splits_words and words and continues_word(words[-1]):
            for token in tokens:
                if not continues_word(token):
                    tokens = itertools.chain([token], tokens)
                    break
                yield token
        yield from add_spaces(self._words(tokens), words)

    @property
    def _splits_words(self) -> bool:
        return self.saved.config.tokens != "words"

    def _words(self, tokens: Iterable[str]) -> Iterator[str]:
        """Return the words of generated tokens."""
        return join_subwords(tokens) if self._splits_words else iter(tokens)

    def stream_tokens(
        self, prompt: str, *, max_tokens: int = 100, temperature: float = 1.0, top_p: float = 1.0, seed: int = 0
    ) -> Iterator[str]:
        """Yield the tokens of `generate` one by one, in the order of generation."""
        _check_range("temperature", temperature, 0, 100)
        _check_range("top_p", top_p, 1e-6, 1)
        _check_range("max_tokens", max_tokens, 1, math.inf, whole=True)
        _check_range("seed", seed, 0, math.inf, whole=True)
        prompt = validate_text(prompt, "prompt")
        return self._sample_tokens(prompt, max_tokens, temperature, top_p, seed)

    def _sample_tokens(
        self, prompt: str, max_tokens: int, temperature: float, top_p: float, seed: int
    ) -> Iterator[str]:
        direction = self.saved.config.directions[0]
        generator = np.random.default_rng(seed)
        ids = self._tokenize([prompt]).ids[0] if prompt.strip() else np.zeros(0, np.int32)
        ids = np.concatenate([[BOUNDARY_ID], ids if direction == "forward" else ids[::-1]]).astype(np.int32)
        states: States | None = None
        for _ in range(max_tokens):
            steps = np.ones(len(ids), np.int64)
            outputs, states = self._lstms[direction](self._embedding[ids], steps, states)
            logits = self._logits(outputs[-1:], direction)[0]
            logits[UNKNOWN_ID] = -np.inf  # never generated
            token = _sample(logits, temperature, top_p, generator)
            if token == BOUNDARY_ID:
                return
            yield str(self.saved.tokenizer.id_to_token(token))
            ids = np.array([token], np.int32)

    def _logits(self, outputs: FloatArray, direction: str) -> FloatArray:
        """Return the logits [N, V] of the next token, from the last layer's outputs [N, H]."""
        if weights.has_projection(self.saved.config):
            outputs = outputs @ self.saved.weights[f"projection.{direction}.weight"].T
        logits: FloatArray = outputs @ self._embedding.T + self._bias
        return logits

    def reduce_vocabulary(self, size: int) -> LanguageModel:
        """Return a smaller model that knows only the `size` most frequent words.

        Its training record has neither results nor the identity of the run: both depend on the vocabulary.

        Raise `OptionError` if `size` is not between 3 and the size of the vocabulary.
        """
        config, record = self.saved.config, dict(self.saved.training)
        _check_range("vocabulary_size", size, MIN_VOCABULARY_SIZE, config.vocabulary_size, whole=True)
        for name in ("results", "identity"):
            record.pop(name, None)
        arrays = {
            name: weight[:size] if name in ("embedding.weight", "output.bias") else weight
            for name, weight in self.saved.weights.items()
        }
        tokenizer = truncate_vocabulary(self.saved.tokenizer, size)
        reduced = dataclasses.replace(config, vocabulary_size=size)
        return LanguageModel(SavedLanguageModel(reduced, tokenizer, arrays, record))

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False, storage: str = "float32") -> None:
        """Save the model as a folder, atomically; arguments and errors are those of `Classifier.save`.

        The results in the training record are those of the unrounded weights.
        """
        check_target(Path(folder), LANGUAGE_MODEL_FORMAT, overwrite=overwrite)
        saved = dataclasses.replace(self.saved, training={**self.saved.training, "storage": storage})
        write_language_model(saved, Path(folder), card=language_model_card(saved), extras={}, storage=storage)

    def __repr__(self) -> str:
        return f"LanguageModel({self.saved.config})"


def load_language_model(folder: str | os.PathLike[str] | None = None) -> LanguageModel:
    """Load a language model from a folder, or a bundled one by its name; None loads the bundled English model.

    Raise `ModelNotFoundError`, `NotAModelError`, `CorruptModelError` or `ModelTooNewError`.
    """
    return LanguageModel(read_language_model(find_model(folder, ENGLISH_ENCODER)))


def _sample(logits: FloatArray, temperature: float, top_p: float, generator: np.random.Generator) -> int:
    """Return a random token id."""
    if temperature == 0:
        return int(logits.argmax())
    with np.errstate(over="ignore"):  # unlikely tokens overflow to -inf and get probability 0
        scaled = (logits.astype(np.float64) - logits.max()) / temperature
    order = np.argsort(-scaled, kind="stable")
    probabilities = np.exp(scaled[order])
    probabilities /= probabilities.sum()
    preceding = np.cumsum(probabilities) - probabilities
    probabilities = np.where(preceding < top_p, probabilities, 0)
    return int(order[generator.choice(len(order), p=probabilities / probabilities.sum())])


def _check_range(name: str, value: float, minimum: float, maximum: float, *, whole: bool = False) -> None:
    types = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    expected = "a whole number" if whole else "a number"
    if not isinstance(value, bool) and isinstance(value, types):
        if minimum <= value <= maximum:
            return
        expected = f"at least {minimum:g}" if maximum == math.inf else f"a value from {minimum:g} to {maximum:g}"
    raise OptionError(
        f"{name} is {value!r}; expected {expected}", code="bad-option-value", option=name, value=value
    )
