"""One text that comes in pieces, read as it comes, in memory that does not grow with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastlstm._typing import FloatArray, TokenIds
from fastlstm.config import ModelConfig
from fastlstm.errors import DataError, OptionError
from fastlstm.inference.classifier import validate_texts
from fastlstm.text.ngrams import NUMBERS, NGramKind, NGramLogits, occurrences
from fastlstm.text.token_boundaries import TokenBuffer
from fastlstm.text.tokenizer import UNKNOWN_ID, TextTokenizer

TOKENS_PER_LOOKUP = 64
"""Tokens."""


class IncrementalNgrams:
    """What the wide part has seen of one text.

    N-grams that count wherever they stand, or near the beginning, stay seen. Those near the end are looked up in
    the last tokens whenever the evidence is asked for.
    """

    def __init__(self, evidence: NGramLogits) -> None:
        self._evidence = evidence
        kinds = evidence.kinds
        self._staying = [kind for kind in kinds if not kind.end]
        self._ending = [kind for kind in kinds if kind.end]
        self._reach = max((kind.offsets[-1] for kind in self._staying), default=0)
        self._longest = max([self._reach, *(kind.end for kind in self._ending)])
        self._seen = np.empty(0, np.int32)
        self._last = np.empty(0, np.int32)
        self._looked_at = 0
        self._waiting: list[TokenIds] = []
        self.read = 0

    def feed(self, ids: TokenIds) -> None:
        """Reads on. Tokens are looked at some at a time, which takes little longer than one."""
        self._waiting.append(ids)
        self.read += len(ids)
        if self.read - self._looked_at >= TOKENS_PER_LOOKUP:
            self._look()

    def arrays(self) -> dict[str, TokenIds]:
        """`seen`, the n-grams that stay seen, rising, and `last`, the last tokens: what `restore` takes."""
        self._look()
        return {"seen": self._seen, "last": self._last}

    def restore(self, seen: TokenIds, last: TokenIds, read: int) -> None:
        """Goes on from `arrays` taken after `read` tokens. Raises `ValueError` for what they can't be."""
        if len(last) > min(self._longest, read) or (len(last) and last.min() < 0):
            raise ValueError("the last tokens are none")
        if len(seen) and (seen[0] < 0 or seen[-1] >= NUMBERS or (np.diff(seen) <= 0).any()):
            raise ValueError("the n-grams do not rise")
        if not self._evidence.among[seen].all():
            raise ValueError("the model does not know these n-grams")
        self._seen, self._last, self.read, self._looked_at = seen, last, read, read

    def _look(self) -> None:
        if not self._waiting:
            return
        ids = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting)
        self._waiting = []
        window = np.concatenate([self._last[len(self._last) - min(self._reach, len(self._last)) :], ids])
        found = self._numbers(window, self._staying, self.read - len(window))
        if len(found):
            self._seen = np.union1d(self._seen, found)
        self._last = np.concatenate([self._last, ids])[-self._longest :]
        self._looked_at = self.read

    def evidence(self) -> npt.NDArray[np.float32]:
        """[1, logits] what the n-grams of all that was read add."""
        self._look()
        near_the_end = self._numbers(self._last, self._ending, 0)
        return self._evidence.of_numbers(np.union1d(self._seen, near_the_end).astype(np.int32))

    def _numbers(self, ids: TokenIds, kinds: Sequence[NGramKind], before: int) -> npt.NDArray[np.int32]:
        found = [of.number for of in occurrences([ids], kinds, self._evidence.among, before=before)]
        return np.concatenate(found).astype(np.int32) if found else np.empty(0, np.int32)


if TYPE_CHECKING:
    from fastlstm.inference.network import Network

MAX_TOKENS_PER_CALL = 1 << 40
"""Tokens of a text: as many as the kernel counts."""


class StreamState:
    """One text read forward, piece by piece."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._state = np.zeros((1, network.features.state), np.float32)
        self._count = np.zeros(1, np.int64)
        self._features: FloatArray | None = None
        self._seen = None if network.wide is None else IncrementalNgrams(network.wide)

    @property
    def read(self) -> int:
        """Tokens so far."""
        return int(self._count[0])

    def feed(self, ids: TokenIds) -> None:
        """Reads on; at least one token."""
        self._features = self._network.features.pieces([ids], self._state, self._count)
        if self._seen is not None:
            self._seen.feed(ids)

    def probabilities(self) -> FloatArray:
        """[classes], after at least one token."""
        assert self._features is not None
        evidence = None if self._seen is None else self._seen.evidence()
        row: FloatArray = self._network.scored(self._features, evidence)[0]
        return row

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What to keep."""
        kept: dict[str, npt.NDArray[np.generic]] = {"state": self._state[0]}
        if self._seen is not None:
            kept |= self._seen.arrays()
        return kept

    def restore(self, read: int, sizes: Mapping[str, int], body: bytes) -> None:
        """Goes on from what was kept. Raises `ValueError` for what can't have been, and is then of no use."""
        if list(sizes) != list(self.arrays()) or sum(sizes.values()) * 4 != len(body) or min(sizes.values()) < 0:
            raise ValueError("its arrays are not those of this model")
        if not 0 <= read <= MAX_TOKENS_PER_CALL or sizes["state"] != self._state.shape[1]:
            raise ValueError("its numbers are not those of this model")
        at = 0
        found: dict[str, bytes] = {}
        for name, size in sizes.items():
            found[name] = body[at : at + 4 * size]
            at += 4 * size
        self._state[0] = np.frombuffer(found["state"], np.float32)
        self._count[0] = read
        if read:
            self._features = self._network.features.of_state(self._state, read)
        if self._seen is not None:
            seen, last = (np.frombuffer(found[name], np.int32) for name in ("seen", "last"))
            self._seen.restore(seen, last, read)


