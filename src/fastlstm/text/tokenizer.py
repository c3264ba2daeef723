"""Tokenizer: text -> token ids, and training of the vocabulary, with the `tokenizers` library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from tokenizers import Tokenizer, models, trainers

from fastlstm._typing import BoolArray, DoubleArray, IndexArray, TokenIds
from fastlstm.errors import DataError, OptionError
from fastlstm.text.fast_tokens import FastTokens, PythonTokens, TokensCompiler
from fastlstm.text.segmentation import (
    SEGMENTS,
    SUBWORDS,
    WORD_START,
    Segmentation,
    clean_text,
    cleaned_spans,
    cleans_text,
    end_of_marks,
    find_segmentation,
)

PADDING, UNKNOWN = "[PAD]", "[UNK]"
PADDING_ID, UNKNOWN_ID = 0, 1
BOUNDARY_ID = PADDING_ID
"""Id before and after each text that a language model reads. No token of a text has it."""

CHUNK_TEXTS = 256
"""Texts encoded at a time: enough to use all cores, few enough to stay in the cache."""
MIN_COMPILED_CHARACTERS = 100
"""Fewer characters are split faster by Python than by the kernel, which takes several arrays."""


def train_tokenizer(texts: Iterable[str], vocabulary_size: int, tokens: str = "words") -> Tokenizer:
    """Return a tokenizer of the most frequent tokens of `texts`, the same one for the same texts.

    `tokens` is "words", "characters", "bpe" or "unigram": the tokens follow `SEGMENTS`, `CHARACTERS`, or `SUBWORDS`.

    The vocabulary has at most `vocabulary_size` entries: `[PAD]` (id 0), `[UNK]` (id 1), then tokens by decreasing
    frequency, ties in alphabetical order. It is smaller if the texts have fewer tokens.
    """
    if tokens != "words":
        from fastlstm.text import subwords  # which predictions do not need

        train = {
            "characters": subwords.train_characters,
            "bpe": subwords.train_bpe,
            "unigram": subwords.train_unigram,
        }
        return train[tokens](list(texts), vocabulary_size - 2, (PADDING, UNKNOWN))
    tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
    tokenizer.normalizer = SEGMENTS.normalizer
    tokenizer.pre_tokenizer = SEGMENTS.pre_tokenizer
    trainer = trainers.WordLevelTrainer(vocab_size=vocabulary_size - 2, show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    # Registered as special tokens, they would be found in texts too, where "[PAD]" is three tokens.
    words = [PADDING, UNKNOWN, *sorted(tokenizer.get_vocab(), key=tokenizer.get_vocab().__getitem__)]
    tokenizer.model = models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNKNOWN)
    return tokenizer


def require_words(tokenizer: Tokenizer, source: str) -> None:
    """Raise `DataError` if the vocabulary has no words, because no text of `source` contains one."""
    if tokenizer.get_vocab_size() <= 2:
        raise no_words(source)


def no_words(source: str) -> DataError:
    """Return the error for texts without any word."""
    return DataError(
        f"{source}: no text contains a word; without line breaks and white space, nothing is left; check the column "
        "of the texts",
        code="no-words",
        source=source,
    )


def truncate_vocabulary(tokenizer: Tokenizer, size: int) -> Tokenizer:
    """Return a copy of the tokenizer with the first `size` entries of its vocabulary, the most frequent ones."""
    from fastlstm.text.subwords import truncate_model

    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.model = truncate_model(tokenizer, size)
    return copy


@dataclass(frozen=True)
class TokenizedTexts:
    """The token ids of texts.

    Attributes:
        ids: One array per text, truncated, with at least one id.
        truncated_count: The number of texts that were truncated.
        known: float64 [n], the fraction of each text's tokens that are in the vocabulary; 0.0 for a text without
            tokens. It covers the tokens that the model reads, and unknown words that it drops: all tokens with
            n-grams (`untruncated`), otherwise those left after truncation. Padding and the tokens that a
            post-processor adds do not count.
        untruncated: If requested, one array of all ids per text.
    """

    ids: list[TokenIds]
    truncated_count: int
    known: DoubleArray
    untruncated: list[TokenIds] | None = None


@dataclass(frozen=True)
class AlignedTokens:
    """The tokens of one text and their positions in it, before truncation and including padding.

    Attributes:
        text: The text, as it is written.
        tokens: The tokens as they are written in the text; those without characters, such as padding, by name.
        ids: [T].
        char_spans: int64 [T, 2], the first character of each token and the one after its last.
        used: bool [T], whether the token remains after truncation.
    """

    text: str
    tokens: tuple[str, ...]
    ids: TokenIds
    char_spans: IndexArray
    used: BoolArray


class TextTokenizer:
    """Converts texts to token ids, each text by itself.

    If the tokenizer has the segmentation of a trained model, words of ASCII characters, and texts of these and Chinese
    characters, are split and looked up without the `tokenizers` library, by the kernel if there is one: the same ids in
    a fraction of the CPU time.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        max_tokens: int,
        truncate: str,
        padding: str = "none",
        keep_untruncated: bool = False,
        cleaning: str = "standard",
        drop_unknown: bool = False,
        empty_id: int = UNKNOWN_ID,
        compile_tokens: TokensCompiler | None = None,
    ) -> None:
        """Configure truncation and padding.

        Args:
            tokenizer: Splits texts, and adds the tokens of its post-processor, if it has one.
            max_tokens: The maximum number of tokens of a text.
            truncate: What a longer text keeps: its "end", its "beginning", or "both": the first half of
                `max_tokens`, rounded down, and the rest from the end.
            padding: "front" or "back": a shorter text is padded with `PADDING_ID` on that side; "none": it is not.
            keep_untruncated: Also return all ids of each text.
            cleaning: "standard": texts are cleaned by `clean_text` first, unless the tokenizer does so itself;
                "none": they are not.
            drop_unknown: Drop unknown words before truncation.
            empty_id: The single id of a text without tokens, if it is not padded.
            compile_tokens: Returns a faster form of `PythonTokens`: `fastlstm.kernel.fast_tokens`.

        Raises:
            OptionError: `truncate` has another value.
        """
        if truncate not in ("end", "beginning", "both"):
            raise OptionError(
                f"`truncate` is {truncate!r}; expected end, beginning or both",
                code="bad-option-value",
                option="truncate",
                value=truncate,
            )
        self._tokenizer = tokenizer
        self._max_tokens = max_tokens
        self._padding = padding
        self._add_special_tokens = tokenizer.post_processor is not None
        self._needs_cleaning = cleaning == "standard" and not cleans_text(tokenizer)
        self._drop_unknown = drop_unknown
        self._added_ids = set(tokenizer.encode("").ids) if self._add_special_tokens else set()
        self._empty_text_ids = np.array([empty_id] if padding == "none" else [], np.int32)
        self._keep_untruncated = keep_untruncated
        self._head = {"end": 0, "beginning": max_tokens, "both": max_tokens // 2}[truncate]
        self._tail = max_tokens - self._head
        standard = cleaning == "standard" and not drop_unknown and _is_standard(tokenizer)
        self._segmentation = find_segmentation(tokenizer) if standard else None
        splits_segments = self._segmentation is not None and self._segmentation.splits_segments
        self._word_start_id = tokenizer.token_to_id(WORD_START) if splits_segments else None
        self._compile = compile_tokens

    def __call__(self, texts: Sequence[str]) -> TokenizedTexts:
        """Return the ids of every text. A text without tokens is one unknown token, or only padding."""
        ids: list[TokenIds] = []
        untruncated: list[TokenIds] = []
        known: list[float] = []
        truncated_count = 0
        for start in range(0, len(texts), CHUNK_TEXTS):
            for all_ids in self._all_ids(texts[start : start + CHUNK_TEXTS]):
                kept = self._known_ids(all_ids)
                truncated = self._truncate(kept)
                truncated_count += len(truncated) < len(kept)
                # Words that are dropped still count as tokens of the text.
                known.append(
                    self._known_fraction(all_ids if self._drop_unknown or self._keep_untruncated else truncated)
                )
                ids.append(self._pad(truncated if len(kept) else self._empty_text_ids))
                if self._keep_untruncated:
                    untruncated.append(kept if len(kept) else self._empty_text_ids)
        return TokenizedTexts(
            ids, truncated_count, np.array(known, np.float64), untruncated if self._keep_untruncated else None
        )

    @property
    def segmentation(self) -> Segmentation | None:
        """How texts are split, if the tokenizer is that of a trained model; None for an imported one."""
        return self._segmentation

    @property
    def is_standard(self) -> bool:
        """Whether the tokenizer is that of a trained model."""
        return self._segmentation is not None

    def token_ids(self, text: str) -> TokenIds:
        """Return the ids of all tokens of a piece of text, possibly none."""
        return self._known_ids(self._all_ids([text])[0])

    def split(self, text: str) -> list[str]:
        """Return the tokens of a text as they are written, possibly none.

        Not the empty ones: `WORD_START` may be a token by itself.
        """
        return [text[start:end] for _, (start, end) in self._locate(text) if end > start]

    def segments(self, text: str) -> list[str]:
        """Return the words and symbols of a text as they are written; for models of words, the tokens."""
        if self._segmentation is None or not self._segmentation.splits_segments:
            return self.split(text)
        return [text[start:end] for start, end in _with_marks(text, self._segmentation.segment_spans(text))]

    def last_segment_start(self, text: str) -> int:
        """Return the start of the last segment, on which the tokens before it do not depend; 0 if there is none."""
        if self._segmentation is not None and self._segmentation.splits_segments:
            return max((start for start, _ in self._segmentation.segment_spans(text)), default=0)
        if self._segmentation is not None and text.isascii() and "<" not in text:
            return max((match.start() for match in self._segmentation.simple_token.finditer(text)), default=0)
        return max((start for _, (start, _) in self._locate(text)), default=0)

    def align(self, text: str) -> AlignedTokens:
        """Return the tokens of a text and their positions; not those of unknown words that are dropped.

        A text without tokens is one unknown token that covers all of it. Tokens without characters, such as
        padding, have an empty span.
        """
        found = self._locate(text)
        ids = self._pad(np.array([token_id for token_id, _ in found], np.int32) if found else self._empty_text_ids)
        first = len(ids) - len(found) if self._padding == "front" else 0
        char_spans = np.full((len(ids), 2), 0 if self._padding == "front" else len(text), np.int64)
        char_spans[first : first + len(found)] = np.array([span for _, span in found], np.int64).reshape(-1, 2)
        if not found and self._padding == "none":
            char_spans[0, 0] = 0
        used = np.zeros(len(ids), np.bool_)
        used[self._truncate(np.arange(len(ids), dtype=np.int32))] = True
        splits_segments = self._segmentation is not None and self._segmentation.splits_segments
        has_names = self._padding != "none" or self._add_special_tokens or splits_segments
        tokens = tuple(
            text[start:end] or (str(self._tokenizer.id_to_token(int(token_id))) if has_names else "")
            for token_id, (start, end) in zip(ids, char_spans, strict=True)
        )
        return AlignedTokens(text, tokens, ids, char_spans, used)

    def _locate(self, text: str) -> list[tuple[int, tuple[int, int]]]:
        """Return the id and the span of each token of a text, without unknown words that are dropped."""
        encoding = self._tokenizer.encode(self._clean(text), add_special_tokens=self._add_special_tokens)
        offsets = encoding.offsets
        if self._needs_cleaning:
            spans = cleaned_spans(text)
            offsets = [(spans[start][0], spans[end - 1][1]) if end > start else (0, 0) for start, end in offsets]
        else:  # `tokenizers` leaves out the marks of the last character
            offsets = _with_marks(text, offsets)
        pairs = zip(encoding.ids, offsets, strict=True)
        return [pair for pair in pairs if not self._drop_unknown or pair[0] != UNKNOWN_ID]

    def truncate(self, ids: TokenIds) -> TokenIds:
        """Return the ids that the LSTM reads, from all ids of a text: truncated, or padded."""
        return self._pad(self._truncate(ids))

    def _truncate(self, ids: TokenIds) -> TokenIds:
        if len(ids) <= self._max_tokens:
            return ids
        return np.concatenate([ids[: self._head], ids[len(ids) - self._tail :]])

    def _pad(self, ids: TokenIds) -> TokenIds:
        if self._padding == "none" or len(ids) >= self._max_tokens:
            return ids
        padding = np.full(self._max_tokens - len(ids), PADDING_ID, np.int32)
        return np.concatenate([padding, ids] if self._padding == "front" else [ids, padding])

    def _clean(self, text: str) -> str:
        return clean_text(text) if self._needs_cleaning else text

    def _all_ids(self, texts: Sequence[str]) -> list[TokenIds]:
        """Return the ids of all tokens of each text, possibly none."""
        if self._segmentation is None or self._segmentation.splits_segments:
            return self._library_ids(texts)
        is_simple = self._segmentation.is_simple
        if all(map(is_simple, texts)):
            return self._fast_ids(texts)
        pieces = [[(piece, is_simple(piece)) for piece in self._segmentation.pieces(text)] for text in texts]
        fast_ids = iter(self._fast_ids([piece for text in pieces for piece, simple in text if simple]))
        others = iter(self._library_ids([piece for text in pieces for piece, simple in text if not simple]))
        parts = ([next(fast_ids if simple else others) for _, simple in text] for text in pieces)
        return [np.concatenate(ids) if len(ids) != 1 else ids[0] for ids in parts]

    def _fast_ids(self, texts: Sequence[str]) -> list[TokenIds]:
        is_short = sum(map(len, texts)) < MIN_COMPILED_CHARACTERS
        return (self._python_tokens if is_short else self._compiled_tokens)(texts)

    @cached_property
    def _python_tokens(self) -> FastTokens:
        assert self._segmentation is not None
        return PythonTokens(self._segmentation, self._tokenizer.get_vocab(), UNKNOWN_ID)

    @cached_property
    def _compiled_tokens(self) -> FastTokens:
        assert self._segmentation is not None
        if self._compile is None:
            return self._python_tokens
        compiled = self._compile(self._tokenizer.get_vocab(), UNKNOWN_ID, self._segmentation.character_kinds)
        return compiled or self._python_tokens

    def _library_ids(self, texts: Sequence[str]) -> list[TokenIds]:
        if not texts:
            return []
        encodings = self._tokenizer.encode_batch_fast(
            [self._clean(text) for text in texts], add_special_tokens=self._add_special_tokens
        )
        return [np.array(encoding.ids, np.int32) for encoding in encodings]

    def count_known(self, ids: TokenIds) -> int:
        """Return the number of ids of known tokens. `WORD_START` by itself is known if the token after it is."""
        is_known = ids != UNKNOWN_ID
        if self._word_start_id is not None:
            is_known[:-1] &= is_known[1:] | (ids[:-1] != self._word_start_id)
        return int(np.count_nonzero(is_known))

    def _known_ids(self, ids: TokenIds) -> TokenIds:
        """Return the ids without unknown words, if these are dropped."""
        return ids[ids != UNKNOWN_ID] if self._drop_unknown else ids

    def _known_fraction(self, ids: TokenIds) -> float:
        """Return the fraction of tokens, before padding, that are in the vocabulary; 0.0 if there are none."""
        token_count, known_count = len(ids), self.count_known(ids)
        if self._segmentation is None:
            known_count -= _count(ids, PADDING_ID)
            added_count = sum(_count(ids, added_id) for added_id in self._added_ids)
            token_count, known_count = token_count - added_count, known_count - added_count
        return known_count / token_count if token_count else 0.0


def _with_marks(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in a text that include the marks of their last characters, and end where the next one starts."""
    limits = [start for start, _ in [*spans, (len(text), 0)]]
    return [
        (start, min(end_of_marks(text, end, limit), max(limit, start))) if end > start else (start, end)
        for (start, end), limit in zip(spans, limits[1:], strict=True)
    ]


def _count(ids: TokenIds, token_id: int) -> int:
    return int(np.count_nonzero(ids == token_id))


def _is_standard(tokenizer: Tokenizer) -> bool:
    """Return whether a tokenizer reads every segment by itself, as those of `train_tokenizer` do."""
    model = tokenizer.model
    has_rule = isinstance(model, models.WordLevel)
    if find_segmentation(tokenizer) is SUBWORDS:
        has_rule = isinstance(model, models.Unigram) or (isinstance(model, models.BPE) and not model.dropout)
    return (
        has_rule
        and tokenizer.post_processor is None
        and tokenizer.truncation is None
        and tokenizer.padding is None
        and not tokenizer.get_added_tokens_decoder()
        and tokenizer.token_to_id(getattr(model, "unk_token", UNKNOWN) or "") == UNKNOWN_ID
    )
