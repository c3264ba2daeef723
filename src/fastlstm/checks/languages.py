"""The scripts texts are written in, and, with the extra `language`, their languages (py3langid)."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from fastlstm.checks.corpus import Corpus, Example

READ = 300
"""Characters of a text that tell its language."""
SURE = 0.7
"""Below this probability the language of a text is not told: it is too short, or mixed, or a list of names."""
UNSURE = "unsure"
NO_LETTERS = "no letters"
_NAMES = {"CJK": "Han", "FULLWIDTH": "Latin"}
"""What the first word of a letter's Unicode name stands for, where it is not the script itself."""

Tell = Callable[[str], str]
"""A text's language, or `UNSURE`."""


@dataclass(frozen=True)
class Languages:
    """How many texts are in which script and language, the most frequent first.

    scripts: by the script that most letters of a text are in.
    languages: ISO 639 codes, and "unsure"; None without py3langid.
    others: examples of texts in another language than most are, or without py3langid in another script.
    """

    scripts: dict[str, int]
    languages: dict[str, int] | None
    others: tuple[Example, ...]


def find_languages(pool: Corpus, most: int) -> Languages:
    """Looks at every text; `most` limits the examples."""
    tell = identifier()
    scripts = [script_of(text) for text in pool.texts]
    languages = None if tell is None else [tell(text) for text in pool.texts]
    told = scripts if languages is None else languages
    usual = next((name for name, _ in Counter(told).most_common() if name not in (UNSURE, NO_LETTERS)), UNSURE)
    others = [index for index, name in enumerate(told) if name not in (usual, UNSURE, NO_LETTERS)]
    return Languages(
        scripts=dict(Counter(scripts).most_common()),
        languages=None if languages is None else dict(Counter(languages).most_common()),
        others=tuple(pool.example(index) for index in others[:most]),
    )


def script_of(text: str) -> str:
    """The script of most of a text's letters, as "Latin" or "Han", or "no letters"."""
    if text.isascii():  # most texts, at a glance
        return "Latin" if any(map(str.isalpha, text)) else NO_LETTERS
    scripts: Counter[str] = Counter()
    for character, times in Counter(text).items():
        if character.isalpha():
            scripts[_script(character)] += times
    return scripts.most_common(1)[0][0] if scripts else NO_LETTERS


def identifier() -> Tell | None:
    """What tells the language of a text, or None where py3langid is not installed."""
    try:
        from py3langid import langid
    except ImportError:
        return None
    classify = _model(langid).classify

    def tell(text: str) -> str:
        language, probability = classify(text[:READ])
        return str(language) if probability >= SURE else UNSURE

    return tell


@cache
def _model(langid: Any) -> Any:
    """The library's model with probabilities, which takes a while to load."""
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)


@cache
def _script(letter: str) -> str:
    """By the letter's name: Python has no table of scripts."""
    word = unicodedata.name(letter, "UNKNOWN").split()[0]
    return _NAMES.get(word, word.capitalize())
