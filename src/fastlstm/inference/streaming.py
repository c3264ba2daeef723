"""Predictions for a text that arrives in pieces, in memory that does not grow with the text."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.errors import DataError, OptionError
from fastlstm.inference.features import EMPTY_TEXT_ID, reads_empty_texts_as_zeros
from fastlstm.inference.varint import MAX_VARINT_BYTES, decode_varints, encode_varints
from fastlstm.serialization.classifier import unsupported_reason
from fastlstm.text.token_boundaries import MAX_PENDING, TokenBuffer
from fastlstm.text.tokenizer import UNKNOWN_ID, TextTokenizer
from fastlstm.text.validation import validate_text

if TYPE_CHECKING:
    from fastlstm.inference.network import Network
    from fastlstm.inference.ngrams import NGramModel, NumPyNGramReader
    from fastlstm.kernel.ngrams import NGramReader
    from fastlstm.serialization.classifier import SavedModel

MAX_TOKENS = 1 << 40
"""Longest text that the kernel can count."""
MAGIC = b"fastlstm stream 2\n"
"""First bytes of a stream state."""
MAGIC_1 = b"fastlstm stream 1\n"
"""The same of format 1, which is read but not written."""


class AdvanceReader:
    """A text that is read in pieces by `advance` of any features. Same attributes and methods as `LSTMReader`."""

    def __init__(self, network: Network) -> None:
        """Start an empty text."""
        self._advance = network.features.advance
        self.state = np.zeros((1, network.features.state_size), np.float32)
        self.token_counts = np.zeros(1, np.int64)
        self.features = np.zeros((1, network.feature_size), np.float32)

    def feed(self, ids: TokenIds) -> None:
        """See `LSTMReader.feed`."""
        self.features[:] = self._advance([ids], self.state, self.token_counts)


class StreamState:
    """The network's state after the tokens of a text so far."""

    def __init__(self, network: Network, vocabulary_size: int) -> None:
        self._network, self._vocabulary_size = network, vocabulary_size
        self._reader = network.features.start_text() or AdvanceReader(network)
        self._use_ngrams(None if network.ngram_logits is None else network.ngram_logits.start_text())

    def _use_ngrams(self, ngrams: NGramReader | NumPyNGramReader | None) -> None:
        self._ngrams = ngrams
        self._output = self._network.prepare_output(
            self._reader.features, None if ngrams is None else ngrams.latest
        )

    @property
    def token_count(self) -> int:
        """Tokens so far."""
        return int(self._reader.token_counts[0])

    def feed(self, ids: TokenIds) -> None:
        """Append at least one token."""
        self._reader.feed(ids)
        if self._ngrams is not None:
            self._ngrams.feed(ids)

    def probabilities(self) -> FloatArray:
        """Return the probabilities [classes] after at least one token."""
        if self._ngrams is not None:
            self._ngrams.update()
        row: FloatArray = self._output()[0]
        return row

    def to_bytes(self) -> bytes:
        """Return the state for `restore`.

        The float32 values of the LSTM layers; then as varints, if the model has n-grams: for each row found, the
        number of rows skipped before it, and the last tokens.
        """
        content = self._reader.state.tobytes()
        if self._ngrams is not None:
            rows, last = self._ngrams.state()
            content += encode_varints(np.concatenate([np.diff(rows, prepend=-1) - 1, last]))
        return content

    def restore(self, token_count: int, content: bytes, version: int) -> None:
        """Continue from the `to_bytes` of a text of `token_count` tokens. Raise `ValueError` if it is invalid.

        Version 1 has int32 values in place of varints: the ids of the n-grams found, and the last tokens.
        """
        if type(token_count) is not int or not 0 <= token_count <= MAX_TOKENS:
            raise ValueError("invalid number of tokens")
        size, model = self._reader.state.nbytes, self._network.ngram_logits
        if len(content) < size or (model is None and len(content) > size):
            raise ValueError("invalid size")
        self._reader.state[0] = np.frombuffer(content[:size], np.float32)
        self._reader.token_counts[0] = token_count
        if token_count:
            self._reader.features[:] = self._network.features.pool_state(self._reader.state, token_count)
        if model is not None:
            self._use_ngrams(self._resume_ngrams(model, token_count, content[size:], version))

    def _resume_ngrams(
        self, model: NGramModel, token_count: int, content: bytes, version: int
    ) -> NGramReader | NumPyNGramReader:
        if len(content) > MAX_VARINT_BYTES * (len(model.reference.ids) + model.reference.window):
            raise ValueError("too many n-grams")
        values = np.frombuffer(content, np.int32) if version == 1 else decode_varints(content)
        ngram_count = max(len(values) - min(token_count, model.reference.window), 0)
        ngrams, last = values[:ngram_count], values[ngram_count:]
        if last.max(initial=0) >= self._vocabulary_size:
            raise ValueError("tokens are unknown to the model")
        if version == 1:
            return model.resume_text(model.rows(ngrams), last, token_count)
        rows = np.cumsum(ngrams, dtype=np.int64) + np.arange(ngram_count)
        return model.resume_text(rows, last, token_count)


