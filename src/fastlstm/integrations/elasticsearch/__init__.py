"""Elasticsearch and OpenSearch: an index as a source and as a sink of `score`.

A URL is elasticsearch://host:9200/index, elasticsearch+https://host/index, or the same with opensearch. User and
password are those of the URL, or of the environment variables ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME and
ELASTICSEARCH_PASSWORD; OPENSEARCH_USERNAME and OPENSEARCH_PASSWORD.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastlstm.errors import MissingDependencyError
from fastlstm.integrations.elasticsearch.address import Address, parse_url
from fastlstm.integrations.elasticsearch.sink import SearchSink
from fastlstm.integrations.elasticsearch.source import SearchSource

__all__ = ["SearchSink", "SearchSource", "open_sink", "open_source"]


def open_source(
    url: str,
    *,
    text_columns: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    key: str | Sequence[str] = (),
) -> SearchSource:
    """Return the documents of an index as a source of `score`. Arguments and errors as `SearchSource`.

    The parameters of the URL are `query`, in JSON; `page_size`; `keep_alive` of the point in time, such as 5m; and
    `ca_certs`, a file with the certificates of authorities.
    """
    address = _parse(url, ("query", "page_size", "keep_alive", "ca_certs"))
    return SearchSource(address, text_columns, columns, _names(key))


def open_sink(url: str, *, key: str | Sequence[str] = (), overwrite: bool = False) -> SearchSink:
    """Return an index as a sink of `score`. Arguments and errors as `SearchSink`.

    The only parameter of the URL is `ca_certs`, a file with the certificates of authorities.
    """
    return SearchSink(_parse(url, ("ca_certs",)), _names(key), overwrite=overwrite)


def _parse(url: str, known_parameters: Sequence[str]) -> Address:
    """Return the parts of a URL. Raise `OptionError` if it is malformed, `MissingDependencyError` without pyarrow."""
    address = parse_url(url, known_parameters)
    try:
        import pyarrow  # noqa: F401 -- is it installed?
    except ImportError:
        raise MissingDependencyError("score", "pyarrow", address.product) from None
    return address


def _names(key: str | Sequence[str]) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else tuple(key)
