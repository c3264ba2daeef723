"""Requests to a cluster through the official clients, with retries."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fastlstm.data.validation import excerpt
from fastlstm.errors import FastLSTMError, MissingDependencyError
from fastlstm.integrations.elasticsearch.address import Address

BULK_DOCUMENTS = 500
"""Documents per bulk request."""
BULK_BYTES = 10_000_000
"""Bytes per bulk request."""
TIMEOUT_SECONDS = 60.0
RETRIES = 6
FIRST_WAIT_SECONDS = 1.0
"""Seconds before the first retry. Each further one waits twice as long: 63 s in total."""
RETRIED_STATUSES = (429, 502, 503, 504)
ALL_DOCUMENTS: Mapping[str, Any] = {"match_all": {}}
"""The query for all documents."""


class Cluster:
    """A cluster. Requests are repeated while it is busy, or when the connection is lost.

    A connection that fails before the first response is not repeated: the address is probably wrong.

    Args:
        address: The address of an index.
        error_class: The class of the errors that failed requests raise: `DataError` for a source, `WriteError` for a
            sink.
        has_answered: Whether the address is known to be right.

    Raises:
        MissingDependencyError: The client is not installed.
    """

    def __init__(self, address: Address, error_class: type[FastLSTMError], *, has_answered: bool = False) -> None:
        self._address, self._error_class = address, error_class
        self._is_elasticsearch = address.product == "elasticsearch"
        connect = _connect_elasticsearch if self._is_elasticsearch else _connect_opensearch
        self._client, self._client_errors, self._streaming_bulk = connect(address)
        self._has_answered = has_answered

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        allowed: Sequence[int] = (),
        retries: int = RETRIES,
        **parameters: str,
    ) -> Any:
        """Return the JSON of the response, or None if the server answers with one of the statuses `allowed`."""
        retry = 0
        while True:
            try:
                response = self._send(method, path, body, parameters)
            except self._client_errors as error:
                status = _status(error)
                if status is not None:
                    self._has_answered = True
                if status in allowed:
                    return None
                may_recover = self._has_answered if status is None else status in RETRIED_STATUSES
                if not may_recover or retry == retries:
                    raise self._error(status, _reason(error)) from error
            else:
                self._has_answered = True
                return response
            time.sleep(FIRST_WAIT_SECONDS * 2**retry)
            retry += 1

    def _send(self, method: str, path: str, body: object, parameters: Mapping[str, str]) -> Any:
        if not self._is_elasticsearch:
            return self._client.transport.perform_request(method, path, params=parameters, body=body)
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        return self._client.perform_request(method, path, params=parameters, headers=headers, body=body).body

    def bulk(self, actions: Sequence[Mapping[str, Any]]) -> list[tuple[int, str]]:
        """Write documents. Return the position in `actions`, and the reason, of each document that is rejected."""
        rejected = []
        pending = list(range(len(actions)))
        retry = 0
        while True:
            repeated = []
            results = self._bulk_results([actions[position] for position in pending])
            for position, (is_written, item) in zip(pending, results, strict=True):
                if is_written:
                    continue
                status = item["status"] if isinstance(item["status"], int) else None
                reason = _reason(item.get("exception", item))
                if status is None or status in RETRIED_STATUSES:
                    repeated.append(position)
                    last_error = self._error(status, reason)
                elif status == 400 and "exception" not in item:
                    rejected.append((position, reason))
                else:
                    raise self._error(status, reason)
            if not repeated:
                return sorted(rejected)
            if retry == RETRIES:
                raise last_error
            time.sleep(FIRST_WAIT_SECONDS * 2**retry)
            pending = repeated
            retry += 1

    def _bulk_results(self, actions: Sequence[Mapping[str, Any]]) -> Iterator[tuple[bool, Mapping[str, Any]]]:
        """Yield whether each document is written, and its item of the response.

        An item has a `status`, which is no number if the connection failed, and an `exception` if the whole request
        failed.
        """
        results = self._streaming_bulk(
            self._client,
            actions,
            chunk_size=BULK_DOCUMENTS,
            max_chunk_bytes=BULK_BYTES,
            raise_on_error=False,
            raise_on_exception=False,
        )
        answered = 0
        unanswered: Mapping[str, Any] = {"status": None, "error": "no response for this document"}
        try:
            for is_written, result in results:
                answered += 1
                yield is_written, next(iter(result.values()))
        except self._client_errors as error:  # the connection failed
            unanswered = {"status": None, "exception": error}
        for _ in actions[answered:]:
            yield False, unanswered

    def open_point_in_time(self, keep_alive: str) -> str:
        """Return the id of a new point in time of the index."""
        index = self._address.quoted_index
        if self._is_elasticsearch:
            return str(self.request("POST", f"/{index}/_pit", keep_alive=keep_alive)["id"])
        return str(self.request("POST", f"/{index}/_search/point_in_time", keep_alive=keep_alive)["pit_id"])

    def close_point_in_time(self, point_in_time: str) -> None:
        """Free the resources of a point in time. If the server is busy or unreachable, it expires by itself."""
        with contextlib.suppress(FastLSTMError):
            if self._is_elasticsearch:
                self.request("DELETE", "/_pit", {"id": point_in_time}, retries=0)
            else:
                self.request("DELETE", "/_search/point_in_time", {"pit_id": [point_in_time]}, retries=0)

    def sort_order(self, key: Sequence[str]) -> list[Mapping[str, str]]:
        """Return the sort order of all documents, which is total and stays the same while they do not change.

        Elasticsearch does not sort by `_id` by default, OpenSearch before version 3.3 not by `_shard_doc`.
        """
        default, ties = (["_seq_no"], ["_shard_doc"]) if self._is_elasticsearch else ([], ["_id", "_index"])
        fields = [*(key or default), *ties]
        return [{field: "asc"} for field in fields]

    def renewed_sort_values(self, values: Sequence[Any]) -> list[Any]:
        """Return the sort values of a document for `search_after` with another point in time.

        The last one of Elasticsearch, `_shard_doc`, is the number of the shard, and in the lower 32 bits that of the
        document, which differs between points in time.
        """
        return [*values[:-1], values[-1] | 0xFFFFFFFF] if self._is_elasticsearch else list(values)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _error(self, status: int | None, reason: str) -> FastLSTMError:
        if status is None:
            code, advice = "cannot-connect", "check the host, the port and whether it needs https"
        elif status < 300:
            code, advice = "wrong-product", "for OpenSearch, pass opensearch:// instead of elasticsearch://"
        elif status in (401, 403):
            code, advice = "access-denied", "check the credentials and their privileges"
        elif status in RETRIED_STATUSES:
            code, advice = "server-busy", "resume when the cluster has recovered"
        else:
            code, advice = "request-failed", "correct the cause and resume"
        name = self._address.name
        shown = "no response" if status is None else f"status {status}"
        return self._error_class(
            f"{name}: {shown} ({excerpt(reason)}); {advice}", code=code, name=name, status=status
        )


_Client = tuple[Any, tuple[type[Exception], ...], Any]
"""A client, the exceptions of its package, and the function `streaming_bulk` of its helpers."""


def _connect_elasticsearch(address: Address) -> _Client:
    try:
        import elasticsearch
        from elasticsearch.helpers import streaming_bulk
    except ImportError:
        raise MissingDependencyError("Elasticsearch", "elasticsearch", "elasticsearch") from None
    options: dict[str, Any] = _certificates(address)
    if address.api_key is not None:
        options["api_key"] = address.api_key
    elif address.user_and_password is not None:
        options["basic_auth"] = address.user_and_password
    scheme = "https" if address.is_secure else "http"
    host: Mapping[str, str | int] = {"host": address.host, "port": address.port, "scheme": scheme}
    client = elasticsearch.Elasticsearch([host], request_timeout=TIMEOUT_SECONDS, max_retries=0, **options)
    return client, (elasticsearch.ApiError, elasticsearch.TransportError), streaming_bulk


def _connect_opensearch(address: Address) -> _Client:
    try:
        import opensearchpy
        from opensearchpy.helpers import streaming_bulk
    except ImportError:
        raise MissingDependencyError("OpenSearch", "opensearch-py", "opensearch") from None
    options: dict[str, Any] = _certificates(address)
    if address.user_and_password is not None:
        options["http_auth"] = address.user_and_password
    host = {"host": address.host, "port": address.port}
    client = opensearchpy.OpenSearch(
        [host], use_ssl=address.is_secure, timeout=TIMEOUT_SECONDS, max_retries=0, **options
    )
    return client, (opensearchpy.OpenSearchException,), streaming_bulk


def _certificates(address: Address) -> dict[str, str]:
    return {name: value for name, value in address.parameters.items() if name == "ca_certs"}


def _status(error: Exception) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _reason(error: Any) -> str:
    """Return the cause in the words of the server: of an exception of a client, or of an item of a bulk response."""
    body = error if isinstance(error, Mapping) else getattr(error, "body", None) or getattr(error, "info", None)
    cause = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(cause, Mapping):
        return str(cause or error)
    deeper = cause.get("caused_by")
    reason = f"{cause.get('type')}: {cause.get('reason')}"
    return f"{reason}: {deeper.get('reason')}" if isinstance(deeper, Mapping) else reason
