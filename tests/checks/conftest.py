from __future__ import annotations

from collections.abc import Callable

import pytest

from fastlstm.checks.corpus import Corpus, make_corpus
from fastlstm.data import Dataset

Rows = list[tuple[str, str]]
MakePool = Callable[..., Corpus]


@pytest.fixture(scope="session")
def make_pool() -> MakePool:
    """Parts by keyword, each of (text, label); training first."""

    def make(**parts: Rows) -> Corpus:
        return make_corpus(
            {name: Dataset([t for t, _ in rows], [c for _, c in rows]) for name, rows in parts.items()}
        )

    return make
