"""A client of a server application in the same process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from fastlstm.server.errors import APIError


class ServerClient(TestClient):
    """A test client that records the codes of the API errors that routes raise, which responses do not contain."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(app, raise_server_exceptions=False)
        self.codes: list[str] = []
        handler: Any = app.exception_handlers[APIError]

        async def record(request: Any, error: Any) -> Any:
            self.codes.append(error.code)
            return await handler(request, error)

        app.add_exception_handler(APIError, record)


Serve = Callable[..., ServerClient]
"""The fixture `serve`."""
