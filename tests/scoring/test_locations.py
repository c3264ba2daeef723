"""Locations inside others."""

from __future__ import annotations

import pytest
from pyarrow import fs

from fastlstm.scoring.locations import Location

STORES = [fs.S3FileSystem(endpoint_override=f"{name}.example:9000", anonymous=True, region="x") for name in "ab"]


@pytest.mark.parametrize(
    ("stores", "paths", "expected"),
    [
        ((0, 0), ("lake/reviews", "lake/reviews"), True),
        ((0, 0), ("lake/reviews/", "lake/reviews/2024"), True),
        ((0, 0), ("lake/reviews", "lake/reviews2"), False),
        ((0, 0), ("lake/reviews/2024", "lake/reviews"), False),
        ((0, 1), ("lake/reviews", "lake/reviews"), False),
    ],
)
def test_locations_contain_others_of_the_same_store(
    stores: tuple[int, int], paths: tuple[str, str], expected: bool
) -> None:
    folder, other = (
        Location(STORES[store], path, path, is_local=False) for store, path in zip(stores, paths, strict=True)
    )
    assert folder.contains(other) == expected
