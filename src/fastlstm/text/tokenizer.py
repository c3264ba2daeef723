"""Text -> token ids, and the vocabulary behind them (the `tokenizers` library)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from fastlstm.errors import OptionError

Token = TypeVar("Token")

PADDING, UNKNOWN = "[PAD]", "[UNK]"
PADDING_ID, UNKNOWN_ID = 0, 1
BOUNDARY_ID = PADDING_ID
"""What stands before and after each text that a language model reads. No token of a text has this id."""

WORD_PATTERN = r"\w+|[^\w\s]+"
"""A token of a cleaned text: a run of letters and digits, or a run of punctuation."""

CHUNK_TEXTS = 256
"""Texts encoded at a time: enough for every core, few enough to stay in the cache and out of memory."""

_ASCII_WORDS = re.compile(WORD_PATTERN, re.ASCII).findall
HTML_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
CHINESE = re.compile("([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")


def clean_text(text: str) -> str:
    """The text with HTML line breaks as spaces, in Unicode's composed form (NFC), Chinese characters set apart."""
    if "<" in text:
        text = HTML_BREAK.sub(" ", text)
    return text if text.isascii() else CHINESE.sub(r" \1 ", unicodedata.normalize("NFC", text))


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """A word-level tokenizer of the most frequent words of `texts`, lower-cased, punctuation kept.

    The vocabulary has at most `vocabulary_size` entries: `[PAD]` (id 0), `[UNK]` (id 1), then words by
    falling frequency, equal ones in alphabetical order. It has fewer where the texts have fewer words.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=vocabulary_size - 2, show_progress=False)
    tokenizer.train_from_iterator((clean_text(text) for text in texts), trainer)
    # Named to `tokenizers` as special, they would be found inside texts too: "[PAD]" in a text is three words.
    words = [PADDING, UNKNOWN, *sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)]
    tokenizer.model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNKNOWN)
    return tokenizer


def truncate_text(tokenizer: Tokenizer, size: int) -> Tokenizer:
    """The same tokenizer with the `size` first entries of its vocabulary, the most frequent ones."""
    shorter = Tokenizer.from_str(tokenizer.to_str())
    kept = {word: i for word, i in tokenizer.get_vocab().items() if i < size}
    shorter.model = models.WordLevel(kept, unk_token=UNKNOWN)
    return shorter


@dataclass(frozen=True)
class TokenizedTexts:
    """Texts as token ids (int32, at least one each), and how many texts were longer than `max_tokens`.

    `ids` are what is kept of each text; `whole`, where it is asked for, all of it.
    """

    ids: list[npt.NDArray[np.int32]]
    longer: int
    whole: list[npt.NDArray[np.int32]] | None = None


@dataclass(frozen=True)
class Truncation:
    """One text cut into tokens.

    `text` is what was cut, cleaned; `tokens` as they stand in it, padding and the like by name; `ids` int32 [T] are
    all of them; `places` int64 [T, 2] says from which character to before which each stands; `read` bool [T],
    whether the model keeps it: of a longer text, not all.
    """

    text: str
    tokens: tuple[str, ...]
    ids: npt.NDArray[np.int32]
    places: npt.NDArray[np.int64]
    read: npt.NDArray[np.bool_]


class TextTokenizer:
    """Texts -> token ids, each text by itself.

    The tokenizer says what a text's tokens are. Plain ASCII, as most English text is, is cut by the pattern that
    the tokenizer goes by too, and looked up in its vocabulary: the same ids for a fifth of the processor's time.
    """

    def __init__(
        self, tokenizer: Tokenizer, *, max_tokens: int, truncate: str, padding: str = "none", whole: bool = False
    ) -> None:
        """Of a text with more than `max_tokens`, `truncate` keeps the "end", the "beginning", or the first and the
        last halves ("both"; an odd token goes to the end). Raises `OptionError` for anything else.

        Args:
            tokenizer: what cuts texts; where it has a post-processor, with the tokens that it adds.
            max_tokens: kept of a text.
            truncate: which.
            padding: "front" or "back": of a text with fewer, the rest is `PADDING_ID`.
            whole: give the ids of whole texts too.
        """
        if truncate not in ("end", "beginning", "both"):
            raise OptionError(f"truncate is {truncate!r}; expected end, beginning or both")
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._padding = padding
        self._special = tokenizer.post_processor is not None
        self._of_nothing = [UNKNOWN_ID] if padding == "none" else []
        self._whole = whole
        self._first = {"end": 0, "beginning": max_tokens, "both": max_tokens // 2}[truncate]
        self._vocabulary = tokenizer.get_vocab() if _is_own(tokenizer) else None

    def __call__(self, texts: Sequence[str]) -> TokenizedTexts:
        """The ids of every text; a text without any token reads as one unknown token, or as padding alone."""
        ids: list[npt.NDArray[np.int32]] = []
        whole: list[npt.NDArray[np.int32]] = []
        longer = 0
        for start in range(0, len(texts), CHUNK_TEXTS):
            for tokens, text_ids in self._chunk([clean_text(text) for text in texts[start : start + CHUNK_TEXTS]]):
                longer += tokens > self._max_tokens
                array = np.array(text_ids or self._of_nothing, np.int32)
                if self._whole:
                    whole.append(array)
                ids.append(self.kept(array))
        return TokenizedTexts(ids, longer, whole if self._whole else None)

    @property
    def is_own(self) -> bool:
        """Whether the tokenizer works as `train_tokenizer` makes it."""
        return self._vocabulary is not None

    def tokens(self, text: str) -> npt.NDArray[np.int32]:
        """The ids of all tokens of a stretch of text, which may have none."""
        cleaned = clean_text(text)
        if self._vocabulary is not None and cleaned.isascii():
            vocabulary = self._vocabulary
            return np.array([vocabulary.get(word, UNKNOWN_ID) for word in _ASCII_WORDS(cleaned.lower())], np.int32)
        return np.array(self._tokenizer.encode(cleaned, add_special_tokens=self._special).ids, np.int32)

    def cut(self, text: str) -> Truncation:
        """A text's tokens and where they stand; without any, it reads as one unknown token that is all of it.

        Padding is among them; what no character stands for has an empty place.
        """
        cleaned = clean_text(text)
        found = self._tokenizer.encode(cleaned, add_special_tokens=self._special)
        ids = self._padded(np.array(found.ids or self._of_nothing, np.int32))
        before = len(ids) - len(found.ids) if self._padding == "front" else 0
        places = np.full((len(ids), 2), 0 if self._padding == "front" else len(cleaned), np.int64)
        places[before : before + len(found.ids)] = np.array(found.offsets, np.int64).reshape(-1, 2)
        if not found.ids and self._padding == "none":
            places[0, 0] = 0
        read = np.zeros(len(ids), np.bool_)
        read[self._cut(np.arange(len(ids), dtype=np.int32))] = True
        named = self._padding != "none" or self._special
        tokens = tuple(
            cleaned[first:last] or (str(self._tokenizer.id_to_token(int(id_))) if named else "")
            for id_, (first, last) in zip(ids, places, strict=True)
        )
        return Truncation(cleaned, tokens, ids, places, read)

    def kept(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """What is read of a whole text's ids."""
        return self._padded(self._cut(ids))

    def _cut(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        if len(ids) <= self._max_tokens:
            return ids
        return np.concatenate([ids[: self._first], ids[len(ids) - (self._max_tokens - self._first) :]])

    def _padded(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        if self._padding == "none" or len(ids) >= self._max_tokens:
            return ids
        padding = np.full(self._max_tokens - len(ids), PADDING_ID, np.int32)
        return np.concatenate([padding, ids] if self._padding == "front" else [ids, padding])

    def _chunk(self, texts: list[str]) -> list[tuple[int, list[int]]]:
        """Of each text, how many tokens it has, and the ids of those that are kept, or of all."""
        vocabulary = self._vocabulary
        rest = [text for text in texts if vocabulary is None or not text.isascii()]
        of_rest = (
            iter(self._tokenizer.encode_batch_fast(rest, add_special_tokens=self._special)) if rest else iter(())
        )
        result = []
        for text in texts:
            if vocabulary is not None and text.isascii():
                words = _ASCII_WORDS(text.lower())
                result.append((len(words), [vocabulary.get(word, UNKNOWN_ID) for word in self._kept(words)]))
            else:
                all_ids = next(of_rest).ids
                result.append((len(all_ids), self._kept(all_ids)))
        return result

    def _kept(self, tokens: list[Token]) -> list[Token]:
        if self._whole or len(tokens) <= self._max_tokens:
            return tokens
        return tokens[: self._first] + tokens[len(tokens) - (self._max_tokens - self._first) :]


def _is_own(tokenizer: Tokenizer) -> bool:
    """Whether it works as `train_tokenizer` makes it."""
    return (
        isinstance(tokenizer.model, models.WordLevel)
        and isinstance(tokenizer.normalizer, normalizers.Lowercase)
        and isinstance(tokenizer.pre_tokenizer, pre_tokenizers.Whitespace)
        and tokenizer.post_processor is None
        and tokenizer.truncation is None
        and tokenizer.padding is None
        and not tokenizer.get_added_tokens_decoder()
        and tokenizer.token_to_id(tokenizer.model.unk_token) == UNKNOWN_ID
    )
