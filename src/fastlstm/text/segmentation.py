r"""Segmentation: how a text is split into tokens, in models of today and in earlier ones.

Today's rule, `SEGMENTS`, is written in the normalizer and the pre-tokenizer of tokenizer.json, for Oniguruma, the
regular expression library of `tokenizers`. A token is one of these:
- a letter of a script without spaces between words, such as Chinese, Japanese kana or Thai, with its marks,
- a word or number of any other script,
- one emoji, with all its parts, or one other symbol or punctuation mark.

Models of subwords and characters follow `SUBWORDS` and `CHARACTERS`: their segments are words, symbols, and for
subwords runs of letters of scripts without spaces. A segment consists of one or more tokens. The first token of a word
begins with `WORD_START`; the others do not.

Models of earlier versions follow `RUNS`: words, runs of punctuation and single Chinese characters. Their texts are
cleaned by `clean_text` before tokenizer.json applies.
"""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tokenizers import Tokenizer

WORD_PATTERN = r"\w+|[^\w\s]+"
"""A token of a cleaned text under `RUNS`: a run of letters and digits, or a run of punctuation."""
HTML_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
CHINESE = re.compile("([\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")
"""Chinese characters, and code points that Unicode reserves for them."""

_BREAK = r"(?i)<br[ \t\n\x0b\f\r]*/?>"
_INVISIBLE = r"[\x{00AD}\x{2060}\x{FEFF}\x{FE00}-\x{FE0F}\x{E0100}-\x{E01EF}]"
"""Characters that are removed: soft hyphens, word joiners, byte order marks and variation selectors."""

_CHINESE = r"\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FAFF}\x{20000}-\x{3FFFF}"
_SYLLABIC = (
    r"\p{Hiragana}\p{Katakana}\x{3006}\x{3031}-\x{3035}\x{303C}\x{30FC}\x{FF70}"
    r"\p{Bopomofo}\p{Yi}\p{Nushu}\p{Tangut}\p{Khitan_Small_Script}"
    r"\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
    r"\p{Tai_Le}\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}\p{Ahom}\p{Javanese}\p{Balinese}"
)
"""Scripts without spaces between words, except Han. The characters of the first line belong to kana, but Unicode lists
them as common. Tibetan is not among them: the tsheg separates its syllables."""
_STACKERS = r"\x{1039}\x{17D2}\x{1A60}\x{1B44}\x{A9C0}"
"""Signs that put the next consonant below: of Myanmar, Khmer, Tai Tham, Balinese and Javanese."""
_TRAILING = r"\p{M}\x{0E33}\x{0EB3}\x{FF9E}\x{FF9F}"
"""Marks, and letters that Unicode attaches like marks: am of Thai and Lao, voicing of half-width kana."""
_NOT_A_SYMBOL = r"\s\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\p{Cc}\p{Cf}\x{0F0B}\x{0F0C}"
"""White space, characters of words, control characters, and the tsheg of Tibetan."""


_HAN = rf"[{_CHINESE}[\p{{L}}\p{{Nl}}&&\p{{Han}}]]"
_CLUSTER = rf"[\p{{L}}&&[{_SYLLABIC}]](?:[{_STACKERS}][\p{{L}}&&[{_SYLLABIC}]]|[{_TRAILING}])*"
"""A letter of a script without spaces, with its marks."""
_LETTER = rf"[\p{{L}}\p{{Nl}}&&[^\p{{Han}}{_CHINESE}{_SYLLABIC}]]"
_CHARACTER = rf"(?:[{_LETTER}\p{{M}}\p{{Pc}}[\p{{Nd}}&&[^0-9]]]|[0-9](?!\x{{20E3}}))"
"""A character of a word."""
WORD_START = "\u2581"
"""The first character of a word's first token, where a word may have several, as in SentencePiece."""


