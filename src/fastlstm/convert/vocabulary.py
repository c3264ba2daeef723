"""The words behind the rows of an embedding that was learned elsewhere, and the tokenizer that finds them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from fastlstm.errors import DataError, OptionError, suggest
from fastlstm.text.tokenizer import CHINESE, PADDING, PADDING_ID, UNKNOWN, UNKNOWN_ID

START = "[START]"
UNKNOWNS = (UNKNOWN, "<UNK>", "<unk>", "<OOV>", "<oov>", "UNK", "unk", "OOV", "oov")
"""What the word for unknown ones is called."""
PADDINGS = (PADDING, "<PAD>", "<pad>", "PAD", "")
"""What padding is called."""
IMDB_FROM = 3
"""keras.datasets.imdb.load_data's index_from: ids 0, 1 and 2 are padding, a text's start, and unknown words."""
IMDB_START, IMDB_UNKNOWN = 1, 2
PUNCTUATION = r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']"""
"""What keras.layers.TextVectorization strips."""
FILTERS = r"""[!"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~\t\n]"""
"""What Keras' Tokenizer, with which its IMDb was cut, reads as spaces."""


@dataclass(frozen=True)
class TokenizationRule:
    """What a word is: `lower`-cased or as it stands, `punctuation` apart, a space, dropped, or a part of words."""

    lower: bool = True
    punctuation: str = "apart"


TOKENIZATION_RULES = {
    "fastlstm": TokenizationRule(),
    "keras": TokenizationRule(punctuation="space"),
    "vectorization": TokenizationRule(punctuation="dropped"),
    "spaces": TokenizationRule(lower=False, punctuation="kept"),
    "lower": TokenizationRule(punctuation="kept"),
    "stripped": TokenizationRule(lower=False, punctuation="dropped"),
}
"""The names of what words are: fastlstm's own, those of Keras' Tokenizer (and of its IMDb), of TextVectorization,
and what spaces part, as it stands, lower-cased, or with its punctuation dropped."""


@dataclass(frozen=True)
class Vocabulary:
    """Words by the row of the embedding that is theirs, and the rows of what is no word; None: there is none.

    `vectorized`: whether it is TextVectorization's, which begins with "" and [UNK].
    """

    words: dict[str, int]
    unknown: int
    padding: int | None
    start: int | None = None
    vectorized: bool = False


def read_vocabulary(path: Path, *, index_from: int = 0, unknown: str | None = None) -> Vocabulary:
    """The vocabulary in a file: JSON, an object of word -> index or a list; or text, a word a line.

    Args:
        path: the file.
        index_from: what is added to each index of an object. 3 is that of keras.datasets.imdb.
        unknown: the word that unknown ones are read as, where it has none of the usual names.

    Raises `DataError` for what is no vocabulary, `OptionError` for an unknown word that is not in it, and for an
    `index_from` of what has no indices.
    """
    content = _read(path)
    if path.suffix != ".json":
        return find_rule(_lines(content), unknown, index_from)
    try:
        found = json.loads(content)
    except ValueError as error:
        raise DataError(f"{path} is not JSON ({error}); expected an object of word -> index, or a list") from None
    if isinstance(found, list) and all(isinstance(word, str) for word in found):
        return find_rule(found, unknown, index_from)
    if not isinstance(found, dict) or not all(type(index) is int and index >= 0 for index in found.values()):
        raise DataError(f"{path} is no vocabulary; expected an object of word -> index from 0, or a list of words")
    if index_from == IMDB_FROM and unknown is None:
        if has := [name for name in UNKNOWNS if name in found]:
            raise OptionError(
                f"the vocabulary has {has[0]} for unknown words, and so is not IMDb's; leave --index-from out"
            )
        words = {word: index + IMDB_FROM for word, index in found.items()}
        return Vocabulary(words, unknown=IMDB_UNKNOWN, padding=PADDING_ID, start=IMDB_START)
    words = {word: index + index_from for word, index in found.items()}
    row = _unknown(words, unknown)
    return Vocabulary(words, row, _named(words, PADDINGS))


