"""The documents of an index as a source of `score`."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastlstm.data.options import BadRow
from fastlstm.data.validation import excerpt
from fastlstm.errors import DataError, OptionError, suggest
from fastlstm.integrations.elasticsearch.address import Address
from fastlstm.integrations.elasticsearch.cluster import ALL_DOCUMENTS, Cluster
from fastlstm.integrations.elasticsearch.documents import column_value, document_excerpt, field_value
from fastlstm.integrations.elasticsearch.mapping import ID_COLUMN, TEXT_TYPES, Field, arrow_type, indexed_fields
from fastlstm.notes import Note
from fastlstm.scoring.interfaces import Chunk, Position

if TYPE_CHECKING:
    import pyarrow

DEFAULT_PAGE_SIZE = 1000
MAX_PAGE_SIZE = 10_000
"""The servers' default limit of hits per page, `index.max_result_window`."""
DEFAULT_KEEP_ALIVE = "5m"
"""How long the server keeps a point in time after each page."""


class SearchSource:
    """The documents of an index, or those that match a query: the column `_id`, and one for each field of the mapping.

    They are read from a point in time. When a run is resumed, a new one is opened, and reading continues after the last
    document in the order of the key; without one, in the order of `_seq_no` (Elasticsearch) or `_id` (OpenSearch).

    Args:
        address: An index, an alias or a pattern.
        text_columns: Fields that must exist, and are read in any case.
        columns: The fields to read, `_id` among them. None: all that have a column type.
        key: Fields whose values are unique together, to read in their order. `_id`: the same as no key.

    Raises:
        MissingDependencyError: The client is not installed.
        OptionError: A parameter or the key is unusable.
        DataError: The index does not exist or cannot be read, or lacks a column.

    Attributes:
        name: The URL without credentials and parameters.
        schema: The columns.
    """

    def __init__(
        self, address: Address, text_columns: Sequence[str], columns: Sequence[str] | None, key: Sequence[str]
    ) -> None:
        self.name, self._path = address.name, f"/{address.quoted_index}"
        self.identity = f"{address.name}?query={address.parameters.get('query', '')}"
        self.notes: list[Note] = []
        self._query = _parse_query(address.parameters.get("query"))
        self._page_size = _parse_page_size(address.parameters.get("page_size"))
        self._keep_alive = address.parameters.get("keep_alive", DEFAULT_KEEP_ALIVE)
        self._address = address
        self._is_stable = address.product == "opensearch" or any(name != ID_COLUMN for name in key)
        """Whether a document keeps its place in the order when it is changed."""
        with contextlib.closing(Cluster(address, DataError)) as cluster:
            fields = self._read_mapping(cluster)
            self._order = cluster.sort_order([self._sort_field(n, fields) for n in key if n != ID_COLUMN])
            self.schema = self._make_schema(text_columns, columns, fields)
            body = {"query": self._query}
            self._documents: int = cluster.request("POST", f"{self._path}/_count", body)["count"]

    def _read_mapping(self, cluster: Cluster) -> Mapping[str, Field]:
        """Return the fields by their path."""
        mappings = cluster.request("GET", f"{self._path}/_mapping", allowed=(404,))
        if not mappings:
            raise DataError(f"{self.name}: there is no such index", code="index-not-found", name=self.name)
        fields: dict[str, Field] = {}
        for path, field in indexed_fields(mappings):
            if path in fields and arrow_type(fields[path]) != arrow_type(field):
                raise DataError(
                    f"{self.name}: the field {path!r} has different types in the indexes; read one of them",
                    code="field-types-differ",
                    name=self.name,
                    column=path,
                )
            fields[path] = field
        return fields

    def _sort_field(self, key: str, fields: Mapping[str, Field]) -> str:
        """Return the field that sorts the documents by a key: the field itself, or the keyword of a text."""
        field = fields.get(key, {})
        kind = field.get("type")
        if kind in TEXT_TYPES:
            for name, subfield in field.get("fields", {}).items():
                if subfield.get("type") == "keyword":
                    return f"{key}.{name}"
        elif arrow_type(field) is not None:
            return key
        problem = f"has the type {kind}, which is not sorted" if field else "is not in the mapping"
        raise OptionError(
            f"{self.name}: the key {key!r} {problem}; pass a field with a unique number, date or keyword, or no `key`",
            code="bad-key",
            column=key,
        )

    def _make_schema(
        self, text_columns: Sequence[str], columns: Sequence[str] | None, fields: Mapping[str, Field]
    ) -> pyarrow.Schema:
        import pyarrow

        kinds = {ID_COLUMN: "string"}
        for path, field in fields.items():
            kind = arrow_type(field)
            if kind is not None:
                kinds[path] = kind
        for name in (*text_columns, *(columns or ())):
            if name not in kinds:
                problem = f"has the type {fields[name].get('type')}" if name in fields else "does not exist"
                raise DataError(
                    f"{self.name}: the field {name!r} {problem}; {suggest(name, kinds)}",
                    code="missing-column",
                    column=name,
                )
        selected = kinds if columns is None else dict.fromkeys((*columns, *text_columns))
        return pyarrow.schema([(name, pyarrow.type_for_alias(kinds[name])) for name in selected])

    def chunks(self, position: Position | None) -> Generator[Chunk, None, None]:
        """Yield a chunk for each page. See `Source.chunks`."""
        import pyarrow

        after, count = (None, 0) if position is None else (position["after"], position["documents"])
        with (
            contextlib.closing(Cluster(self._address, DataError, has_answered=True)) as cluster,
            contextlib.closing(self._pages(cluster, after)) as pages,
        ):
            for hits in pages:
                count += len(hits)
                rows, bad_rows = self._read_rows(hits)
                batch = pyarrow.RecordBatch.from_pylist(rows, self.schema)
                fraction = min(count / self._documents, 1.0) if self._documents else None
                yield Chunk(batch, {"after": hits[-1]["sort"], "documents": count}, bad_rows, fraction)

    def _pages(
        self, cluster: Cluster, after: Sequence[Any] | None
    ) -> Generator[Sequence[Mapping[str, Any]], None, None]:
        """Yield the documents after these sort values, in pages; None is the beginning."""
        body: dict[str, Any] = {
            "size": self._page_size,
            "query": self._query,
            "sort": self._order,
            "_source": [name for name in self.schema.names if name != ID_COLUMN] or False,
            "track_total_hits": False,
        }
        while True:  # again with a new point in time if one has expired
            point_in_time = cluster.open_point_in_time(self._keep_alive)
            if after is not None:
                body["search_after"] = cluster.renewed_sort_values(after)
            try:
                for number in itertools.count():
                    body["pit"] = {"id": point_in_time, "keep_alive": self._keep_alive}
                    may_expire = (404,) if number and self._is_stable else ()
                    page = cluster.request(
                        "POST", "/_search", body, allowed=may_expire, allow_partial_search_results="false"
                    )
                    if page is None:
                        break
                    point_in_time = page.get("pit_id", point_in_time)
                    hits = page["hits"]["hits"]
                    if hits:
                        body["search_after"] = after = hits[-1]["sort"]
                        yield hits
                    if len(hits) < self._page_size:
                        return
            finally:
                cluster.close_point_in_time(point_in_time)

    def _read_rows(self, hits: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[BadRow]]:
        rows, bad_rows = [], []
        for hit in hits:
            document = hit.get("_source", {})
            row: dict[str, Any] = {}
            try:
                for column in self.schema:
                    value = hit["_id"] if column.name == ID_COLUMN else field_value(document, column.name)
                    row[column.name] = column_value(value, str(column.type), column.name)
            except ValueError as error:
                content = document_excerpt(document)
                bad_rows.append(BadRow(self.name, hit["_id"], "bad-field-value", str(error), content))
            else:
                rows.append(row)
        return rows, bad_rows


def _parse_query(value: str | None) -> Mapping[str, Any]:
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


def _parse_page_size(value: str | None) -> int:
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
