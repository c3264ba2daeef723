"""Elasticsearch and OpenSearch: an index as a source and as a sink of `score`."""

from __future__ import annotations

import base64
import contextlib
import datetime
import decimal
import json
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from fastlstm.data.options import BadRow
from fastlstm.data.validation import excerpt
from fastlstm.errors import (
    DataError,
    FastLSTMError,
    MissingDependencyError,
    OptionError,
    ResumeError,
    WriteError,
    suggest,
)
from fastlstm.scoring.interfaces import Checkpoint, Chunk, Position

if TYPE_CHECKING:
    import pyarrow

ID_COLUMN = "_id"
"""The column of the ids of documents."""
LABEL_COLUMN = "predicted_label"
"""The column that becomes a keyword field, because its values are labels."""
CHECKPOINT_INDEX = "fastlstm-checkpoints"
"""The index that holds the checkpoint of each index, as a document whose id is the name of that index."""
DEFAULT_PAGE_SIZE = 1000
MAX_PAGE_SIZE = 10_000
"""The servers' default limit of hits per page, `index.max_result_window`."""
DEFAULT_KEEP_ALIVE = "5m"
"""How long the server keeps a point in time after each page."""
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


@dataclass(frozen=True)
class _Address:
    """The parts of a URL. `name` is the URL without credentials and parameters."""

    product: str
    secure: bool
    host: str
    port: int
    index: str
    credentials: tuple[str, str] | None
    parameters: Mapping[str, str]

    @property
    def name(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.product}{'+https' if self.secure else ''}://{host}:{self.port}/{self.index}"


def _parse_url(url: str, known_parameters: Sequence[str]) -> _Address:
    scheme, _, rest = url.partition("://")
    product, _, security = scheme.partition("+")
    shown = f"{scheme}://{rest.rpartition('@')[2]}"  # without a password, whatever the URL looks like
    try:
        parts = urlsplit(url)
        host, port, index = parts.hostname, parts.port, unquote(parts.path.strip("/"))
        valid = product in ("elasticsearch", "opensearch") and security in ("", "https") and not parts.fragment
        parameters = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        valid, host, index = False, None, ""
    if not valid or not host or not index or "/" in index:
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
    credentials = None
    if parts.username is not None:
        credentials = unquote(parts.username), unquote(parts.password or "")
    default_port = 443 if security else 9200
    return _Address(product, bool(security), host, port or default_port, index, credentials, parameters)


Client = tuple[Any, tuple[type[Exception], ...], Any]
"""A client, the exceptions of its package, and the function `streaming_bulk` of its helpers."""


def _connect_elasticsearch(address: _Address) -> Client:
    try:
        import elasticsearch
        from elasticsearch.helpers import streaming_bulk
    except ImportError:
        raise MissingDependencyError("Elasticsearch", "elasticsearch", "elasticsearch") from None
    options = _client_options(address)
    credentials, api_key = _credentials(address), os.environ.get("ELASTICSEARCH_API_KEY")
    if api_key and address.credentials is None:
        options["api_key"] = api_key
    elif credentials is not None:
        options["basic_auth"] = credentials
    scheme = "https" if address.secure else "http"
    host: Mapping[str, str | int] = {"host": address.host, "port": address.port, "scheme": scheme}
    client = elasticsearch.Elasticsearch([host], request_timeout=TIMEOUT_SECONDS, **options)
    return client, (elasticsearch.ApiError, elasticsearch.TransportError), streaming_bulk


def _connect_opensearch(address: _Address) -> Client:
    try:
        import opensearchpy
        from opensearchpy.helpers import streaming_bulk
    except ImportError:
        raise MissingDependencyError("OpenSearch", "opensearch-py", "opensearch") from None
    options = _client_options(address)
    credentials = _credentials(address)
    if credentials is not None:
        options["http_auth"] = credentials
    host = {"host": address.host, "port": address.port}
    client = opensearchpy.OpenSearch([host], use_ssl=address.secure, timeout=TIMEOUT_SECONDS, **options)
    return client, (opensearchpy.OpenSearchException,), streaming_bulk


def _client_options(address: _Address) -> dict[str, Any]:
    options: dict[str, Any] = {"max_retries": 0}
    if "ca_certs" in address.parameters:
        options["ca_certs"] = address.parameters["ca_certs"]
    return options


