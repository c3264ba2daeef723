"""An HTTP server with the documented responses of Elasticsearch and OpenSearch, for one index expression at a time.

It keeps documents in memory, on two shards. Documents are visible to searches after a refresh, as on a real server.
"""

from __future__ import annotations

import copy
import fnmatch
import json
import re
import secrets
import socket
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

CLIENTS = {"elasticsearch": "elasticsearch", "opensearch": "opensearchpy"}
"""Product -> module of its client."""
SHARDS = 2
RESET = 0
"""The status of a fault that closes the connection instead of answering."""


@dataclass
class Document:
    """A document of an index."""

    source: dict[str, Any]
    sequence_number: int


@dataclass
class Index:
    """An index: all its documents, those that searches see, and its mapping."""

    properties: dict[str, Any] = field(default_factory=dict)
    uuid: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    documents: dict[str, Document] = field(default_factory=dict)
    visible: dict[str, Document] = field(default_factory=dict)
    sequence_numbers: list[int] = field(default_factory=lambda: [0] * SHARDS)

    def write(self, key: str, source: dict[str, Any]) -> int:
        """Index a document and return the status."""
        shard = shard_of(key)
        created = key not in self.documents
        self.documents[key] = Document(source, self.sequence_numbers[shard])
        self.sequence_numbers[shard] += 1
        return 201 if created else 200


@dataclass
class Fault:
    """A response instead of the usual one, for requests whose method and path match a pattern."""

    pattern: str
    status: int
    times: int
    item: str | None = None


class Failure(Exception):  # noqa: N818 -- a response
    """An error response."""

    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        cause = {"type": kind, "reason": reason}
        self.body = {"error": {"root_cause": [cause], **cause}, "status": status}


def shard_of(key: str) -> int:
    """Return the shard of a document."""
    return zlib.crc32(key.encode()) % SHARDS


