"""Requests that are not answered: the status of each, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping


class Refusal(Exception):  # noqa: N818 -- an answer, no error of the server
    """`status` 4xx or 5xx, a kind that programs can tell, a message for people, and further headers."""

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, dict(headers or {})
        self.message = message.encode(errors="replace").decode()  # of a request's words, some may be no Unicode

    def body(self) -> dict[str, str]:
        """As text-embeddings-inference spells errors."""
        return {"error": self.message, "error_type": self.kind}


def overloaded(what: str, seconds: int = 1) -> Refusal:
    """The server has more to do than it may have waiting."""
    return Refusal(429, "overloaded", f"{what}; come again in {seconds} s", {"Retry-After": str(seconds)})