if TYPE_CHECKING:
    from fastlstm.inference.network import Network
    from fastlstm.serialization.classifier import SavedModel

MAGIC = b"fastlstm stream 1\n"


def unsupported_reason(config: ModelConfig, encode: TextTokenizer) -> str | None:
    """Why a model can't read a text that comes in pieces; None: it can."""
    if config.bidirectional:
        return (
            "the model reads in both directions, and a stream has no end to begin from; train one with "
            "--no-bidirectional, or distill it (fastlstm distill --no-bidirectional)"
        )
    if config.padding != "none":
        return f"the model reads padding at the {config.padding} of a text, which a stream has not"
    if not encode.is_own:
        return (
            "the model's words are not those of fastlstm's own tokenizer, and where they end can't be told before "
            "a text is whole"
        )
    return None


class Stream:
    """One text, read forward as it comes. Made by `Classifier.stream`.

    What it says after any number of pieces, cut anywhere, is to the last bit what the model says of the text so
    far, read at once; of a text longer than the model's `max_tokens`, what a model without that limit would.
    """

    def __init__(
        self, model: SavedModel, network: Network, encode: TextTokenizer, state: bytes | None = None
    ) -> None:
        """`state`: that of a stream of the same model, to go on from.

        Raises:
            OptionError: the model reads backward too, or cuts its texts in an unknown way.
            DataError: no such state.
        """
        if reason := unsupported_reason(model.config, encode):
            raise OptionError(reason)
        self._network, self._encode = network, encode
        self._words = TokenBuffer()
        network.features.project_all()
        self._reading = StreamState(network)
        if state is not None:
            self._restore(state)

    def feed(self, text: str) -> Stream:
        """Reads on; a word at the end that may go on is held back. Raises `DataError` for what is no text."""
        if not isinstance(text, str):
            raise DataError(f"got {type(text).__name__}; expected a piece of text (str)")
        (text,) = validate_texts([text])
        self._read(self._words.feed(text))
        return self

    def end(self) -> Stream:
        """Reads what is held back: the text is over, or a pause is one."""
        self._read(self._words.end())
        return self

    def _read(self, text: str) -> None:
        if text:
            ids = self._encode.tokens(text)
            if len(ids):
                self._reading.feed(ids)

    @property
    def probabilities(self) -> FloatArray:
        """float32 [classes], of all that was read; before a word was, of a text without one."""
        if not self._reading.read:
            unknown = [np.array([UNKNOWN_ID], np.int32)]
            before: FloatArray = self._network.probabilities(unknown, unknown)[0]
            return before
        return self._reading.probabilities()

    @property
    def tokens(self) -> int:
        """How many tokens were read."""
        return self._reading.read

    @property
    def held(self) -> str:
        """What is held back."""
        return self._words.held

    @property
    def state(self) -> bytes:
        """All that the stream needs to go on in another process that has the same model: a few kilobytes."""
        arrays = self._reading.arrays()
        head = {
            "model": self._network.fingerprint,
            "read": self._reading.read,
            "held": self._words.held,
            "arrays": {name: len(array) for name, array in arrays.items()},
        }
        body = b"".join(array.tobytes() for array in arrays.values())
        content = json.dumps(head).encode() + b"\n" + body
        return MAGIC + hashlib.sha256(content).digest() + content

    def _restore(self, state: bytes) -> None:
        start = len(MAGIC) + hashlib.sha256().digest_size
        content = bytes(state[start:])
        if not state.startswith(MAGIC) or hashlib.sha256(content).digest() != state[len(MAGIC) : start]:
            raise DataError("the state is none of a stream, or damaged; expected the bytes that Stream.state gave")
        line, _, body = content.partition(b"\n")
        try:
            head = json.loads(line)
            model = head["model"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise DataError(f"the state is none that a stream gave: {error!r}") from None
        if model != self._network.fingerprint:
            raise DataError(
                "the state is that of a stream of another model, or of another precision; restore it with the one "
                "that gave it"
            )
        try:
            if not isinstance(head["held"], str):
                raise TypeError("held")
            self._words = TokenBuffer(head["held"])
            self._reading.restore(head["read"], head["arrays"], body)
        except (ValueError, KeyError, TypeError, OverflowError, AttributeError, RecursionError) as error:
            raise DataError(f"the state is none that a stream gave: {error!r}") from None

    def __repr__(self) -> str:
        return f"Stream({self.tokens} tokens read, {len(self.held)} characters held back)"