def _credentials(address: _Address) -> tuple[str, str] | None:
    prefix = address.product.upper()
    if address.credentials is None and f"{prefix}_USERNAME" in os.environ:
        return os.environ[f"{prefix}_USERNAME"], os.environ.get(f"{prefix}_PASSWORD", "")
    return address.credentials


class _Cluster:
    """Requests to a cluster through the official client, repeated while the cluster is busy, or when it is lost.

    A connection that fails before the first response is not repeated: the address is probably wrong. Failures are
    raised as `failure`: `DataError` for a source, `WriteError` for a sink.
    """

    def __init__(self, address: _Address, failure: type[FastLSTMError]) -> None:
        self.name, self._failure = address.name, failure
        self._is_elasticsearch = address.product == "elasticsearch"
        connect = _connect_elasticsearch if self._is_elasticsearch else _connect_opensearch
        self._client, self._errors, self._streaming_bulk = connect(address)
        self._has_answered = False

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
        for retry in range(retries + 1):
            try:
                response = self._perform(method, path, body, parameters)
            except self._errors as error:
                status = _status(error)
                self._has_answered |= status is not None
                if status in allowed:
                    return None
                may_recover = status in RETRIED_STATUSES if status is not None else self._has_answered
                if retry == retries or not may_recover:
                    raise self._failed(status, _reason(error)) from error
                time.sleep(FIRST_WAIT_SECONDS * 2**retry)
            else:
                self._has_answered = True
                return response
        raise AssertionError("unreachable")

    def _perform(self, method: str, path: str, body: object, parameters: Mapping[str, str]) -> Any:
        if not self._is_elasticsearch:
            return self._client.transport.perform_request(method, path, params=parameters, body=body)
        headers = {"accept": "application/json"}
        if body is not None:
            headers["content-type"] = "application/json"
        return self._client.perform_request(method, path, params=parameters, headers=headers, body=body).body

    def bulk(self, actions: Sequence[dict[str, Any]]) -> list[tuple[int, str]]:
        """Write documents. Return the position in `actions`, and the reason, of each document that is rejected."""
        rejected = []
        pending = list(range(len(actions)))
        for retry in range(RETRIES + 1):
            repeated = []
            answered = 0
            status, reason = None, ""
            results = self._streaming_bulk(
                self._client,
                (actions[position] for position in pending),
                chunk_size=BULK_DOCUMENTS,
                max_chunk_bytes=BULK_BYTES,
                raise_on_error=False,
                raise_on_exception=False,
            )
            try:
                for position, (ok, result) in zip(pending, results, strict=False):
                    answered += 1
                    if ok:
                        continue
                    item = next(iter(result.values()))
                    item_status = item["status"] if isinstance(item["status"], int) else None
                    item_reason = _reason(item.get("exception", item))
                    if item_status is None or item_status in RETRIED_STATUSES:
                        repeated.append(position)
                        status, reason = item_status, item_reason
                    elif item_status == 400 and "exception" not in item:
                        rejected.append((position, item_reason))
                    else:
                        raise self._failed(item_status, item_reason)
            except self._errors as error:  # the connection failed
                status, reason = None, _reason(error)
            pending = repeated + pending[answered:]
            if not pending:
                return sorted(rejected)
            if retry == RETRIES:
                raise self._failed(status, reason)
            time.sleep(FIRST_WAIT_SECONDS * 2**retry)
        raise AssertionError("unreachable")

    def open_point_in_time(self, index: str, keep_alive: str) -> str:
        """Return the id of a new point in time."""
        if self._is_elasticsearch:
            result = self.request("POST", f"/{_quoted(index)}/_pit", keep_alive=keep_alive)
            return str(result["id"])
        result = self.request("POST", f"/{_quoted(index)}/_search/point_in_time", keep_alive=keep_alive)
        return str(result["pit_id"])

    def close_point_in_time(self, point_in_time: str) -> None:
        """Free the resources of a point in time. If the server is busy or unreachable, it expires by itself."""
        path = "/_search/point_in_time"
        body: Mapping[str, object] = {"pit_id": [point_in_time]}
        if self._is_elasticsearch:
            path, body = "/_pit", {"id": point_in_time}
        with contextlib.suppress(FastLSTMError):
            self.request("DELETE", path, body, retries=0)

    def order(self, key: Sequence[str]) -> list[Mapping[str, str]]:
        """Return the sort order of all documents, which is total and stays the same while they do not change.

        Elasticsearch does not sort by `_id` by default, OpenSearch before version 3.3 not by `_shard_doc`.
        """
        ties = ("_shard_doc",) if self._is_elasticsearch else (ID_COLUMN, "_index")
        by_default = ("_seq_no",) if self._is_elasticsearch else ()
        return [{field: "asc"} for field in (*(key or by_default), *ties)]

    def renewed(self, after: Sequence[Any]) -> list[Any]:
        """Return the sort values after a document for use with another point in time.

        `_shard_doc` is the number of the shard, and in the lower 32 bits that of the document, which changes.
        """
        return [*after[:-1], after[-1] | 0xFFFFFFFF] if self._is_elasticsearch else list(after)

    def close(self) -> None:
        self._client.close()

    def _failed(self, status: int | None, reason: str) -> FastLSTMError:
        if status is None:
            code, problem = "cannot-connect", "check the host, the port and whether it needs https"
        elif status < 300:
            code, problem = "wrong-product", "for OpenSearch, pass opensearch:// instead of elasticsearch://"
        elif status in (401, 403):
            code, problem = "access-denied", "check the credentials and their privileges"
        elif status in RETRIED_STATUSES:
            code, problem = "server-busy", "resume when the cluster has recovered"
        else:
            code, problem = "request-failed", "correct the cause and resume"
        shown = "no response" if status is None else f"status {status}"
        return self._failure(
            f"{self.name}: {shown} ({excerpt(reason)}); {problem}", code=code, name=self.name, status=status
        )


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


