"""URLs in messages."""

from __future__ import annotations

import pytest

from fastlstm.data.urls import without_credentials


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://bucket/a@b/c", "s3://bucket/a@b/c"),
        ("s3://key:sec/r@t@bucket/x", "s3://bucket/x"),
        ("postgresql://user@host/db", "postgresql://host/db"),
        ("data/a@b.csv", "data/a@b.csv"),
        ("(postgresql:/user:p/w@host/db)", "(postgresql:/host/db)"),
        ("postgresql://host/db?password=pw&table=t", "postgresql://host/db?password=&table=t"),
    ],
)
def test_credentials_are_removed(uri: str, shown: str) -> None:
    assert without_credentials(uri) == shown
