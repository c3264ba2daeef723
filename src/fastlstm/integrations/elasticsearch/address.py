"""The address of an index: its URL, and the credentials of the URL or the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from fastlstm.errors import OptionError, suggest

PRODUCTS = ("elasticsearch", "opensearch")
HTTP_PORT = 9200
HTTPS_PORT = 443


@dataclass(frozen=True)
class Address:
    """A parsed URL.

    Attributes:
        product: One of `PRODUCTS`.
        is_secure: Whether connections use HTTPS.
        host: Name or number of the host.
        port: Port of the host.
        index: An index, an alias, or a pattern.
        parameters: The parameters of the URL.
        user_and_password: Those of the URL or the environment, if there are any.
        api_key: That of the environment, if the URL has no user. It is used before `user_and_password`.
    """

    product: str
    is_secure: bool
    host: str
    port: int
    index: str
    parameters: Mapping[str, str]
    user_and_password: tuple[str, str] | None = field(repr=False)
    api_key: str | None = field(repr=False)

    @property
    def name(self) -> str:
        """The URL without credentials and parameters."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.product}{'+https' if self.is_secure else ''}://{host}:{self.port}/{self.index}"

    @property
    def quoted_index(self) -> str:
        """The index as a part of the path of a request."""
        return quote(self.index, safe=",*")


def parse_url(url: str, known_parameters: Sequence[str]) -> Address:
    """Return the parts of a URL, with credentials. Raise `OptionError` if it is malformed."""
    scheme, _, rest = url.partition(":")
    product, _, security = scheme.lower().partition("+")
    shown = f"{scheme}://{rest.rpartition('@')[2].lstrip('/')}"  # without a password, however malformed the URL is
    try:
        parts = urlsplit(url)
        host, port, index = parts.hostname, parts.port, unquote(parts.path.strip("/"))
        is_valid = (
            product in PRODUCTS and security in ("", "https") and not parts.fragment and "@" not in parts.path
        )
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        is_valid, host, index = False, None, ""
    if not is_valid or not host or not index or "/" in index:
        raise OptionError(
            f"bad URL {shown}; expected elasticsearch://host:9200/index, elasticsearch+https://host/index or the same "
            "with opensearch, with special characters percent-encoded",
            code="bad-database-url",
            url=shown,
        )
    for name in parameters:
        if name not in known_parameters:
            raise OptionError(
                f"unknown URL parameter {name!r}; {suggest(name, known_parameters)}",
                code="unknown-option",
                option=name,
            )
    return Address(
        product=product,
        is_secure=bool(security),
        host=host,
        port=port or (HTTPS_PORT if security else HTTP_PORT),
        index=index,
        parameters=parameters,
        user_and_password=_user_and_password(parts, product),
        api_key=_api_key(parts, product),
    )


def _user_and_password(parts: SplitResult, product: str) -> tuple[str, str] | None:
    if parts.username is not None:
        return unquote(parts.username), unquote(parts.password or "")
    user = os.environ.get(f"{product.upper()}_USERNAME")
    return None if user is None else (user, os.environ.get(f"{product.upper()}_PASSWORD", ""))


def _api_key(parts: SplitResult, product: str) -> str | None:
    """Return the API key, which only Elasticsearch has."""
    if product != "elasticsearch" or parts.username is not None:
        return None
    return os.environ.get("ELASTICSEARCH_API_KEY") or None
