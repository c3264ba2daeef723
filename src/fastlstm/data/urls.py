"""URLs in messages: without user names and passwords."""

from __future__ import annotations

import re

_URL = re.compile(r"(.*?[A-Za-z][A-Za-z0-9+.-]+:/{1,2})(.*)", re.DOTALL)
_PASSWORD = re.compile(r"((?:ssl)?password=)[^&\s]*")


def without_credentials(text: str) -> str:
    """Return a URL, or a word that contains one, without its user name and password.

    The password may contain "/" and "@". A parameter `password` becomes empty.
    """
    match = _URL.match(text)
    if match is None:
        return text
    credentials, at, host = match[2].rpartition("@")
    first = credentials.partition("/")[0]
    rest = host if at and (first == credentials or ":" in first) else match[2]
    return match[1] + _PASSWORD.sub(r"\1", rest)
