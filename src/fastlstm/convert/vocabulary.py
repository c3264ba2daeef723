"""Vocabularies of imported models: the word of each embedding row, from word lists, word indices and tokenizers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastlstm.convert.tokenization import START, TokenizationRule
from fastlstm.errors import DataError, OptionError, suggest
from fastlstm.text.segmentation import CHINESE
from fastlstm.text.tokenizer import PADDING, PADDING_ID, UNKNOWN

UNKNOWN_NAMES = (UNKNOWN, "<UNK>", "<unk>", "<OOV>", "<oov>", "UNK", "unk", "OOV", "oov")
PADDING_NAMES = (PADDING, "<PAD>", "<pad>", "PAD", "")
MAX_PLAIN_ROW = 3
"""Up to this row, names without brackets are those of special tokens; later, "unk" is a word like any other."""
IMDB_INDEX_FROM = 3
"""The default `index_from` of keras.datasets.imdb.load_data: ids 0, 1 and 2 are padding, start and unknown."""
IMDB_START, IMDB_UNKNOWN = 1, 2
MAX_SUGGESTION_LENGTH = 300


@dataclass(frozen=True)
class Vocabulary:
    """Words and special tokens by embedding row.

    Attributes:
        words: Word -> row.
        unknown: Row of unknown words; None if they are dropped.
        padding: Row of padding; None if no word represents it.
        start: Row of the token before each text; None if there is none.
        is_vectorization: Whether the list starts as TextVectorization's does, with "" and [UNK].
        rule: How the tokenizer in the file splits texts; None if the file contains words only.
    """

    words: dict[str, int]
    unknown: int | None
    padding: int | None
    start: int | None = None
    is_vectorization: bool = False
    rule: TokenizationRule | None = None


@dataclass(frozen=True)
class VocabularyOptions:
    """How the indices of a vocabulary are read.

    Attributes:
        unknown: The word that represents unknown words, if it is not in `UNKNOWN_NAMES`.
        drop_unknown: Whether unknown words are dropped, as Keras' Tokenizer does without an `oov_token`.
        index_from: Offset added to each index of a JSON object; 3 for the word index of keras.datasets.imdb.
        num_words: Words of this row and later ones are unknown, as with `num_words` in Keras; None: all are known.
    """

    unknown: str | None = None
    drop_unknown: bool = False
    index_from: int = 0
    num_words: int | None = None

    def __post_init__(self) -> None:
        if self.unknown is not None and self.drop_unknown:
            raise OptionError(
                "unknown words are either dropped or represented by a word; pass one of `unknown` and `drop_unknown`",
                code="conflicting-options",
                options=("unknown", "drop_unknown"),
            )


def read_vocabulary(path: Path, options: VocabularyOptions | None = None) -> Vocabulary:
    """Read a vocabulary.

    Args:
        path: A Keras Tokenizer (`tokenizer.to_json()`), a JSON object of word -> index, a JSON list, or a text with one
            word per line.
        options: How its indices are read.

    Raises:
        DataError: The file is not a vocabulary.
        OptionError: An option does not apply to the vocabulary.
    """
    options = options or VocabularyOptions()
    content = _read_text(path)
    if path.suffix != ".json":
        return make_vocabulary(_lines(content), options)
    try:
        value = json.loads(content)
        if isinstance(value, str):  # json.dump(tokenizer.to_json(), file) encodes JSON twice
            value = json.loads(value)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not JSON ({error}); expected tokenizer.to_json(), an object of word -> index, or a list",
            code="not-a-vocabulary",
            path=path,
        ) from None
    if isinstance(value, list) and all(isinstance(word, str) for word in value):
        return make_vocabulary(value, options)
    if isinstance(value, dict) and value.get("class_name") == "Tokenizer":
        return _from_keras_tokenizer(path, value, options)
    if not isinstance(value, dict) or not all(type(index) is int and index >= 0 for index in value.values()):
        raise DataError(
            f"{path} is not a vocabulary; expected tokenizer.to_json(), a JSON object of word -> index from 0, or a "
            "list of words",
            code="not-a-vocabulary",
            path=path,
        )
    return _from_index(value, options)


def make_vocabulary(words: Sequence[str], options: VocabularyOptions | None = None) -> Vocabulary:
    """Return the vocabulary of words in the order of their rows, as TextVectorization.get_vocabulary() lists them.

    Raises:
        DataError: A word occurs twice.
        OptionError: `unknown` is not among the words, or `index_from` is not 0.
    """
    options = options or VocabularyOptions()
    if options.index_from:
        raise OptionError(
            f"`index_from` is {options.index_from}, but the vocabulary is a list; `index_from` applies to a JSON "
            "object of word -> index only",
            code="index-from-conflict",
            index_from=options.index_from,
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
        _known(rows, options.num_words),
        _unknown_row(rows, options),
        _first_row(rows, PADDING_NAMES),
        is_vectorization=list(words[:2]) == ["", UNKNOWN],
    )


def _from_index(index: Mapping[str, int], options: VocabularyOptions) -> Vocabulary:
    counts = Counter(index.values())
    shared = [word for word, row in index.items() if counts[row] > 1]
    if shared:
        raise DataError(
            f"the vocabulary has the index {index[shared[0]]} twice, for {shared[0]!r} and {shared[1]!r}; expected "
            "one word per index",
            code="duplicate-index",
            index=index[shared[0]],
            words=shared[:2],
        )
    words = {word: row + options.index_from for word, row in index.items()}
    if options.index_from == IMDB_INDEX_FROM and options.unknown is None and not options.drop_unknown:
        if names := [name for name in UNKNOWN_NAMES if name in index]:
            raise OptionError(
                f"the vocabulary has {names[0]} for unknown words, so it is not the word index of "
                "keras.datasets.imdb; omit --index-from",
                code="index-from-conflict",
                index_from=options.index_from,
                unknown=names[0],
            )
        known = _known(words, options.num_words)
        return Vocabulary(known, unknown=IMDB_UNKNOWN, padding=PADDING_ID, start=IMDB_START)
    unknown, padding = _unknown_row(words, options), _first_row(words, PADDING_NAMES)
    return Vocabulary(_known(words, options.num_words), unknown, padding)


def _from_keras_tokenizer(path: Path, content: Mapping[str, Any], options: VocabularyOptions) -> Vocabulary:
    """Return the vocabulary and the rule of `tokenizer.to_json()`, which drops unknown words without an oov_token."""
    conflicting = [
        name
        for name in ("unknown", "drop_unknown", "index_from", "num_words")
        if getattr(options, name) != getattr(VocabularyOptions(), name)
    ]
    if conflicting:
        names = ", ".join("--" + name.replace("_", "-") for name in conflicting)
        raise OptionError(
            f"{path} is a Keras Tokenizer, which says itself how unknown words are read; omit {names}",
            code="conflicting-options",
            options=tuple(conflicting),
        )
    try:
        config = content["config"]
        index = config["word_index"]
        index = json.loads(index) if isinstance(index, str) else index
        num_words, oov_token = config.get("num_words"), config.get("oov_token")
        rule = _tokenizer_rule(path, config)
        if not isinstance(index, dict) or not all(type(row) is int and row >= 1 for row in index.values()):
            raise TypeError("word_index")
        if num_words is not None and type(num_words) is not int:
            raise TypeError("num_words")
        unknown = None if oov_token is None else index[oov_token]
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path} is not a Keras Tokenizer ({error!r}); expected the output of tokenizer.to_json()",
            code="not-a-vocabulary",
            path=path,
        ) from None
    return Vocabulary(_known(index, num_words), unknown, padding=PADDING_ID, rule=rule)


def _tokenizer_rule(path: Path, config: Mapping[str, Any]) -> TokenizationRule:
    filters, lower, split = config["filters"] or "", config["lower"], config["split"]
    supported = {"lower": type(lower) is bool, "filters": isinstance(filters, str)}
    supported |= {"split": isinstance(split, str) and len(split) == 1, "analyzer": config.get("analyzer") is None}
    for option, is_supported in supported.items():
        if not is_supported:
            raise DataError(
                f"{path} has a Tokenizer with {option}={config.get(option)!r}; expected filters and a split character",
                code="unsupported-layer-option",
                layer="Tokenizer",
                option=option,
                value=config.get(option),
            )
    separators = None if config.get("char_level") else "".join(dict.fromkeys(filters + split))
    return TokenizationRule(False, "unicode" if lower else "none", separators=separators)


def _known(words: dict[str, int], num_words: int | None) -> dict[str, int]:
    return words if not num_words else {word: row for word, row in words.items() if row < num_words}


def _lines(content: str) -> list[str]:
    """Split at line feeds only: words may contain other characters that str.splitlines() splits at."""
    return content.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _read_text(path: Path) -> str:
    """Return the text of a file, without a byte order mark."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}); expected a vocabulary in UTF-8",
            code="unreadable-file",
            source=str(path),
        ) from None