def _segment_pattern(*, joins_letters: bool) -> str:
    """Return the pattern of a segment. `joins_letters`: letters of scripts without spaces form runs."""
    unspaced = f"(?:{_HAN}|{_CLUSTER})+" if joins_letters else f"{_HAN}|{_CLUSTER}"
    keycap = r"[0-9#*]\x{20E3}"
    word = rf"{_CHARACTER}+(?:[\x{{200C}}\x{{200D}}]+{_CHARACTER}+)*"
    flag = r"[\x{1F1E6}-\x{1F1FF}]{2}"
    parts = r"[\p{M}\x{1F3FB}-\x{1F3FF}\x{E0020}-\x{E007F}]*"
    symbol = rf"[^{_NOT_A_SYMBOL}]{parts}(?:\x{{200D}}[^\x{{00}}-\x{{7F}}{_CHINESE}{_NOT_A_SYMBOL}]{parts})*"
    return "|".join((keycap, unspaced, word, flag, symbol))


@dataclass(frozen=True)
class Segmentation:
    """How the tokenizers of trained models split texts.

    Attributes:
        name: Its name.
        simple_token: A pattern that finds the same tokens in lower-case texts of simple characters.
        single_characters: Characters besides ASCII that are simple, as ranges of a regular expression: each is a token,
            whatever simple characters are around it, has no other case, and takes three bytes in UTF-8.
        line_break: An HTML line break, which separates tokens.
        normalizer_json: The normalizer of tokenizer.json.
        pre_tokenizer_json: The pre-tokenizer of tokenizer.json.
        splits_segments: Whether a segment, what the pre-tokenizer or its first step finds, may have several tokens.
    """

    name: str
    simple_token: re.Pattern[str]
    line_break: re.Pattern[str]
    normalizer_json: Mapping[str, Any]
    pre_tokenizer_json: Mapping[str, Any]
    splits_segments: bool = False
    single_characters: str = ""

    @cached_property
    def _empty_tokenizer(self) -> Tokenizer:
        """A tokenizer without words. Compiling its expressions takes a millisecond, which predictions do not need."""
        model = {"type": "WordLevel", "vocab": {}, "unk_token": ""}
        content = {"normalizer": self.normalizer_json, "pre_tokenizer": self.pre_tokenizer_json, "model": model}
        return Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], **content}))

    @property
    def normalizer(self) -> Any:
        """The normalizer of `tokenizers`."""
        return self._empty_tokenizer.normalizer

    @property
    def pre_tokenizer(self) -> Any:
        """The pre-tokenizer of `tokenizers`."""
        return self._empty_tokenizer.pre_tokenizer

    @cached_property
    def _segment_tokenizer(self) -> Tokenizer:
        """A tokenizer whose tokens are the segments."""
        model = {"type": "WordLevel", "vocab": {"": 0}, "unk_token": ""}
        first_step = (
            self.pre_tokenizer_json["pretokenizers"][0] if self.splits_segments else self.pre_tokenizer_json
        )
        content = {"normalizer": self.normalizer_json, "pre_tokenizer": first_step, "model": model}
        return Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], **content}))

    def segment_spans(self, text: str) -> list[tuple[int, int]]:
        """Return the start and end of each segment in the text, in characters. Not for `RUNS`."""
        if text.isascii() and "<" not in text:
            return [match.span() for match in self.simple_token.finditer(text)]
        spans: list[tuple[int, int]] = self._segment_tokenizer.encode(text).offsets
        return spans

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of a text in lower case. Under `RUNS`, the text must be cleaned."""
        if self.is_simple(text):
            return self.simple_tokens(text)
        return [token for token, _ in self.pre_tokenizer.pre_tokenize_str(self.normalizer.normalize_str(text))]

    @cached_property
    def _simple_text(self) -> re.Pattern[str]:
        return re.compile(rf"[\x00-\x7f{self.single_characters}]*")

    def is_simple(self, text: str) -> bool:
        """Return whether a text has only characters of ASCII and single characters."""
        return text.isascii() or (bool(self.single_characters) and self._simple_text.fullmatch(text) is not None)

    def simple_tokens(self, text: str) -> list[str]:
        """Return the tokens of a simple text."""
        if "<" in text:
            text = self.line_break.sub(" ", text)
        tokens: list[str] = self.simple_token.findall(text.lower())
        return tokens

    def pieces(self, text: str) -> Iterator[str]:
        """Yield pieces of a text that have the same tokens as the text, one after the other.

        Words of ASCII characters are in pieces of their own. No token reaches across a space or a line break, and no
        character changes another one there. A simple text is one piece.
        """
        if self.is_simple(text):
            yield text
            return
        for line in self.line_break.split(text) if "<" in text else [text]:
            end = 0
            for start, next_start in _other_words(line):
                if start > end:
                    yield line[end:start]
                yield line[start:next_start]
                end = next_start
            if end < len(line):
                yield line[end:]

    @cached_property
    def character_kinds(self) -> bytes:
        """The kind of each first byte of a simple character in UTF-8, as csrc/tokens.h defines kinds.

        This is the same rule for the kernel. 0: it belongs to no token. 1: it is a token. 127: it begins a token of
        three bytes. Otherwise: a run of characters of the same kind is a token. 128 is added for white space that an
        HTML line break may contain.
        """
        kinds = bytearray()
        for character in map(chr, range(128)):
            tokens = len(self.simple_tokens(2 * character))
            is_word = tokens == 1 and self.simple_tokens("a" + character) == [f"a{character.lower()}"]
            is_break_space = self.line_break.fullmatch(f"<br{2 * character}>") is not None
            kinds.append((tokens and (1 if tokens > 1 else 2 if is_word else 3)) + 128 * is_break_space)
        if self.single_characters:
            kinds += bytes(128)
            for first, last in re.findall("(.)(?:-(.))?", self.single_characters):
                for byte in range(first.encode()[0], (last or first).encode()[0] + 1):
                    kinds[byte] = 127
        return bytes(kinds)

    def matches(self, tokenizer: Tokenizer) -> bool:
        """Return whether the tokenizer has this normalizer and pre-tokenizer."""
        components = _state(tokenizer.normalizer), _state(tokenizer.pre_tokenizer)
        return components == (self.normalizer_json, self.pre_tokenizer_json)


def _other_words(line: str) -> list[tuple[int, int]]:
    """Return the spans of the words, between spaces, that are not ASCII. Words that follow each other have one span."""
    spans: list[tuple[int, int]] = []
    for match in _OTHER_CHARACTERS.finditer(line):
        start = line.rfind(" ", 0, match.start()) + 1
        if spans and start == spans[-1][1] + 1:
            start, _ = spans.pop()
        spans.append((start, match.end()))
    return spans


_OTHER_CHARACTERS = re.compile(r"[^\x00-\x7f][^ ]*")
"""The end of a word, from its first character that is not ASCII."""

RUNS = Segmentation(
    "runs", re.compile(WORD_PATTERN, re.ASCII), HTML_BREAK, {"type": "Lowercase"}, {"type": "Whitespace"}
)
_NORMALIZER = {
    "type": "Sequence",
    "normalizers": [
        {"type": "Replace", "pattern": {"Regex": _BREAK}, "content": " "},
        {"type": "Replace", "pattern": {"Regex": _INVISIBLE}, "content": ""},
        {"type": "NFC"},
        {"type": "Lowercase"},
    ],
}


def _find(pattern: str) -> dict[str, Any]:
    """Return the pre-tokenizer that finds a pattern and drops the rest."""
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Removed", "invert": True}


def _split(pattern: str, behavior: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": behavior, "invert": False}


def _marked_words(*, joins_letters: bool) -> list[dict[str, Any]]:
    """Return the pre-tokenizers that find segments and put `WORD_START` before words, but not before others."""
    return [
        _find(_segment_pattern(joins_letters=joins_letters)),
        {"type": "Metaspace", "replacement": WORD_START, "prepend_scheme": "always", "split": False},
        _split(rf"\A{WORD_START}(?!{_CHARACTER})", "Removed"),
    ]


def _character_pattern() -> str:
    """Return the pattern of a character of a word, with its marks and, at the beginning, `WORD_START`."""
    return rf"(?:{WORD_START}{_CHARACTER}|[{_LETTER}\p{{Pc}}\p{{Nd}}])[\p{{M}}\x{{200C}}\x{{200D}}]*"


_ASCII_SEGMENT = r"\w+|[!-/:-@\[-`{-~]"
_SINGLE_CHARACTERS = (
    "\u3400-\u9fff\u2010-\u2027\u3001-\u3003\u3008-\u3011\u3014-\u301f\uff01-\uff0f\uff1a-\uff20\uff5b-\uff5e\uffe5"
)
"""Chinese characters and punctuation."""
SEGMENTS = Segmentation(
    "segments",
    re.compile(f"{_ASCII_SEGMENT}|[{_SINGLE_CHARACTERS}]", re.ASCII),
    re.compile(_BREAK),
    _NORMALIZER,
    _find(_segment_pattern(joins_letters=False)),
    single_characters=_SINGLE_CHARACTERS,
)
SUBWORDS = Segmentation(
    "subwords",
    re.compile(_ASCII_SEGMENT, re.ASCII),
    re.compile(_BREAK),
    _NORMALIZER,
    {"type": "Sequence", "pretokenizers": _marked_words(joins_letters=True)},
    splits_segments=True,
)
CHARACTERS = Segmentation(
    "characters",
    re.compile(_ASCII_SEGMENT, re.ASCII),
    re.compile(_BREAK),
    _NORMALIZER,
    {
        "type": "Sequence",
        "pretokenizers": [
            *_marked_words(joins_letters=False),
            _split(_character_pattern(), "Isolated"),
        ],
    },
    splits_segments=True,
)


def find_segmentation(tokenizer: Tokenizer) -> Segmentation | None:
    """Return the segmentation of a trained model's tokenizer; None for any other tokenizer."""
    return next((rule for rule in (SEGMENTS, RUNS, SUBWORDS, CHARACTERS) if rule.matches(tokenizer)), None)


