"""The texts of a request, checked against the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fastlstm.errors import DataError
from fastlstm.inference.classifier import validate_texts
from fastlstm.server.settings import Settings


class APIError(Exception):
    """`status` 4xx or 5xx, a kind that programs can tell, a message for people, and further headers."""

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, dict(headers or {})
        self.message = message.encode(errors="replace").decode()  # of a request's words, some may be no Unicode

    def body(self) -> dict[str, str]:
        """As text-embeddings-inference spells errors."""
        return {"error": self.message, "error_type": self.kind}


def overloaded_error(what: str, seconds: int = 1) -> APIError:
    """The server has more to do than it may have waiting."""
    return APIError(429, "overloaded", f"{what}; come again in {seconds} s", {"Retry-After": str(seconds)})


def check_texts(texts: Sequence[str], settings: Settings) -> list[str]:
    """The texts. Raises `APIError` for none, for too many, for one that is too long or no valid Unicode."""
    if not texts:
        raise APIError(422, "validation", "the batch is empty; expected one or more texts")
    if len(texts) > settings.max_texts:
        raise APIError(
            413,
            "validation",
            f"{len(texts)} texts came; at most {settings.max_texts} are taken: send them in parts",
        )
    for position, text in enumerate(texts):
        if len(text) > settings.max_characters:
            raise APIError(
                413,
                "validation",
                f"text {position} has {len(text)} characters; at most {settings.max_characters} are taken",
            )
    try:
        return validate_texts(texts)
    except DataError as error:
        raise APIError(422, "validation", str(error)) from None
