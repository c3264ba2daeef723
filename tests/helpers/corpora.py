"""Small corpora for tests of dataset checks."""

from __future__ import annotations

from fastlstm.checks.corpus import Corpus, make_corpus
from fastlstm.data import Dataset

Rows = list[tuple[str, str]]
"""Texts and their labels."""


def corpus_from_rows(**parts: Rows) -> Corpus:
    """Return a corpus of named parts, training first."""
    return make_corpus({
        name: Dataset([text for text, _ in rows], [label for _, label in rows]) for name, rows in parts.items()
    })  # fmt: skip
