"""All parts of a dataset as one list of texts, and their tokens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastlstm._typing import BoolArray, IndexArray, TokenIds
from fastlstm.data import Dataset
from fastlstm.kernel.fast_tokens import compile_tokens
from fastlstm.text.tokenizer import UNKNOWN_ID, TextTokenizer, require_words, train_tokenizer

MAX_EXCERPT_LENGTH = 100
"""Characters of a text in an example."""
UNLIMITED = 2**31 - 1


@dataclass(frozen=True)
class Example:
    """A text in a report.

    Attributes:
        part: "training", "validation" or "test".
        location: Its row number, line number or file name in the source of the part.
        label: Its label.
        text: An excerpt of it.
    """

    part: str
    location: int | str
    label: str
    text: str


@dataclass(frozen=True)
class Corpus:
    """The texts of all parts, one part after the other, training first.

    Attributes:
        parts: Name -> dataset.
        texts, labels: The n texts and their labels.
        part_indices: The index of each text's part in `parts`: [n].
        targets: The index of each text's label in `classes`: [n].
        classes: The labels of the training part.
    """

    parts: dict[str, Dataset]
    texts: list[str]
    labels: list[str]
    part_indices: IndexArray
    targets: IndexArray
    classes: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def part_mask(self, part: str) -> BoolArray:
        """Return which texts belong to the part: [n]."""
        mask: BoolArray = self.part_indices == list(self.parts).index(part)
        return mask

    def count_by_part(self, mask: BoolArray) -> dict[str, int]:
        """Return how many of the texts in `mask` [n] each part contains."""
        return {part: int((mask & self.part_mask(part)).sum()) for part in self.parts}

    def example(self, index: int, position: int = 0) -> Example:
        """Return text `index` as an example whose excerpt contains the character at `position`."""
        part_index = int(self.part_indices[index])
        start = int(np.searchsorted(self.part_indices, part_index))
        part, dataset = list(self.parts.items())[part_index]
        excerpt = _excerpt(self.texts[index], position)
        return Example(part, dataset.location(index - start), self.labels[index], excerpt)


@dataclass(frozen=True)
class CorpusTokens:
    """The tokens of a corpus, one text after the other.

    Attributes:
        words: The word of each token id. The first two, padding and unknown, are not words.
        ids: The token ids of all texts, from a vocabulary that contains every word: [tokens].
        lengths: The number of tokens of each text, possibly 0: [n].
    """

    words: list[str]
    ids: TokenIds
    lengths: IndexArray

    def select(self, mask: BoolArray) -> TokenIds:
        """Return the token ids of the texts in `mask` [n]."""
        return self.ids[np.repeat(mask, self.lengths)]

    def word_counts(self, mask: BoolArray) -> IndexArray:
        """Return how often each word occurs in the texts in `mask` [n]: [words]."""
        return np.bincount(self.select(mask), minlength=len(self.words))


def make_corpus(parts: dict[str, Dataset]) -> Corpus:
    """Join the parts, of which the first is the training part.

    Raises:
        DataError: A part has a label that the training part lacks.
    """
    classes = next(iter(parts.values())).class_names
    return Corpus(
        parts=parts,
        texts=[text for dataset in parts.values() for text in dataset.texts],
        labels=[label for dataset in parts.values() for label in dataset.labels],
        part_indices=np.repeat(np.arange(len(parts)), [len(dataset) for dataset in parts.values()]),
        targets=np.concatenate([dataset.label_indices(classes) for dataset in parts.values()]),
        classes=classes,
    )


def tokenize_corpus(corpus: Corpus) -> CorpusTokens:
    """Tokenize all texts as a model does, without a limit of length or vocabulary.

    Raise `DataError` if no text contains a word.
    """
    tokenizer = train_tokenizer(corpus.texts, UNLIMITED)
    require_words(tokenizer, next(iter(corpus.parts.values())).source)
    tokenize = TextTokenizer(tokenizer, max_tokens=UNLIMITED, truncate="end", compile_tokens=compile_tokens)
    ids = tokenize(corpus.texts).ids
    # The tokenizer returns one unknown token for a text without tokens.
    lengths = np.array([0 if text[0] == UNKNOWN_ID else len(text) for text in ids], np.int64)
    flat = np.concatenate(ids)
    vocabulary = tokenizer.get_vocab()
    return CorpusTokens(sorted(vocabulary, key=vocabulary.__getitem__), flat[flat != UNKNOWN_ID], lengths)


def _excerpt(text: str, position: int) -> str:
    begin = position - MAX_EXCERPT_LENGTH // 4 if position > MAX_EXCERPT_LENGTH // 2 else 0
    words = " ".join(text[begin : begin + 10 * MAX_EXCERPT_LENGTH].split())  # a text may be very long
    excerpt = words if len(words) <= MAX_EXCERPT_LENGTH else f"{words[: MAX_EXCERPT_LENGTH - 3]}..."
    return f"...{excerpt}" if begin else excerpt