def find_rule(words: list[str], unknown: str | None = None, index_from: int = 0) -> Vocabulary:
    """Of words in the order of their rows, as TextVectorization.get_vocabulary() gives them. Raises as above."""
    if index_from:
        raise OptionError(f"index-from is {index_from}, and the vocabulary is a list; it is for word -> index")
    counts = Counter(words)
    if twice := [word for word, count in counts.items() if count > 1]:
        raise DataError(f"the vocabulary has {twice[0]!r} twice; expected each word once, in the order of the rows")
    rows = {word: row for row, word in enumerate(words)}
    vectorized = words[:2] == ["", UNKNOWN]
    return Vocabulary(rows, _unknown(rows, unknown), _named(rows, PADDINGS), vectorized=vectorized)


def _lines(content: str) -> list[str]:
    """Parted by line feeds alone: words hold other things that Python takes for the end of a line."""
    return content.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read ({error}); expected a vocabulary, UTF-8") from None


def _named(words: dict[str, int], names: tuple[str, ...]) -> int | None:
    return next((words[name] for name in names if name in words), None)


def _unknown(words: dict[str, int], unknown: str | None) -> int:
    if unknown is not None:
        if unknown not in words:
            raise OptionError(f"unknown {unknown!r} is no word of the vocabulary; {suggest(unknown, words)}"[:300])
        return words[unknown]
    found = _named(words, UNKNOWNS)
    if found is None:
        raise OptionError(
            f"the vocabulary has no word for unknown ones ({', '.join(UNKNOWNS[:4])}); name it with --unknown, or "
            "pass --index-from 3 for the word index of keras.datasets.imdb"
        )
    return found


def ordered_words(
    vocabulary: Vocabulary, rows: int, *, padding: int | None = None
) -> tuple[list[str], list[int | None]]:
    """The words of fastlstm's ids and the embedding's row of each: padding, unknown, and the rest in their order.

    Args:
        vocabulary: the words.
        rows: how many there are; words of rows beyond are unknown ones.
        padding: the row that padding reads where no word is named so; None: nothing reads it.

    Raises `DataError` where padding, unknown words or a text's start have no row, and for words that can't be told
    from these, or are never found.
    """
    special = {vocabulary.padding: "padding", vocabulary.unknown: "unknown words", vocabulary.start: "the start"}
    for row, what in special.items():
        if row is not None and row >= rows:
            raise DataError(f"{what} would be row {row} of {rows}; the vocabulary is that of another model")
    rest = sorted(
        (row, word) for word, row in vocabulary.words.items() if row < rows and row not in special and word
    )
    for _, word in rest:
        if word in (PADDING, UNKNOWN, START):
            raise DataError(f"the vocabulary has a word {word}, which is something else here; rename it")
        if len(word) > 1 and CHINESE.search(word):
            raise DataError(
                f"the vocabulary has the word {word}; Chinese is read character by character here, and it would "
                "never be found"
            )
    names: list[str] = [PADDING, UNKNOWN]
    of = [padding if vocabulary.padding is None else vocabulary.padding, vocabulary.unknown]
    if vocabulary.start is not None:
        names.append(START)
        of.append(vocabulary.start)
    return [*names, *(word for _, word in rest)], [*of, *(row for row, _ in rest)]


def make_tokenizer(names: list[str], words: TokenizationRule, *, start: bool) -> Tokenizer:
    """Cuts texts into `words` and looks them up among `names`; `start`: with the token of a text's start before."""
    tokenizer = Tokenizer(models.WordLevel({name: id_ for id_, name in enumerate(names)}, unk_token=UNKNOWN))
    if words == TokenizationRule():
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    else:
        steps: list[normalizers.Normalizer] = [normalizers.Lowercase()] if words.lower else []
        if words.punctuation == "dropped":
            steps.append(normalizers.Replace(Regex(PUNCTUATION), ""))
        if words.punctuation == "space":
            steps.append(normalizers.Replace(Regex(FILTERS), " "))
        tokenizer.normalizer = normalizers.Sequence(steps)
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if start:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{START} $A", special_tokens=[(START, names.index(START))]
        )
    assert tokenizer.token_to_id(UNKNOWN) == UNKNOWN_ID
    return tokenizer
