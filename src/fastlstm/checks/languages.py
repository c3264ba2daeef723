"""The script of each text and, with the extra `language`, its language (py3langid)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastlstm.checks.corpus import Corpus, Example

MAX_CHARACTERS = 300
"""Characters of a text that determine its language."""
MIN_PROBABILITY = 0.7
"""Below this probability the language is unsure: the text is too short, mixed, or a list of names."""
UNSURE = "unsure"
NO_LETTERS = "no letters"
_SCRIPTS = {"CJK": "Han", "FULLWIDTH": "Latin"}
"""First word of a letter's Unicode name -> script, where they differ."""

DetectLanguage = Callable[[str], str]
"""Text -> ISO 639 code of its language, or `UNSURE`."""


@dataclass(frozen=True)
class Languages:
    """The number of texts by script and by language, most frequent first.

    Attributes:
        scripts: Script of most letters of a text, or "no letters" -> texts.
        languages: ISO 639 code, or "unsure" -> texts. None without py3langid.
        minority_examples: Examples of texts in another language (without py3langid: script) than most texts.
    """

    scripts: dict[str, int]
    languages: dict[str, int] | None
    minority_examples: tuple[Example, ...]


def find_languages(corpus: Corpus, max_examples: int) -> Languages:
    """Detect the script and language of every text; `max_examples` limits the examples."""
    detect_language = load_detector()
    scripts = [text_script(text) for text in corpus.texts]
    languages = None if detect_language is None else [detect_language(text) for text in corpus.texts]
    names = scripts if languages is None else languages
    undetermined = (UNSURE, NO_LETTERS)
    main = next((name for name, _ in Counter(names).most_common() if name not in undetermined), UNSURE)
    minority = [index for index, name in enumerate(names) if name not in (main, *undetermined)]
    return Languages(
        scripts=dict(Counter(scripts).most_common()),
        languages=None if languages is None else dict(Counter(languages).most_common()),
        minority_examples=tuple(corpus.example(index) for index in minority[:max_examples]),
    )


def text_script(text: str) -> str:
    """Return the script of most letters of a text, such as "Latin" or "Han", or "no letters"."""
    if text.isascii():  # fast path for most texts
        return "Latin" if any(map(str.isalpha, text)) else NO_LETTERS
    scripts: Counter[str] = Counter()
    for character, times in Counter(text).items():
        if character.isalpha():
            scripts[_letter_script(character)] += times
    return scripts.most_common(1)[0][0] if scripts else NO_LETTERS


def load_detector() -> DetectLanguage | None:
    """Return a function that detects the language of a text, or None without py3langid."""
    try:
        from py3langid import langid
    except ImportError:
        return None
    classify = _identifier(langid).classify

    def detect(text: str) -> str:
        language, probability = classify(text[:MAX_CHARACTERS])
        return str(language) if probability >= MIN_PROBABILITY else UNSURE

    return detect


@cache
def _identifier(langid: Any) -> Any:
    """Return py3langid's model with probabilities. Loading is slow."""
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)


@cache
def _letter_script(letter: str) -> str:
    """Return the script of a letter, derived from its Unicode name, since Python has no table of scripts."""
    word = unicodedata.name(letter, "UNKNOWN").split()[0]
    return _SCRIPTS.get(word, word.capitalize())