def _quoted(name: str) -> str:
    return quote(name, safe=",*")


def _flat_fields(properties: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the path and the mapping of each field that contains values."""
    for name, field in properties.items():
        if "type" not in field and "properties" in field:
            yield from _flat_fields(field["properties"], f"{prefix}{name}.")
        else:
            yield prefix + name, field


class SearchSink:
    """Documents in an index.

    With a key, each row is an update of the document whose id is the key: a new document, or new values of these
    fields of an existing one. Without a key, the id is the number of the row in the run, from 1. So a row that is
    written twice is one document, and rows beyond the checkpoint are replaced when a run is resumed.

    Attributes:
        name: The URL without credentials and parameters.
    """

    def __init__(self, address: _Address, key: Sequence[str], *, overwrite: bool) -> None:
        self.name = address.name
        self._index, self._key, self._overwrite = address.index, tuple(key), overwrite
        self._cluster = _Cluster(address, WriteError)
        self._rows = 0

    def start(self, schema: pyarrow.Schema, *, resume: bool) -> Checkpoint | None:
        """Create the index, or the fields that it lacks. Errors as `Sink.start`, and `WriteError`."""
        for name in self._key:
            if name not in schema.names:
                raise OptionError(
                    f"the key {name!r} is not a column (columns: {', '.join(schema.names)}); pass another `key`",
                    code="missing-column",
                    column=name,
                )
        fields = {field.name: self._mapping(field) for field in schema if field.name != ID_COLUMN}
        index, checkpoint = f"/{_quoted(self._index)}", self._checkpoint_path()
        if resume:
            saved = self._cluster.request("GET", checkpoint, allowed=(404,))
            if saved is None or self._cluster.request("GET", index, allowed=(404,)) is None:
                raise ResumeError(
                    f"{self.name} has no checkpoint in the index {CHECKPOINT_INDEX}, or does not exist; start without "
                    "`resume`",
                    code="no-checkpoint",
                    path=self.name,
                )
            self._rows = saved["_source"]["rows"]
        else:
            self._reject_other_rows(index)
            self._cluster.request("DELETE", checkpoint, allowed=(404,))
            self._rows = 0
        self._create_index(index, fields)
        self._create_checkpoint_index()
        return None if not resume else dict(json.loads(saved["_source"]["checkpoint"]))

    def write(self, table: pyarrow.Table) -> Sequence[BadRow]:
        """Write the documents. Return those that the index rejects, and rows without a key."""
        actions: list[dict[str, Any]] = []
        documents: list[Mapping[str, Any]] = []
        bad_rows: list[BadRow] = []
        for number, row in enumerate(_python_rows(table), start=self._rows + 1):
            document = {name: _json_value(value) for name, value in row.items() if name != ID_COLUMN}
            key = [_json_value(row[name]) for name in self._key]
            if None in key:
                reason = f"the key {', '.join(self._key)} is missing"
                bad_rows.append(BadRow(self.name, number, "missing-key", reason, _content(document)))
                continue
            action: dict[str, Any] = {"_op_type": "index", "_id": str(number), "_source": _nested(document)}
            if key:
                action = {"_op_type": "update", "_id": _document_id(key), "retry_on_conflict": 3}
                action |= {"doc": _nested(document), "doc_as_upsert": True}
            actions.append({**action, "_index": self._index})
            documents.append(document)
        for position, reason in self._cluster.bulk(actions):
            location, content = actions[position]["_id"], _content(documents[position])
            bad_rows.append(BadRow(self.name, location, "document-rejected", reason, content))
        self._rows += table.num_rows
        return bad_rows

    def commit(self, checkpoint: Checkpoint) -> None:
        """Save the checkpoint as a document."""
        body = {"index": self._index, "rows": self._rows, "checkpoint": json.dumps(checkpoint)}
        self._cluster.request("PUT", self._checkpoint_path(), body)

    def finish(self) -> None:
        """Make all documents visible to searches."""
        self._cluster.request("POST", f"/{_quoted(self._index)}/_refresh")

    def close(self) -> None:
        """Close the connections."""
        self._cluster.close()

    def _checkpoint_path(self) -> str:
        return f"/{CHECKPOINT_INDEX}/_doc/{quote(self._index, safe='')}"

    def _reject_other_rows(self, index: str) -> None:
        """Raise `OptionError` if the index contains documents that the run must not change; delete those to replace."""
        if self._cluster.request("POST", f"{index}/_refresh", allowed=(404,)) is None:
            return
        documents = self._cluster.request("POST", f"{index}/_count")["count"]
        if documents and not self._overwrite:
            raise OptionError(
                f"{self.name} contains {documents} documents; pass `resume` to continue a run, or `overwrite`: "
                "with a `key`, it updates documents with the same ids; without, it replaces all",
                code="output-exists",
                path=self.name,
            )
        if documents and not self._key:
            query = {"query": ALL_DOCUMENTS}
            self._cluster.request("POST", f"{index}/_delete_by_query", query, conflicts="proceed", refresh="true")

    def _create_index(self, index: str, fields: Mapping[str, Any]) -> None:
        """Create the index if there is none, and the fields that its mapping lacks.

        The index template has the lowest priority, so another one of the user is applied instead. It needs a privilege
        that the user may lack (403), and fails if another template has the same priority (400).
        """
        if self._cluster.request("GET", index, allowed=(404,)) is None:
            template = {
                "index_patterns": [self._index],
                "priority": 0,
                "template": {"mappings": {"properties": fields}},
            }
            path = f"/_index_template/fastlstm-{_quoted(self._index)}"
            self._cluster.request("PUT", path, template, allowed=(400, 403), create="true")
            self._cluster.request("PUT", index)
        mappings = self._cluster.request("GET", f"{index}/_mapping")
        present = {
            name
            for mapping in mappings.values()
            for name, _ in _flat_fields(mapping["mappings"].get("properties", {}))
        }
        missing = {name: field for name, field in fields.items() if name not in present}
        if missing:
            self._cluster.request("PUT", f"{index}/_mapping", {"properties": missing})

    def _create_checkpoint_index(self) -> None:
        if self._cluster.request("GET", f"/{CHECKPOINT_INDEX}", allowed=(404,)) is None:
            text = {"type": "keyword", "index": False, "doc_values": False}
            properties = {"index": {"type": "keyword"}, "rows": {"type": "long"}, "checkpoint": text}
            body = {"mappings": {"properties": properties}}
            self._cluster.request(
                "PUT", f"/{CHECKPOINT_INDEX}", body, allowed=(400,)
            )  # 400: another run created it

    def _mapping(self, field: pyarrow.Field) -> Mapping[str, Any]:
        """Return the mapping of a column."""
        import pyarrow

        types = pyarrow.types
        kind = field.type
        while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
            kind = kind.value_type  # each field may have several values
        if types.is_struct(kind):
            return {"properties": {child.name: self._mapping(child) for child in kind}}
        if types.is_dictionary(kind):
            return {"type": "keyword"}
        if (
            types.is_string(kind)
            or types.is_large_string(kind)
            or types.is_string_view(kind)
            or types.is_null(kind)
        ):
            if field.name in (LABEL_COLUMN, *self._key):
                return {"type": "keyword"}
            return {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}
        for test, name in (
            (types.is_boolean, "boolean"),
            (types.is_uint64, "unsigned_long"),
            (types.is_integer, "long"),
            (types.is_float16, "float"),
            (types.is_float32, "float"),
            (types.is_floating, "double"),
            (types.is_decimal, "double"),
            (types.is_date, "date"),
            (types.is_timestamp, "date"),
            (types.is_binary, "binary"),
            (types.is_large_binary, "binary"),
        ):
            if test(kind):
                return {"type": name}
        raise OptionError(
            f"column {field.name!r} has the type {field.type}, which an index cannot contain; convert or remove it",
            code="unsupported-column",
            column=field.name,
            type=str(field.type),
        )


def _document_id(key: Sequence[Any]) -> str:
    """Return the id of the document with a key: its value, or a JSON array of several."""
    return str(key[0]) if len(key) == 1 else json.dumps(key, ensure_ascii=False)


def _python_rows(table: pyarrow.Table) -> list[dict[str, Any]]:
    """Return the rows. Times of nanoseconds are cut to microseconds, which Python's have; an index has milliseconds."""
    import pyarrow

    for position, field in enumerate(table.schema):
        if pyarrow.types.is_timestamp(field.type) and field.type.unit == "ns":
            column = table.column(position).cast(pyarrow.timestamp("us", field.type.tz), safe=False)
            table = table.set_column(position, field.name, column)
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _json_value(value: Any) -> Any:
    """Return a value of Python as one of JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime.date):  # also a datetime
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _json_value(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_json_value(item) for item in value]
    return value


def _nested(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with the value of `a.b` as `b` of the object `a`, as in the document it was read from.

    An update would otherwise add a second field beside that object.
    """
    result: dict[str, Any] = {}
    for name, value in document.items():
        *path, last = name.split(".")
        target = result
        for part in path:
            target = target.setdefault(part, {})
        target[last] = value
    return result


def _content(document: Mapping[str, Any]) -> str:
    return excerpt(json.dumps(document, ensure_ascii=False))


_KINDS = {
    "string": (
        "text",
        "match_only_text",
        "keyword",
        "constant_keyword",
        "wildcard",
        "ip",
        "version",
        "date",
        "date_nanos",
    ),
    "int64": ("long", "integer", "short", "byte"),
    "uint64": ("unsigned_long",),
    "double": ("double", "float", "half_float", "scaled_float"),
    "bool": ("boolean",),
}
"""Arrow type -> types of fields that are read as this."""
_ARROW_TYPES = {name: arrow for arrow, names in _KINDS.items() for name in names}
_TEXT_TYPES = ("text", "match_only_text")


class SearchSource:
    """The documents of an index, or those that match a query: the column `_id`, and one for each field of the mapping.

    They are read from a point in time. When a run is resumed, a new one is opened, and reading continues after the last
    document in the order of the key; without one, in the order of `_seq_no` (Elasticsearch) or `_id` (OpenSearch).

    Attributes:
        name: The URL without credentials and parameters.
        schema: The columns.
    """

    def __init__(
        self, address: _Address, text_columns: Sequence[str], columns: Sequence[str] | None, key: Sequence[str]
    ) -> None:
        self.name, self._index = address.name, address.index
        self._query = _query_parameter(address.parameters.get("query"))
        self._page_size = _page_size_parameter(address.parameters.get("page_size"))
        self._keep_alive = address.parameters.get("keep_alive", DEFAULT_KEEP_ALIVE)
        self._cluster = _Cluster(address, DataError)
        fields = self._read_mapping()
        sort_fields = (self._sort_field(name, fields) for name in key if name != ID_COLUMN)
        self._order = self._cluster.order(tuple(sort_fields))
        self.schema = self._make_schema(text_columns, columns, fields)
        body = {"query": self._query}
        self._documents: int = self._cluster.request("POST", f"/{_quoted(self._index)}/_count", body)["count"]

    def chunks(self, position: Position | None) -> Iterator[Chunk]:
        """Yield a chunk for each page. See `Source.chunks`."""
        import pyarrow

        names = [name for name in self.schema.names if name != ID_COLUMN]
        after = None if position is None else self._cluster.renewed(position["after"])
        count = 0 if position is None else position["documents"]
        point_in_time = self._cluster.open_point_in_time(self._index, self._keep_alive)
        try:
            is_new = True
            while True:
                body: dict[str, Any] = {
                    "size": self._page_size,
                    "query": self._query,
                    "sort": self._order,
                    "_source": names or False,
                    "pit": {"id": point_in_time, "keep_alive": self._keep_alive},
                    "track_total_hits": False,
                }
                if after is not None:
                    body["search_after"] = after
                page = self._cluster.request(
                    "POST", "/_search", body, allowed=() if is_new else (404,), allow_partial_search_results="false"
                )
                if page is None:  # the point in time has expired
                    point_in_time = self._cluster.open_point_in_time(self._index, self._keep_alive)
                    after = after and self._cluster.renewed(after)
                    is_new = True
                    continue
                is_new = False
                point_in_time = page.get("pit_id", point_in_time)
                hits = page["hits"]["hits"]
                if hits:
                    after = hits[-1]["sort"]
                    rows, bad_rows = self._read_rows(hits)
                    batch = pyarrow.RecordBatch.from_pylist(rows, self.schema)
                    count += len(hits)
                    fraction = min(count / self._documents, 1.0) if self._documents else None
                    yield Chunk(batch, {"after": after, "documents": count}, bad_rows, fraction)
                if len(hits) < self._page_size:
                    return
        finally:
            self._cluster.close_point_in_time(point_in_time)

    def _read_rows(self, hits: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[BadRow]]:
        rows, bad_rows = [], []
        for hit in hits:
            document = hit.get("_source", {})
            row: dict[str, Any] = {}
            try:
                for field in self.schema:
                    is_id = field.name == ID_COLUMN
                    value = hit["_id"] if is_id else _look_up(document, field.name)
                    row[field.name] = _column_value(value, str(field.type), field.name)
            except (ValueError, OverflowError) as error:
                bad_rows.append(BadRow(self.name, hit["_id"], "bad-field-value", str(error), _content(document)))
            else:
                rows.append(row)
        return rows, bad_rows

    def _read_mapping(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the fields by their path."""
        mappings = self._cluster.request("GET", f"/{_quoted(self._index)}/_mapping", allowed=(404,))
        if not mappings:
            raise DataError(f"{self.name}: there is no such index", code="index-not-found", name=self.name)
        fields: dict[str, Mapping[str, Any]] = {}
        for mapping in mappings.values():
            for name, field in _flat_fields(mapping["mappings"].get("properties", {})):
                kinds = {_ARROW_TYPES.get(str(known.get("type"))) for known in (field, fields.get(name, field))}
                if len(kinds) > 1:
                    raise DataError(
                        f"{self.name}: the field {name!r} has different types in the indexes; read one of them",
                        code="field-types-differ",
                        name=self.name,
                        column=name,
                    )
                fields[name] = field
        return fields

    def _sort_field(self, key: str, fields: Mapping[str, Mapping[str, Any]]) -> str:
        field = fields.get(key, {})
        kind = field.get("type")
        if kind in _TEXT_TYPES:
            names = [name for name, part in field.get("fields", {}).items() if part.get("type") == "keyword"]
            if names:
                return f"{key}.{names[0]}"
        elif kind in _ARROW_TYPES:
            return key
        problem = f"has the type {kind}, which is not sorted" if field else "is not in the mapping"
        raise OptionError(
            f"{self.name}: the key {key!r} {problem}; pass a field with a unique number, date or keyword, or no `key`",
            code="bad-key",
            column=key,
        )

    def _make_schema(
        self,
        text_columns: Sequence[str],
        columns: Sequence[str] | None,
        fields: Mapping[str, Mapping[str, Any]],
    ) -> pyarrow.Schema:
        import pyarrow

        known = {ID_COLUMN: "string"}
        for name, field in fields.items():
            kind = _ARROW_TYPES.get(str(field.get("type")))
            if kind is not None:
                known[name] = kind
        for name in (*text_columns, *(columns or ())):
            if name not in known:
                problem = f"has the type {fields[name].get('type')}" if name in fields else "does not exist"
                raise DataError(
                    f"{self.name}: the field {name!r} {problem}; {suggest(name, known)}",
                    code="missing-column",
                    column=name,
                )
        selected = known if columns is None else dict.fromkeys((*columns, *text_columns))
        return pyarrow.schema([(name, pyarrow.type_for_alias(known[name])) for name in selected])


def _look_up(document: Any, path: str) -> Any:
    """Return the value of a field, whose path may be split into objects at each dot; None if there is none."""
    if not isinstance(document, Mapping):
        return document  # a list of objects
    if path in document:
        return document[path]
    parts = path.split(".")
    for length in range(len(parts) - 1, 0, -1):
        value = document.get(".".join(parts[:length]))
        if value is not None:
            return _look_up(value, ".".join(parts[length:]))
    return None


def _column_value(value: Any, kind: str, name: str) -> Any:
    """Return a value of a document as one of an Arrow type. Servers convert values in the index, not in the document.

    Raise `ValueError` if it is not such a value.
    """
    if isinstance(value, list) and len(value) < 2:
        value = value[0] if value else None
    if value is None:
        return None
    if isinstance(value, list | Mapping):
        raise ValueError(f"the field {name!r} has several values; expected one")  # noqa: TRY004 -- one kind of error
    if kind == "string":
        return value if isinstance(value, str) else json.dumps(value)
    try:
        if kind == "bool":
            return {True: True, False: False, "true": True, "false": False, "": False}[value]
        if kind == "double":
            return float(value)
        return int(value) if isinstance(value, int | str) else int(float(value))
    except (KeyError, ValueError):
        raise ValueError(f"the field {name!r} is {excerpt(str(value))}, which is no {kind}") from None


def _query_parameter(value: str | None) -> Mapping[str, Any]:
    if value is None:
        return ALL_DOCUMENTS
    try:
        query = json.loads(value)
    except ValueError:
        query = None
    if isinstance(query, dict):
        return query
    raise OptionError(
        f'the URL parameter query is {excerpt(value)}; expected a query in JSON, such as {{"term": {{"lang": "en"}}}}',
        code="bad-option-value",
        option="query",
        value=value,
    )


def _page_size_parameter(value: str | None) -> int:
    if value is None:
        return DEFAULT_PAGE_SIZE
    if value.isdecimal() and 1 <= int(value) <= MAX_PAGE_SIZE:
        return int(value)
    raise OptionError(
        f"the URL parameter page_size is {value!r}; expected a number from 1 to {MAX_PAGE_SIZE}",
        code="bad-option-value",
        option="page_size",
        value=value,
    )


def open_source(
    url: str,
    *,
    text_columns: Sequence[str] = (),
    columns: Sequence[str] | None = None,
    key: str | Sequence[str] = (),
) -> SearchSource:
    """Open the documents of an index for reading.

    Args:
        url: elasticsearch://host:9200/index, elasticsearch+https://host/index, or the same with opensearch. Parameters:
            `query`, in JSON; `page_size`; `keep_alive` of the point in time, such as 5m; `ca_certs`, a file with the
            certificates of authorities. User and password are those of the URL, or of the environment variables
            ELASTICSEARCH_API_KEY, or ELASTICSEARCH_USERNAME and ELASTICSEARCH_PASSWORD (OPENSEARCH_...).
        text_columns: Fields that must exist, and are read in any case.
        columns: The fields to read, `_id` among them. None: all that have a column type.
        key: Fields whose values are unique together, to read in their order. `_id`: the same as no key.

    Raises:
        MissingDependencyError: The client is not installed.
        OptionError: The URL or the key is unusable.
        DataError: The index does not exist or cannot be read, or lacks a column.
    """
    _require_pyarrow(url)
    address = _parse_url(url, ("query", "page_size", "keep_alive", "ca_certs"))
    return SearchSource(address, text_columns, columns, _names(key))


def open_sink(url: str, *, key: str | Sequence[str] = (), overwrite: bool = False) -> SearchSink:
    """Open an index for writing. The server is contacted in `start`.

    Args:
        url: As in `open_source`; the only parameter is `ca_certs`.
        key: The column with the id of each document, or several, whose values form it as a JSON array. Default: the
            number of the row.
        overwrite: Accept an index that contains documents. With a key, those with the same ids are updated, and the
            others kept; without one, all are deleted.

    Raises:
        MissingDependencyError: The client is not installed.
        OptionError: The URL is unusable.
    """
    _require_pyarrow(url)
    return SearchSink(_parse_url(url, ("ca_certs",)), _names(key), overwrite=overwrite)


def _names(key: str | Sequence[str]) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else tuple(key)


def _require_pyarrow(url: str) -> None:
    product = "opensearch" if url.startswith("opensearch") else "elasticsearch"
    try:
        import pyarrow  # noqa: F401 -- is it installed?
    except ImportError:
        raise MissingDependencyError("score", "pyarrow", product) from None
