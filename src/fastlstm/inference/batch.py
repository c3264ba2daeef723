"""Texts as callers hand them over, checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fastlstm.errors import DataError


def checked_batch(texts: Iterable[str]) -> list[str]:
    """A batch as a list. Raises `DataError` for what is no batch, and for the first text in it that is none."""
    if isinstance(texts, bytes | bytearray | Mapping) or not isinstance(texts, Iterable):
        raise DataError(f"got {type(texts).__name__}; expected a text or a list of texts (str)")
    batch = list(texts)
    for position, text in enumerate(batch):
        if not isinstance(text, str):
            raise DataError(f"text {position} of the batch is {type(text).__name__}; expected str")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise DataError(
                f"text {position} of the batch is not valid Unicode (half a surrogate pair); expected text"
            ) from None
    return batch
