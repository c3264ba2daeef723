"""Text -> token ids, and the vocabulary behind them (the `tokenizers` library)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from fastlstm.errors import OptionError

Result = TypeVar("Result")

PADDING, UNKNOWN = "[PAD]", "[UNK]"
PADDING_ID, UNKNOWN_ID = 0, 1

WORD_PATTERN = r"\w+|[^\w\s]+"
"""A token of a cleaned text: a run of letters and digits, or a run of punctuation."""

CHUNK_TEXTS = 256
"""Texts encoded at a time: enough for every core, few enough to stay in the cache and out of memory."""

_HTML_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_CHINESE = re.compile("([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")


def clean(text: str) -> str:
    """The text with HTML line breaks as spaces, in Unicode's composed form (NFC), Chinese characters set apart."""
    if "<" in text:
        text = _HTML_BREAK.sub(" ", text)
    return text if text.isascii() else _CHINESE.sub(r" \1 ", unicodedata.normalize("NFC", text))


def train_tokenizer(texts: Iterable[str], vocabulary_size: int) -> Tokenizer:
    """A word-level tokenizer of the most frequent words of `texts`, lower-cased, punctuation kept.

    The vocabulary has at most `vocabulary_size` entries: `[PAD]` (id 0), `[UNK]` (id 1), then words by
    falling frequency, equal ones in alphabetical order. It has fewer where the texts have fewer words.
    """
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(vocab_size=vocabulary_size - 2, show_progress=False)
    tokenizer.train_from_iterator((clean(text) for text in texts), trainer)
    # Named to `tokenizers` as special, they would be found inside texts too: "[PAD]" in a text is three words.
    words = [PADDING, UNKNOWN, *sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)]
    tokenizer.model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNKNOWN)
    return tokenizer


@dataclass(frozen=True)
class Encoded:
    """Texts as token ids (int32, at least one each), and how many texts were longer than `max_tokens`."""

    ids: list[npt.NDArray[np.int32]]
    longer: int


def encode(tokenizer: Tokenizer, texts: Sequence[str], *, max_tokens: int, truncate: str) -> Encoded:
    """The ids of every text, each encoded by itself; a text without any token reads as one unknown token.

    Of a text with more than `max_tokens`, `truncate` keeps the "end", the "beginning", or the first and the
    last halves ("both"; an odd token goes to the end). On all cores.
    """
    if truncate not in ("end", "beginning", "both"):
        raise OptionError(f"truncate is {truncate!r}; expected end, beginning or both")
    ids: list[npt.NDArray[np.int32]] = []
    longer = 0
    for encodings in _one_ahead(
        lambda start: tokenizer.encode_batch_fast(
            [clean(text) for text in texts[start : start + CHUNK_TEXTS]], add_special_tokens=False
        ),
        range(0, len(texts), CHUNK_TEXTS),
    ):
        for encoding in encodings:
            full = encoding.ids
            longer += len(full) > max_tokens
            ids.append(np.array(_truncated(full, max_tokens, truncate) or [UNKNOWN_ID], np.int32))
    return Encoded(ids, longer)


def _one_ahead(work: Callable[[int], Result], starts: Sequence[int]) -> Iterator[Result]:
    """work(start) for every start, in order, one of them always under way in a thread beside the caller.

    The tokenizer's threads then never wait for Python to copy the ids (benchmarks/footprint.py times it).
    """
    if len(starts) <= 1:
        yield from map(work, starts)
        return
    with ThreadPoolExecutor(max_workers=1) as thread:
        ahead = thread.submit(work, starts[0])
        for start in starts[1:]:
            done, ahead = ahead, thread.submit(work, start)
            yield done.result()
        yield ahead.result()


def _truncated(ids: list[int], max_tokens: int, truncate: str) -> list[int]:
    if len(ids) <= max_tokens:
        return ids
    first = {"end": 0, "beginning": max_tokens, "both": max_tokens // 2}[truncate]
    return ids[:first] + ids[len(ids) - (max_tokens - first) :]
