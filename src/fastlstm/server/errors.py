"""Errors of the HTTP API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastlstm.errors import FastLSTMError

MIN_RETRY_SECONDS = 1


class APIError(FastLSTMError):
    """An error response.

    Attributes:
        status: HTTP status, 4xx or 5xx.
        error_type: Kind of error in the response body, such as "validation" or "overloaded".
        headers: Additional response headers.
    """

    def __init__(
        self,
        status: int,
        error_type: str,
        message: str,
        *,
        code: str,
        headers: Mapping[str, str] | None = None,
        **values: Any,
    ) -> None:
        # The message may quote the request, which may contain invalid Unicode.
        super().__init__(message.encode(errors="replace").decode(), code=code, **values)
        self.status, self.error_type, self.headers = status, error_type, dict(headers or {})

    def body(self) -> dict[str, str]:
        """Return the response body, in the format of text-embeddings-inference, with the code."""
        return {"error": str(self), "error_type": self.error_type, "code": self.code}

    def content(self) -> bytes:
        """Return the response body as JSON."""
        return json.dumps(self.body(), ensure_ascii=False).encode()

    def header_list(self) -> list[tuple[bytes, bytes]]:
        """Return all headers of the response whose body is `content`, as ASGI expects them."""
        headers = {"content-type": "application/json", "content-length": str(len(self.content())), **self.headers}
        return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def overloaded_error(message: str, *, code: str, seconds: int = MIN_RETRY_SECONDS, **values: Any) -> APIError:
    """Return the 429 error of a server that is at one of its limits.

    `seconds` is the estimated time until it accepts requests again; values below `MIN_RETRY_SECONDS` are raised to it.
    """
    retry_after = max(MIN_RETRY_SECONDS, seconds)
    return APIError(
        429,
        "overloaded",
        f"{message}; retry after {retry_after} s",
        code=code,
        headers={"Retry-After": str(retry_after)},
        **values,
    )