class Stream:
    """A text that arrives in pieces. Created by `Classifier.stream`.

    However the text is split, the probabilities equal those of the text so far, read at once, to the last bit. A
    stream is never truncated: they are those of the same model without a limit on tokens.
    """

    def __init__(
        self, saved: SavedModel, network: Network, tokenizer: TextTokenizer, state: bytes | None = None
    ) -> None:
        """Start an empty text, or continue from the `state` of another stream of the same model.

        Raises:
            OptionError: The model cannot read streams, see `unsupported_reason`.
            DataError: `state` is invalid or belongs to another model.
        """
        if reason := unsupported_reason(saved.config, tokenizer):
            raise OptionError(reason, code="cannot-stream", reason=reason)
        self._network, self._tokenizer = network, tokenizer
        self._empty_id = EMPTY_TEXT_ID if reads_empty_texts_as_zeros(saved.config) else UNKNOWN_ID
        self._buffer = TokenBuffer(tokenizer)
        network.features.project_all()
        self._state = StreamState(network, saved.config.vocabulary_size)
        self._known_count = 0
        if state is not None:
            self._restore(state)

    def feed(self, text: str) -> Stream:
        """Append a piece of text, of any length, and return the stream.

        Tokens are processed when they are complete. Raise `DataError` if `text` is not a text.
        """
        self._process(self._buffer.feed(validate_text(text)))
        return self

    def end(self) -> Stream:
        """Process the pending text, at the end of the text or at a pause, and return the stream."""
        self._process(self._buffer.flush())
        return self

    def _process(self, text: str) -> None:
        if text:
            ids = self._tokenizer.token_ids(text)
            if len(ids):
                self._state.feed(ids)
                self._known_count += self._tokenizer.count_known(ids)

    @property
    def probabilities(self) -> FloatArray:
        """Class probabilities of the text so far, float32 [classes]; before the first token, of an empty text."""
        if not self._state.token_count:
            empty = [np.array([self._empty_id], np.int32)]
            row: FloatArray = self._network.probabilities(empty, empty)[0]
            return row
        return self._state.probabilities()

    @property
    def token_count(self) -> int:
        """The number of tokens processed."""
        return self._state.token_count

    @property
    def known(self) -> float:
        """The fraction of the tokens processed that are in the vocabulary; 0.0 before the first token.

        At 0.0, the text so far has no label: the probabilities do not depend on what it says.
        """
        return self._known_count / self.token_count if self.token_count else 0.0

    @property
    def pending(self) -> str:
        """The end of the text, not processed yet because its last token may be incomplete."""
        return self._buffer.pending

    @property
    def state(self) -> bytes:
        """The whole state in a few kilobytes, to continue with in another process that has the same model."""
        head = {
            "model": self._network.fingerprint,
            "read": self._state.token_count,
            "known": self._known_count,
            "held": self._buffer.pending,
        }
        content = json.dumps(head).encode() + b"\n" + self._state.to_bytes()
        return MAGIC + hashlib.sha256(content).digest() + content

    def _restore(self, state: bytes) -> None:
        start = len(MAGIC) + hashlib.sha256().digest_size
        content = bytes(state[start:])
        if not state.startswith((MAGIC, MAGIC_1)) or hashlib.sha256(content).digest() != state[len(MAGIC) : start]:
            raise _invalid_state("expected the bytes of Stream.state")
        line, _, body = content.partition(b"\n")
        try:
            head = json.loads(line)
            fingerprint = head["model"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise _invalid_state(repr(error)) from None
        if fingerprint != self._network.fingerprint:
            raise DataError(
                "the stream state belongs to another model or another precision; restore it with the same model",
                code="stream-state-mismatch",
                expected=self._network.fingerprint,
                fingerprint=fingerprint,
            )
        try:
            pending = validate_text(head["held"])
            if len(pending) > MAX_PENDING:
                raise ValueError("too many pending characters")
            self._buffer = TokenBuffer(self._tokenizer, pending)
            self._state.restore(head["read"], body, version=1 if state.startswith(MAGIC_1) else 2)
            self._known_count = head.get("known", head["read"])  # the first states of format 1 do not contain it
            if type(self._known_count) is not int or not 0 <= self._known_count <= head["read"]:
                raise ValueError("invalid count of known tokens")
        except (DataError, ValueError, KeyError, TypeError) as error:
            raise _invalid_state(repr(error)) from None

    def __repr__(self) -> str:
        return f"Stream({self.token_count} tokens, {len(self.pending)} pending characters)"


def _invalid_state(reason: str) -> DataError:
    return DataError(
        f"not a valid stream state, or corrupted: {reason}", code="invalid-stream-state", reason=reason
    )
