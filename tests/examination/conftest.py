from __future__ import annotations

from collections.abc import Callable

import pytest

from fastlstm.examination.pool import Pool, pool
from fastlstm.records import Records

Rows = list[tuple[str, str]]
MakePool = Callable[..., Pool]


@pytest.fixture(scope="session")
def make_pool() -> MakePool:
    """Parts by keyword, each of (text, label); training first."""

    def make(**parts: Rows) -> Pool:
        return pool({name: Records([t for t, _ in rows], [c for _, c in rows]) for name, rows in parts.items()})

    return make
