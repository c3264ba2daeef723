"""The texts of a request, checked against the limits."""

from __future__ import annotations

from collections.abc import Sequence

from fastlstm.errors import DataError
from fastlstm.inference.batch import checked_batch
from fastlstm.server.refusals import Refusal
from fastlstm.server.settings import Settings


def checked(texts: Sequence[str], settings: Settings) -> list[str]:
    """The texts. Raises `Refusal` for none, for too many, for one that is too long or no valid Unicode."""
    if not texts:
        raise Refusal(422, "validation", "the batch is empty; expected one or more texts")
    if len(texts) > settings.max_texts:
        raise Refusal(
            413,
            "validation",
            f"{len(texts)} texts came; at most {settings.max_texts} are taken: send them in parts",
        )
    for position, text in enumerate(texts):
        if len(text) > settings.max_characters:
            raise Refusal(
                413,
                "validation",
                f"text {position} has {len(text)} characters; at most {settings.max_characters} are taken",
            )
    try:
        return checked_batch(texts)
    except DataError as error:
        raise Refusal(422, "validation", str(error)) from None