def _first_row(words: dict[str, int], names: tuple[str, ...]) -> int | None:
    rows = (words[name] for name in names if name in words and (not name.isalpha() or words[name] <= MAX_PLAIN_ROW))
    return next(rows, None)


def _unknown_row(words: dict[str, int], options: VocabularyOptions) -> int | None:
    unknown = options.unknown
    if options.drop_unknown:
        return None
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
            f"the vocabulary has no word for unknown words ({', '.join(UNKNOWN_NAMES[:4])}, ...); pass "
            "`unknown`, `drop_unknown=True` for a Keras Tokenizer without oov_token, or `index_from=3` for the word "
            "index of keras.datasets.imdb",
            code="missing-unknown-word",
        )
    return row


def assign_ids(
    vocabulary: Vocabulary, row_count: int, rule: TokenizationRule, *, padding_row: int | None = None
) -> tuple[list[str], list[int | None]]:
    """Return the words in the order of fastlstm's ids, and the embedding row of each; None: a row of zeros.

    Padding comes first, then unknown, the start token if there is one, and the other words by row.

    Args:
        vocabulary: The words.
        row_count: Number of embedding rows; words of later rows become unknown.
        rule: How texts are split into words.
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
        if rule.is_standard and len(word) > 1 and CHINESE.search(word):
            raise DataError(
                f"the vocabulary has the word {word}, but the tokenization splits Chinese into characters and would "
                "never find it; pass another `tokenization`, such as spaces",
                code="chinese-word",
                word=word,
            )
    words: list[str] = [PADDING, UNKNOWN]
    rows = [padding_row if vocabulary.padding is None else vocabulary.padding, vocabulary.unknown]
    if vocabulary.start is not None:
        words.append(START)
        rows.append(vocabulary.start)
    return [*words, *(word for _, word in others)], [*rows, *(row for row, _ in others)]
