"""Texts given as arguments: notes about names of files, folders or models, and about texts that a model cannot read."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import click

from fastlstm import pretrained
from fastlstm.cli.options import MODEL_NAME
from fastlstm.cli.output import note
from fastlstm.text.segmentation import CHINESE

MAX_KNOWN_OF_OTHERS = 0.7
"""Texts with at most this fraction of known words are judged to be of another language."""
MIN_WORDS_TO_JUDGE = 4
KANA_AND_HANGUL = re.compile("[\u3040-\u30ff\uac00-\ud7a3]")


def note_names(texts: Iterable[str], command: str, content: str) -> None:
    """Print a note about each text that is the name of a file, folder or bundled model.

    Args:
        texts: The arguments.
        command: The command, such as "fastlstm predict".
        content: What the command reads from standard input: "its lines".
    """
    for text in texts:
        kind = _kind(text)
        if kind is None:
            continue
        name = shlex.quote(text)
        remedy = {
            "file": f"for {content}: {command} - < {name}",
            "model": f"to use the model: {command} --model {name} TEXT",
            "folder": f"for labelled texts in it: fastlstm evaluate {name}",
        }[kind]
        note(f"{text} is the name of a {kind}, used as a text here; {remedy}")


@dataclass(frozen=True)
class ReadingProblem:
    """Why a model cannot read texts.

    Attributes:
        one: What is wrong with one text: "contains no known word".
        many: The same of several texts.
        remedy: What to do; empty if nothing helps.
    """

    one: str
    many: str
    remedy: str = ""

    def note_text(self, subject: str, *, has_label: bool) -> None:
        """Print a note about one text, such as "text 1", and what the problem means for its label."""
        result = "its label is unreliable" if has_label else "it has no label"
        note(f"{subject} {self.one}; {result}{self._ending}")

    def note_count(self, count: int, total: str) -> None:
        """Print a note about several texts: `count` of the `total`, such as "30 lines"."""
        note(f"{count:,} of {total} {self.many}{self._ending}")

    @property
    def _ending(self) -> str:
        return f"; {self.remedy}" if self.remedy else ""


IS_CHINESE = ReadingProblem(
    f"is Chinese, which the model {pretrained.DEFAULT_CLASSIFIER} cannot read",
    "are Chinese",
    f"pass --model {pretrained.CHINESE_CLASSIFIER}",
)
IS_NOT_CHINESE = ReadingProblem(
    f"is not Chinese; the model {pretrained.CHINESE_CLASSIFIER} reads Chinese only", "are not Chinese"
)
UNKNOWN = ReadingProblem("contains no known word", "contain no known word")
BLANK = ReadingProblem("is blank", "are blank")
FEW_KNOWN = ReadingProblem(
    f"contains many unknown words; the model {pretrained.DEFAULT_CLASSIFIER} reads English only",
    "contain many unknown words",
)


def find_problem(text: str, known: float) -> ReadingProblem | None:
    """Return why the model of the command cannot read a text; None if it can.

    Args:
        text: The text, or its beginning.
        known: The fraction of its tokens that the model knows.
    """
    name = click.get_current_context().meta.get(MODEL_NAME)
    reads_english = name in (None, pretrained.DEFAULT_CLASSIFIER)
    if reads_english and _is_mostly_chinese(text):
        return IS_CHINESE
    if name == pretrained.CHINESE_CLASSIFIER and _is_not_chinese(text):
        return IS_NOT_CHINESE
    if not known:
        return UNKNOWN if text.strip() else BLANK
    if reads_english and known <= MAX_KNOWN_OF_OTHERS and len(text.split()) >= MIN_WORDS_TO_JUDGE:
        return FEW_KNOWN
    return None


def _is_mostly_chinese(text: str) -> bool:
    """Return whether more than half of the letters are Chinese characters."""
    if text.isascii():
        return False
    letters = sum(character.isalpha() for character in text)
    return 2 * len(CHINESE.findall(text)) > letters


def _is_not_chinese(text: str) -> bool:
    """Return whether a text has letters, but no Chinese character, or fewer than of Japanese or Korean ones."""
    chinese, others = len(CHINESE.findall(text)), len(KANA_AND_HANGUL.findall(text))
    return others > chinese or (not chinese and any(map(str.isalpha, text)))


def _kind(text: str) -> str | None:
    try:
        path = Path(text)
        if path.is_file():
            return "file"
        if path.is_dir() and text.strip(". ") and text:
            return "model" if (path / "config.json").is_file() else "folder"
        is_name = os.sep not in text and pretrained.bundled_model(text) is not None
    except (OSError, ValueError):  # too long for a path, or with invalid characters
        return None
    return "model" if is_name else None
