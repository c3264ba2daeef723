"""Vocabularies of imported models: the word of each embedding row, and a tokenizer that finds these words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from fastlstm.errors import DataError, OptionError, suggest
from fastlstm.text.tokenizer import CHINESE, PADDING, PADDING_ID, UNKNOWN, UNKNOWN_ID

START = "[START]"
UNKNOWN_NAMES = (UNKNOWN, "<UNK>", "<unk>", "<OOV>", "<oov>", "UNK", "unk", "OOV", "oov")
PADDING_NAMES = (PADDING, "<PAD>", "<pad>", "PAD", "")
IMDB_INDEX_FROM = 3
"""The default `index_from` of keras.datasets.imdb.load_data: ids 0, 1 and 2 are padding, start and unknown."""
IMDB_START, IMDB_UNKNOWN = 1, 2
STRIPPED_PUNCTUATION = r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']"""
"""The characters that keras.layers.TextVectorization strips."""
TOKENIZER_FILTERS = r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~\t\n]"""
"""The characters that Keras' Tokenizer, which also tokenized Keras' IMDb, replaces by spaces."""
MAX_SUGGESTION_LENGTH = 300


@dataclass(frozen=True)
class TokenizationRule:
    """How a text is split into words.

    Attributes:
        lower: Whether letters are converted to lower case.
        punctuation: "separate" makes tokens of punctuation, "space" replaces it by spaces, "drop" removes it,
            "keep" leaves it in words.
    """

    lower: bool = True
    punctuation: Literal["separate", "space", "drop", "keep"] = "separate"


TOKENIZATION_RULES = {
    "fastlstm": TokenizationRule(),
    "keras": TokenizationRule(punctuation="space"),
    "vectorization": TokenizationRule(punctuation="drop"),
    "spaces": TokenizationRule(lower=False, punctuation="keep"),
    "lower": TokenizationRule(punctuation="keep"),
    "stripped": TokenizationRule(lower=False, punctuation="drop"),
}
"""Rules by name: fastlstm's, Keras' Tokenizer's and TextVectorization's, and three ways to split at spaces."""


@dataclass(frozen=True)
class Vocabulary:
    """Words and special tokens by embedding row.

    Attributes:
        words: Word -> row.
        unknown: Row of unknown words.
        padding: Row of padding; None if no word represents it.
        start: Row of the token before each text; None if there is none.
        is_vectorization: Whether the list starts as TextVectorization's does, with "" and [UNK].
    """

    words: dict[str, int]
    unknown: int
    padding: int | None
    start: int | None = None
    is_vectorization: bool = False


def read_vocabulary(path: Path, *, index_from: int = 0, unknown: str | None = None) -> Vocabulary:
    """Read a vocabulary: JSON (an object of word -> index, or a list), or text with one word per line.

    Args:
        path: The file.
        index_from: Offset added to each index of a JSON object; 3 for the word index of keras.datasets.imdb.
        unknown: The word that represents unknown words, if it is not in `UNKNOWN_NAMES`.

    Raises:
        DataError: The file is not a vocabulary.
        OptionError: `unknown` is not in the vocabulary, or `index_from` does not apply to it.
    """
    content = _read_text(path)
    if path.suffix != ".json":
        return make_vocabulary(_lines(content), unknown, index_from)
    try:
        value = json.loads(content)
    except ValueError as error:
        raise DataError(
            f"{path} is not JSON ({error}); expected an object of word -> index, or a list of words",
            code="not-a-vocabulary",
            path=path,
        ) from None
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return make_vocabulary(value, unknown, index_from)
    if not isinstance(value, dict) or not all(type(index) is int and index >= 0 for index in value.values()):
        raise DataError(
            f"{path} is not a vocabulary; expected a JSON object of word -> index from 0, or a list of words",
            code="not-a-vocabulary",
            path=path,
        )
    if index_from == IMDB_INDEX_FROM and unknown is None:
        if names := [name for name in UNKNOWN_NAMES if name in value]:
            raise OptionError(
                f"the vocabulary has {names[0]} for unknown words, so it is not the word index of "
                "keras.datasets.imdb; omit --index-from",
                code="index-from-conflict",
                index_from=index_from,
                unknown=names[0],
            )
        words = {word: index + IMDB_INDEX_FROM for word, index in value.items()}
        return Vocabulary(words, unknown=IMDB_UNKNOWN, padding=PADDING_ID, start=IMDB_START)
    words = {word: index + index_from for word, index in value.items()}
    return Vocabulary(words, _unknown_row(words, unknown), _first_row(words, PADDING_NAMES))


def make_vocabulary(words: Sequence[str], unknown: str | None = None, index_from: int = 0) -> Vocabulary:
    """Return the vocabulary of words in the order of their rows, as TextVectorization.get_vocabulary() lists them.

    Raises:
        DataError: A word occurs twice.
        OptionError: `unknown` is not among the words, or `index_from` is not 0.
    """
    if index_from:
        raise OptionError(
            f"index-from is {index_from}, but the vocabulary is a list; --index-from applies to a JSON object of "
            "word -> index only",
            code="index-from-conflict",
            index_from=index_from,
        )
    duplicates = [word for word, count in Counter(words).items() if count > 1]
    if duplicates:
        raise DataError(
            f"the vocabulary has {duplicates[0]!r} twice; expected each word once, in the order of the rows",
            code="duplicate-word",
            word=duplicates[0],
        )
    rows = {word: row for row, word in enumerate(words)}
    return Vocabulary(
        rows,
        _unknown_row(rows, unknown),
        _first_row(rows, PADDING_NAMES),
        is_vectorization=list(words[:2]) == ["", UNKNOWN],
    )


def _lines(content: str) -> list[str]:
    """Split at line feeds only: words may contain other characters that str.splitlines() splits at."""
    return content.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); expected a vocabulary in UTF-8",
            code="unreadable-file",
            source=str(path),
        ) from None


def _first_row(words: dict[str, int], names: tuple[str, ...]) -> int | None:
    return next((words[name] for name in names if name in words), None)


def _unknown_row(words: dict[str, int], unknown: str | None) -> int:
    if unknown is not None:
        if unknown not in words:
            raise OptionError(
                f"unknown is {unknown!r}, which is not in the vocabulary; {suggest(unknown, words)}"[
                    :MAX_SUGGESTION_LENGTH
                ],
                code="unknown-word-not-found",
                unknown=unknown,
            )
        return words[unknown]
    row = _first_row(words, UNKNOWN_NAMES)
    if row is None:
        raise OptionError(
            f"the vocabulary has no word for unknown words ({', '.join(UNKNOWN_NAMES[:4])}, ...); pass --unknown "
            "WORD, or --index-from 3 for the word index of keras.datasets.imdb",
            code="missing-unknown-word",
        )
    return row


def assign_ids(
    vocabulary: Vocabulary, row_count: int, *, padding_row: int | None = None
) -> tuple[list[str], list[int | None]]:
    """Return the words in the order of fastlstm's ids, and the embedding row of each; None: a row of zeros.

    Padding comes first, then unknown, the start token if there is one, and the other words by row.

    Args:
        vocabulary: The words.
        row_count: Number of embedding rows; words of later rows become unknown.
        padding_row: Row of padding if no word represents it; None if padding is not read.

    Raises:
        DataError: A special token has no row, or a word cannot be represented.
    """
    special = {
        vocabulary.padding: "padding",
        vocabulary.unknown: "the unknown word",
        vocabulary.start: "the start token",
    }
    for row, name in special.items():
        if row is not None and row >= row_count:
            raise DataError(
                f"{name} has row {row}, but the embedding has {row_count} rows; pass the vocabulary of this model",
                code="vocabulary-mismatch",
                row=row,
                row_count=row_count,
            )
    others = sorted(
        (row, word) for word, row in vocabulary.words.items() if row < row_count and row not in special and word
    )
    for _, word in others:
        if word in (PADDING, UNKNOWN, START):
            raise DataError(
                f"the vocabulary has the word {word}, which fastlstm reserves; rename it",
                code="reserved-word",
                word=word,
            )
        if len(word) > 1 and CHINESE.search(word):
            raise DataError(
                f"the vocabulary has the word {word}, but fastlstm tokenizes Chinese by character and would never "
                "find it; expected a vocabulary of single Chinese characters",
                code="chinese-word",
                word=word,
            )
    words: list[str] = [PADDING, UNKNOWN]
    rows = [padding_row if vocabulary.padding is None else vocabulary.padding, vocabulary.unknown]
    if vocabulary.start is not None:
        words.append(START)
        rows.append(vocabulary.start)
    return [*words, *(word for _, word in others)], [*rows, *(row for row, _ in others)]


def make_tokenizer(words: list[str], rule: TokenizationRule, *, add_start: bool) -> Tokenizer:
    """Return a tokenizer whose ids are the positions in `words`; `add_start` puts `START` before each text."""
    tokenizer = Tokenizer(models.WordLevel({word: id_ for id_, word in enumerate(words)}, unk_token=UNKNOWN))
    if rule == TokenizationRule():
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    else:
        steps: list[normalizers.Normalizer] = [normalizers.Lowercase()] if rule.lower else []
        if rule.punctuation == "drop":
            steps.append(normalizers.Replace(Regex(STRIPPED_PUNCTUATION), ""))
        if rule.punctuation == "space":
            steps.append(normalizers.Replace(Regex(TOKENIZER_FILTERS), " "))
        tokenizer.normalizer = normalizers.Sequence(steps)
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if add_start:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{START} $A", special_tokens=[(START, words.index(START))]
        )
    assert tokenizer.token_to_id(UNKNOWN) == UNKNOWN_ID
    return tokenizer
