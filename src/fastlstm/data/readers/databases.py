"""Readers of databases by the scheme of their URL."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable
from typing import Any

from fastlstm.data.validation import Rows
from fastlstm.errors import OptionError

MODULES = {
    "postgresql": "fastlstm.integrations.postgresql",
    "postgres": "fastlstm.integrations.postgresql",
}
"""Scheme -> module with `read_rows` and `url_name`, and as in `scoring.api.DATABASES`, imported when used."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9]*)(\+[A-Za-z0-9]*)?:/")
"""The beginning of a URL. It matches malformed ones too, which are no paths and may contain passwords."""
_OTHER_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


def is_database(path: str | os.PathLike[str]) -> bool:
    """Return whether a path is the URL of a database. Raise `OptionError` for other URLs."""
    text = os.fspath(path)
    if _scheme(path) is not None:
        return True
    if (match := _OTHER_URL.match(text)) and not os.path.exists(text):  # noqa: PTH110 -- may not be a path
        raise OptionError(
            f"texts cannot be read from {match[1]}://; expected a file, a folder or postgresql://host/database?"
            "table=reviews; copy other data to a file",
            code="bad-location",
            location=match[1],
        )
    return False


def database_name(path: str | os.PathLike[str]) -> str:
    """Return the URL of a database without user, password and parameters, for messages."""
    name: str = _module(path).url_name(os.fspath(path))
    return name


def database_reader(path: str | os.PathLike[str]) -> Callable[..., Rows]:
    """Return the function that yields the rows of a database, called with URL, name, options and `labelled`."""
    reader: Callable[..., Rows] = _module(path).read_rows
    return reader


def _module(path: str | os.PathLike[str]) -> Any:
    scheme = _scheme(path)
    assert scheme is not None, "the path is the URL of a database"
    return importlib.import_module(MODULES[scheme])


def _scheme(path: str | os.PathLike[str]) -> str | None:
    match = _URL.match(os.fspath(path))
    return match[1].lower() if match and match[1].lower() in MODULES else None