class SearchServer:
    """The state of the server.

    Attributes:
        product: "elasticsearch" or "opensearch".
        indexes, templates: By name.
        points_in_time: The documents of each open point in time, as (shard, number in the shard, id, document).
        requests: Method and path of each request.
        authorizations: The header of each request.
        password: If set, the only basic credentials accepted, as "user:password" in base64.
    """

    def __init__(self, product: str) -> None:
        self.product = product
        self.indexes: dict[str, Index] = {}
        self.templates: dict[str, Any] = {}
        self.points_in_time: dict[str, list[tuple[int, int, str, Document]]] = {}
        self.requests: list[str] = []
        self.authorizations: list[str | None] = []
        self.password: str | None = None
        self.faults: list[Fault] = []
        self.lock = threading.Lock()
        self.port = 0
        self._opened = 0

    @property
    def url(self) -> str:
        """The URL of the server, without an index."""
        return f"{self.product}://localhost:{self.port}"

    def fail(self, pattern: str, status: int, times: int = 1, *, item: str | None = None) -> None:
        """Answer the next matching requests, or the operation on a document of bulk requests, with a status."""
        self.faults.append(Fault(pattern, status, times, item))

    def sources(self, index: str) -> dict[str, dict[str, Any]]:
        """Return the documents of an index by their id."""
        return {key: document.source for key, document in self.indexes[index].documents.items()}

    def count(self, pattern: str) -> int:
        """Return the number of requests whose method and path match a pattern."""
        return sum(re.search(pattern, request) is not None for request in self.requests)

    def take_fault(self, request: str, item: str | None) -> int | None:
        """Return the status of a fault that applies, and use it up."""
        for fault in self.faults:
            if fault.times and fault.item == item and re.search(fault.pattern, request):
                fault.times -= 1
                return fault.status
        return None

    def answer(self, method: str, path: str, parameters: Mapping[str, str], body: bytes) -> tuple[int, Any]:
        """Return the status and the JSON of the response."""
        parts = [unquote(part) for part in path.strip("/").split("/") if part]
        if not parts:
            return 200, {"version": {"number": "9.0.0"}, "tagline": "You Know, for Search"}
        if parts == ["_bulk"]:
            return 200, self._bulk(body)
        content = json.loads(body) if body else {}
        if parts[0] == "_index_template":
            return self._put_template(parts[1], content)
        if parts == ["_search"]:
            return 200, self._search(content, parameters)
        if method == "DELETE" and parts in (["_pit"], ["_search", "point_in_time"]):
            keys = [content["id"]] if self.product == "elasticsearch" else content["pit_id"]
            return 200, {
                "succeeded": True,
                "num_freed": sum(bool(self.points_in_time.pop(key, None)) for key in keys),
            }
        if parts[0].startswith("_"):
            raise Failure(400, "illegal_argument_exception", f"unexpected path {path}")
        return self._answer_index(method, parts[0], parts[1:], content)

    def _answer_index(self, method: str, name: str, parts: list[str], content: Any) -> tuple[int, Any]:
        if method == "PUT" and not parts:
            return self._create(name, content)
        if method == "PUT" and parts[0] == "_doc":
            index = self.indexes.setdefault(name, Index())
            status = index.write(parts[1], content)
            return status, {"_index": name, "_id": parts[1], "result": "created" if status == 201 else "updated"}
        if parts[:1] == ["_doc"]:
            return self._document(method, name, parts[1])
        index = self._index(name)
        if not parts:
            settings = {"index": {"uuid": index.uuid}}
            return 200, {name: {"mappings": {"properties": index.properties}, "settings": settings}}
        if parts == ["_mapping"]:
            if method == "PUT":
                for path, mapping in content["properties"].items():
                    add_field(index.properties, path.split("."), mapping)
                return 200, {"acknowledged": True}
            return 200, {name: {"mappings": {"properties": index.properties}}}
        if parts == ["_refresh"]:
            index.visible = dict(index.documents)
            return 200, {"_shards": {"total": SHARDS, "successful": SHARDS, "failed": 0}}
        if parts == ["_count"]:
            return 200, {
                "count": sum(matches(document, content.get("query")) for document in index.visible.values())
            }
        if parts == ["_pit"] and self.product == "elasticsearch":
            return 200, {"id": self._open(index)}
        if parts == ["_search", "point_in_time"] and self.product == "opensearch":
            return 200, {"pit_id": self._open(index)}
        raise Failure(400, "illegal_argument_exception", f"unexpected path {name}/{'/'.join(parts)}")

    def _index(self, name: str) -> Index:
        if name not in self.indexes:
            raise Failure(404, "index_not_found_exception", f"no such index [{name}]")
        return self.indexes[name]

    def _create(self, name: str, content: Any) -> tuple[int, Any]:
        if name in self.indexes:
            raise Failure(400, "resource_already_exists_exception", f"index [{name}] already exists")
        if name != name.lower() or re.search(r"[ \"*\\<|,>/?]", name):
            raise Failure(400, "invalid_index_name_exception", f"Invalid index name [{name}]")
        properties: dict[str, Any] = {}
        for template in sorted(self.templates.values(), key=lambda template: template.get("priority", 0)):
            if any(fnmatch.fnmatch(name, pattern) for pattern in template["index_patterns"]):
                properties = copy.deepcopy(template["template"]["mappings"]["properties"])
        properties |= content.get("mappings", {}).get("properties", {})
        self.indexes[name] = Index(properties)
        return 200, {"acknowledged": True, "index": name}

    def _put_template(self, name: str, content: Any) -> tuple[int, Any]:
        for other in self.templates.values():
            overlap = set(other["index_patterns"]) & set(content["index_patterns"])
            if overlap and other.get("priority", 0) == content.get("priority", 0):
                reason = f"index template [{name}] has index patterns matching patterns from existing templates"
                raise Failure(400, "illegal_argument_exception", reason)
        self.templates[name] = content
        return 200, {"acknowledged": True}

    def _document(self, method: str, name: str, key: str) -> tuple[int, Any]:
        index = self._index(name)
        if key not in index.documents:
            return 404, {"_index": name, "_id": key, "found": False}
        if method == "DELETE":
            del index.documents[key]
            return 200, {"result": "deleted"}
        return 200, {"_index": name, "_id": key, "found": True, "_source": index.documents[key].source}

    def _bulk(self, body: bytes) -> Any:
        lines = [json.loads(line) for line in body.decode().splitlines()]
        items = []
        for action, content in zip(lines[::2], lines[1::2], strict=True):
            [(operation, target)] = action.items()
            item: dict[str, Any] = {"_index": target["_index"], "_id": target["_id"]}
            try:
                status = self.take_fault("/_bulk", target["_id"])
                if status is not None:
                    raise Failure(status, "es_rejected_execution_exception", "rejected execution")
                item["status"] = self._write(operation, target, content)
            except Failure as failure:
                item |= {"status": failure.status, "error": failure.body["error"]}
            items.append({operation: item})
        return {"took": 1, "errors": any("error" in next(iter(item.values())) for item in items), "items": items}

    def _write(self, operation: str, target: Mapping[str, Any], content: Any) -> int:
        index = self.indexes.setdefault(target["_index"], Index())
        key = target["_id"]
        if len(key.encode()) > 512:
            raise Failure(400, "illegal_argument_exception", "id is too long, must be no longer than 512 bytes")
        document = content
        if operation == "update":
            assert content["doc_as_upsert"]
            present = index.documents[key].source if key in index.documents else {}
            document = merged(present, content["doc"])
            if document == present and key in index.documents:
                return 200  # no operation
        check_document(index.properties, document)
        return index.write(key, document)

    def _open(self, index: Index) -> str:
        numbers = [0] * SHARDS
        snapshot = []
        for key, document in sorted(index.visible.items(), key=lambda item: item[1].sequence_number):
            shard = shard_of(key)
            snapshot.append((shard, numbers[shard], key, document))
            numbers[shard] += 1
        self._opened += 1
        name = f"pit-{self._opened}"
        self.points_in_time[name] = snapshot
        return name

    def _search(self, content: Any, parameters: Mapping[str, str]) -> Any:
        name = content["pit"]["id"]
        if name not in self.points_in_time:
            raise Failure(404, "search_context_missing_exception", f"No search context found for id [{name}]")
        assert parameters == {"allow_partial_search_results": "false"}
        hits: list[dict[str, Any]] = []
        for shard, number, key, document in self.points_in_time[name]:
            if not matches(document, content["query"]):
                continue
            values = []
            for clause in content["sort"]:
                [(column, _)] = clause.items()
                values.append(self._sort_value(column, shard, number, key, document))
            hits.append({"_id": key, "_source": selected(document.source, content["_source"]), "sort": values})
        hits.sort(key=lambda hit: hit["sort"])
        after = content.get("search_after")
        rest = [hit for hit in hits if after is None or hit["sort"] > after]
        return {"pit_id": name, "hits": {"hits": rest[: content["size"]]}}

    def _sort_value(self, column: str, shard: int, number: int, key: str, document: Document) -> Any:
        if column == "_shard_doc" and self.product == "elasticsearch":
            return (shard << 32) + number
        if column == "_id" and self.product == "opensearch":
            return key
        if column == "_index" and self.product == "opensearch":
            return "reviews"
        if column == "_seq_no":
            return document.sequence_number
        if column.startswith("_"):
            raise Failure(400, "illegal_argument_exception", f"[{column}] is not sorted")
        return document.source[column.removesuffix(".keyword")]


