"""Every text as the ids of its words, whichever words those are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastlstm.data import Dataset
from fastlstm.text.tokenizer import UNKNOWN_ID, TextTokenizer, train_tokenizer

EXCERPT = 100
"""Characters of a text that an example shows."""


@dataclass(frozen=True)
class Example:
    """A text as a report names it.

    `record` is its row or line number, or its file's name, in the source of its `part`; `text` its beginning.
    """

    part: str
    record: int | str
    label: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """The parts by name, training first, and their texts one after the other.

    texts, labels: of all parts, n each.
    part_of: int64 [n], the position of each text's part among `parts`.
    truth: int64 [n], the position of each text's label among `classes`.
    classes: the labels of the training part.
    """

    parts: dict[str, Dataset]
    texts: list[str]
    labels: list[str]
    part_of: npt.NDArray[np.int64]
    truth: npt.NDArray[np.int64]
    classes: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def within(self, part: str) -> npt.NDArray[np.bool_]:
        """[n] which texts stand in that part."""
        result: npt.NDArray[np.bool_] = self.part_of == list(self.parts).index(part)
        return result

    def counted(self, chosen: npt.NDArray[np.bool_]) -> dict[str, int]:
        """How many of the `chosen` texts, [n], each part has."""
        return {part: int((chosen & self.within(part)).sum()) for part in self.parts}

    def example(self, index: int, at: int = 0) -> Example:
        """The text at `index` as a report names it: from its beginning, or so that its character `at` is seen."""
        number = int(self.part_of[index])
        before = int(np.searchsorted(self.part_of, number))
        name, records = list(self.parts.items())[number]
        return Example(name, records.place(index - before), self.labels[index], _excerpt(self.texts[index], at))


def _excerpt(text: str, at: int) -> str:
    begin = at - EXCERPT // 4 if at > EXCERPT // 2 else 0
    words = " ".join(text[begin : begin + 10 * EXCERPT].split())  # texts may be books
    shown = words if len(words) <= EXCERPT else f"{words[: EXCERPT - 3]}..."
    return f"...{shown}" if begin else shown


def make_corpus(parts: dict[str, Dataset]) -> Corpus:
    """The parts as one. Raises `DataError` for a label that the first of them, the training part, lacks."""
    classes = next(iter(parts.values())).class_names
    return Corpus(
        parts=parts,
        texts=[text for records in parts.values() for text in records.texts],
        labels=[label for records in parts.values() for label in records.labels],
        part_of=np.repeat(np.arange(len(parts)), [len(records) for records in parts.values()]),
        truth=np.concatenate([records.label_indices(classes) for records in parts.values()]),
        classes=classes,
    )


ALL = 2**31 - 1


@dataclass(frozen=True)
class CorpusTokens:
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


def tokenize_corpus(pool: Corpus) -> CorpusTokens:
    """Cuts all texts into the tokens that a model reads, and numbers them."""
    tokenizer = train_tokenizer(pool.texts, ALL)
    ids = TextTokenizer(tokenizer, max_tokens=ALL, truncate="end")(pool.texts).ids
    # A text without any token is read as one unknown word.
    lengths = np.array([0 if text[0] == UNKNOWN_ID else len(text) for text in ids], np.int64)
    flat = np.concatenate(ids)
    vocabulary = tokenizer.get_vocab()
    return CorpusTokens(sorted(vocabulary, key=vocabulary.__getitem__), flat[flat != UNKNOWN_ID], lengths)
