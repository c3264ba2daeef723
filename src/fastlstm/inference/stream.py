"""One text that comes in pieces, read as it comes, in memory that does not grow with it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fastlstm.config import ModelConfig
from fastlstm.errors import DataError, OptionError
from fastlstm.inference.batch import checked_batch
from fastlstm.inference.reading import Reading
from fastlstm.inference.words import Words
from fastlstm.tokens import UNKNOWN_ID, Encoder

if TYPE_CHECKING:
    from fastlstm.inference.network import Network
    from fastlstm.saved_model import SavedModel

FloatArray = npt.NDArray[np.float32]
MAGIC = b"fastlstm stream 1\n"


def why_not(config: ModelConfig, encode: Encoder) -> str | None:
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

    def __init__(self, model: SavedModel, network: Network, encode: Encoder, state: bytes | None = None) -> None:
        """`state`: that of a stream of the same model, to go on from.

        Raises:
            OptionError: the model reads backward too, or cuts its texts in an unknown way.
            DataError: no such state.
        """
        if reason := why_not(model.config, encode):
            raise OptionError(reason)
        self._network, self._encode = network, encode
        self._words = Words()
        network.features.project_all()
        self._reading = Reading(network)
        if state is not None:
            self._restore(state)

    def feed(self, text: str) -> Stream:
        """Reads on; a word at the end that may go on is held back. Raises `DataError` for what is no text."""
        if not isinstance(text, str):
            raise DataError(f"got {type(text).__name__}; expected a piece of text (str)")
        (text,) = checked_batch([text])
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
            self._words = Words(head["held"])
            self._reading.restore(head["read"], head["arrays"], body)
        except (ValueError, KeyError, TypeError, OverflowError, AttributeError, RecursionError) as error:
            raise DataError(f"the state is none that a stream gave: {error!r}") from None

    def __repr__(self) -> str:
        return f"Stream({self.tokens} tokens read, {len(self.held)} characters held back)"