def add_field(properties: dict[str, Any], path: list[str], mapping: dict[str, Any]) -> None:
    """Add a field to a mapping. Raise `Failure` if it has another type."""
    name, *rest = path
    if rest:
        add_field(properties.setdefault(name, {"properties": {}})["properties"], rest, mapping)
        return
    present = properties.setdefault(name, mapping)
    if present.get("type") != mapping.get("type"):
        reason = f"mapper [{name}] cannot be changed from type [{present.get('type')}] to [{mapping.get('type')}]"
        raise Failure(400, "illegal_argument_exception", reason)


def merged(present: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with the fields of a partial document."""
    result = dict(present)
    for name, value in update.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def check_document(properties: dict[str, Any], document: Mapping[str, Any]) -> None:
    """Raise `Failure` if a value does not fit the mapping."""
    for name, value in document.items():
        kind = properties.get(name, {}).get("type")
        if kind not in ("long", "float", "double") or value is None:
            continue
        try:
            float(value)
        except (TypeError, ValueError):
            cause = f"failed to parse field [{name}] of type [{kind}]"
            raise Failure(400, "document_parsing_exception", cause) from None


def matches(document: Document, query: Mapping[str, Any] | None) -> bool:
    """Return whether a document matches a query: `match_all` or `term`."""
    if query is None or "match_all" in query:
        return True
    if "term" not in query:
        raise Failure(400, "parsing_exception", f"unknown query [{next(iter(query))}]")
    return all(document.source.get(name) == value for name, value in query["term"].items())


def selected(source: Mapping[str, Any], names: Any) -> dict[str, Any]:
    """Return the fields of a document that a search requests."""
    if names is False:
        return {}
    tops = {name.split(".")[0] for name in names}
    return {name: value for name, value in source.items() if name.split(".")[0] in tops}


@contextmanager
def running_server(product: str) -> Iterator[SearchServer]:
    """Run a server on a free port."""
    state = SearchServer(product)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16  # one packet per response: delayed acknowledgements take 40 ms
        disable_nagle_algorithm = True

        def respond(self) -> None:
            parts = urlsplit(self.path)
            request = f"{self.command} {parts.path}"
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            with state.lock:
                state.requests.append(request)
                state.authorizations.append(self.headers.get("authorization"))
                status = state.take_fault(request, None)
                if status == RESET:
                    linger = struct.pack("ii", 1, 0)
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    self.close_connection = True
                    return
                try:
                    if (
                        state.password is not None
                        and self.headers.get("authorization") != f"Basic {state.password}"
                    ):
                        raise Failure(401, "security_exception", "unable to authenticate user")
                    if status is not None:
                        raise Failure(status, "injected_exception", "injected failure")
                    parameters = dict(parse_qsl(parts.query))
                    status, content = state.answer(self.command, parts.path, parameters, body)
                except Failure as failure:
                    status, content = failure.status, failure.body
            data = json.dumps(content).encode()
            self.send_response(status)
            if state.product == "elasticsearch":
                self.send_header("X-Elastic-Product", "Elasticsearch")
                self.send_header("Content-Type", "application/vnd.elasticsearch+json;compatible-with=9")
            else:
                self.send_header("Content-Type", "application/json; charset=UTF-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PUT = do_POST = do_DELETE = respond  # noqa: N815 -- the names of the base class

        def log_message(self, format: str, *arguments: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    state.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
