"""Every text as the ids of its words, whichever words those are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm.examination.pool import Pool
from fastlstm.tokens import UNKNOWN_ID, Encoder, train_tokenizer

ALL = 2**31 - 1


@dataclass(frozen=True)
class Words:
    """The tokens of all texts, one text after the other.

    names: the word of each id; the first two are not words.
    ids: int32 [tokens], of a vocabulary that lacks no word.
    lengths: int64 [n], each text's number of tokens; 0 for a text without any.
    """

    names: list[str]
    ids: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int64]

    def of(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        """The ids of the tokens of the `chosen` texts, [n]."""
        return self.ids[np.repeat(chosen, self.lengths)]

    def counts(self, chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """[names] how often each word stands in the `chosen` texts, [n]."""
        return np.bincount(self.of(chosen), minlength=len(self.names))


def words_of(pool: Pool) -> Words:
    """Cuts all texts into the tokens that a model reads, and numbers them."""
    tokenizer = train_tokenizer(pool.texts, ALL)
    ids = Encoder(tokenizer, max_tokens=ALL, truncate="end")(pool.texts).ids
    # A text without any token is read as one unknown word.
    lengths = np.array([0 if text[0] == UNKNOWN_ID else len(text) for text in ids], np.int64)
    flat = np.concatenate(ids)
    vocabulary = tokenizer.get_vocab()
    return Words(sorted(vocabulary, key=vocabulary.__getitem__), flat[flat != UNKNOWN_ID], lengths)