def cleans_text(tokenizer: Tokenizer) -> bool:
    """Return whether the tokenizer itself converts texts to NFC; other texts are cleaned by `clean_text` first."""
    return '"NFC"' in json.dumps(_state(tokenizer.normalizer))


def clean_text(text: str) -> str:
    """Return the text in Unicode NFC with HTML line breaks as spaces, and spaces around Chinese characters."""
    if "<" in text:
        text = HTML_BREAK.sub(" ", text)
    return text if text.isascii() else CHINESE.sub(r" \1 ", unicodedata.normalize("NFC", text))


def cleaned_spans(text: str) -> list[tuple[int, int]]:
    """Return the part of `text`, from its start to its end, that each character of `clean_text(text)` comes from."""
    spans: list[tuple[int, int]] = []
    start = 0
    for line_break in [*HTML_BREAK.finditer(text), None]:
        end = len(text) if line_break is None else line_break.start()
        while start < end:
            next_start = end_of_marks(text, start + 1, end)
            composed = unicodedata.normalize("NFC", text[start:next_start])
            starts = [*(min(start + offset, next_start) for offset in range(len(composed))), next_start]
            for character, span in zip(composed, itertools.pairwise(starts), strict=True):
                is_chinese = CHINESE.match(character) is not None
                spans += [(span[0], span[0]), span, (span[1], span[1])] if is_chinese else [span]
            start = next_start
        if line_break is not None:
            spans.append(line_break.span())
            start = line_break.end()
    return spans


def end_of_marks(text: str, start: int, end: int) -> int:
    """Return the end of the characters from `start` that may be composed with the one before them."""
    while start < end and (unicodedata.category(text[start])[0] == "M" or _VOWELS.match(text[start])):
        start += 1
    return start


_VOWELS = re.compile("[\u1160-\u11ff\U00016d63-\U00016d6a]")
"""Letters that compose with the letter before them: vowels and final consonants of Hangul, vowels of Kirat Rai."""


def _state(component: Any) -> object:
    """Return the JSON value of a normalizer or a pre-tokenizer."""
    return None if component is None else json.loads(component.__getstate__())
