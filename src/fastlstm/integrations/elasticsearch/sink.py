"""An index as a sink of `score`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fastlstm.data.options import BadRow
from fastlstm.errors import OptionError, ResumeError, WriteError
from fastlstm.integrations.elasticsearch.address import Address
from fastlstm.integrations.elasticsearch.cluster import Cluster
from fastlstm.integrations.elasticsearch.documents import document_excerpt, document_id, nested
from fastlstm.integrations.elasticsearch.mapping import ID_COLUMN, Field, flat_fields, indexed_fields, new_field
from fastlstm.scoring.columns import DEFAULT_PREFIX, LABEL, PROBABILITY
from fastlstm.scoring.interfaces import Checkpoint
from fastlstm.scoring.json_values import json_rows

if TYPE_CHECKING:
    import pyarrow

CHECKPOINT_INDEX = "fastlstm-checkpoints"
"""The index that holds the checkpoint of each index, as a document whose id is the name of that index."""
UPDATE_RETRIES = 3
"""Attempts of the server to update a document that changes at the same time."""


class SearchSink:
    """Documents in an index.

    With a key, each row is an update of the document whose id is the key: a new document, or new values of these
    fields of an existing one. Without a key, the index must be empty, and the id is the number of the row, from 1. So a
    row that is written twice is one document, and rows beyond the checkpoint are replaced when a run is resumed.

    Args:
        address: The index. The server is contacted in `start`, which creates it if it does not exist.
        key: The column with the id of each document, or several, whose values form it as a JSON array.
        overwrite: Whether to start again although a run was interrupted. Documents stay.

    Raises:
        MissingDependencyError: The client is not installed.
        OptionError: The address is a pattern.

    Attributes:
        name: The URL without credentials and parameters.
    """

    def __init__(self, address: Address, key: Sequence[str], *, overwrite: bool) -> None:
        self.name = address.name
        if set(address.index) & set("*,"):
            raise OptionError(
                f"{self.name} is a pattern of indexes; pass the index or alias to write to",
                code="bad-database-url",
                url=self.name,
            )
        self._index, self._key, self._overwrite = address.index, tuple(key), overwrite
        self._path = f"/{address.quoted_index}"
        self._template_path = f"/_index_template/fastlstm-{address.quoted_index}"
        self._checkpoint_path = f"/{CHECKPOINT_INDEX}/_doc/{address.quoted_index}"
        self._cluster = Cluster(address, WriteError)
        self._index_ids: Sequence[str] = ()
        """The ids that the server gave the index, or the indexes of the alias."""
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
        _require_separate_paths([name for name in schema.names if name != ID_COLUMN])
        keywords = (*_label_columns(schema.names), *self._key)
        fields = {column.name: new_field(column, keywords) for column in schema if column.name != ID_COLUMN}
        checkpoint = None
        if resume:
            self._rows, checkpoint = self._saved_checkpoint()
        else:
            self._prepare_new_run()
        self._create_index(fields)
        self._index_ids = self._read_index_ids()
        self._create_checkpoint_index()
        return checkpoint

    def _saved_checkpoint(self) -> tuple[int, Checkpoint]:
        """Return the number of rows written at the checkpoint, and the checkpoint."""
        saved = self._cluster.request("GET", self._checkpoint_path, allowed=(404,))
        index_ids = self._read_index_ids()
        if saved is None or not index_ids:
            raise ResumeError(
                f"{self.name} has no checkpoint in the index {CHECKPOINT_INDEX}, or does not exist; start without "
                "`resume`",
                code="no-checkpoint",
                path=self.name,
            )
        if saved["_source"].get("index_ids") != index_ids:
            raise ResumeError(
                f"{self.name} is not the index of the run to resume: it was created again; start again with "
                "`overwrite`",
                code="sink-changed",
                path=self.name,
            )
        return saved["_source"]["rows"], json.loads(saved["_source"]["checkpoint"])

    def _read_index_ids(self) -> list[str]:
        """Return the ids of the index; none if it does not exist."""
        indexes = self._cluster.request("GET", self._path, allowed=(404,)) or {}
        return sorted(index["settings"]["index"]["uuid"] for index in indexes.values())

    def _prepare_new_run(self) -> None:
        """Delete the checkpoint of an earlier run. Raise `OptionError` if the new one would mix with what is there."""
        saved = self._cluster.request("GET", self._checkpoint_path, allowed=(404,))
        if (
            saved is not None
            and not self._overwrite
            and not json.loads(saved["_source"]["checkpoint"]).get("finished")
        ):
            raise OptionError(
                f"{self.name} belongs to a run; pass `resume` to continue it, or `overwrite` to start again",
                code="output-exists",
                path=self.name,
            )
        documents = 0
        if not self._key and self._cluster.request("POST", f"{self._path}/_refresh", allowed=(404,)) is not None:
            documents = self._cluster.request("POST", f"{self._path}/_count")["count"]
        if documents:
            raise OptionError(
                f"{self.name} contains {documents:,} documents; delete it, pass another index, or a `key` to update "
                "documents",
                code="output-exists",
                path=self.name,
            )
        self._cluster.request("DELETE", self._checkpoint_path, allowed=(404,))
        self._rows = 0

    def _create_index(self, fields: Mapping[str, Field]) -> None:
        """Create the index if there is none, and the fields that its mapping lacks.

        The index template has the lowest priority, so another one of the user is applied instead. It needs a privilege
        that the user may lack (403), and fails if another template has the same priority (400).
        """
        if not self._read_index_ids():
            mappings = {"properties": fields}
            template = {"index_patterns": [self._index], "priority": 0, "template": {"mappings": mappings}}
            self._cluster.request("PUT", self._template_path, template, allowed=(400, 403), create="true")
            self._cluster.request("PUT", self._path)
        present = dict(indexed_fields(self._cluster.request("GET", f"{self._path}/_mapping")))
        missing = {path: field for path, field in flat_fields(fields) if path not in present}
        if missing:
            self._cluster.request("PUT", f"{self._path}/_mapping", {"properties": missing})

    def _create_checkpoint_index(self) -> None:
        if self._cluster.request("GET", f"/{CHECKPOINT_INDEX}", allowed=(404,)) is not None:
            return
        properties = {
            "index": {"type": "keyword"},
            "index_ids": {"type": "keyword"},
            "rows": {"type": "long"},
            "checkpoint": {"type": "keyword", "index": False, "doc_values": False},
        }
        body = {"mappings": {"properties": properties}}
        self._cluster.request("PUT", f"/{CHECKPOINT_INDEX}", body, allowed=(400,))  # 400: another run created it

    def write(self, table: pyarrow.Table) -> Sequence[BadRow]:
        """Write the documents. Return those that the index rejects, and rows without a key.

        Of rows with the same key, only the last one is written: the server could refuse one of them for a while, and
        so change their order.
        """
        documents: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
        bad_rows: list[BadRow] = []
        for number, row in enumerate(json_rows(table, decimals=float), start=self._rows + 1):
            key = [row[name] for name in self._key]
            document = {name: value for name, value in row.items() if name != ID_COLUMN}
            if None in key or key == [""]:
                reason = f"the key {', '.join(self._key)} is missing"
                bad_rows.append(BadRow(self.name, number, "missing-key", reason, document_excerpt(document)))
                continue
            action = self._action(number, key, document)
            documents[action["_id"]] = action, document
        actions = [action for action, _ in documents.values()]
        for position, reason in self._cluster.bulk(actions):
            name = actions[position]["_id"]
            content = document_excerpt(documents[name][1])
            bad_rows.append(BadRow(self.name, name, "document-rejected", reason, content))
        self._rows += table.num_rows
        return bad_rows

    def _action(self, number: int, key: Sequence[Any], document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the action of a bulk request that writes a document."""
        if not key:
            return {"_op_type": "index", "_index": self._index, "_id": str(number), "_source": nested(document)}
        return {
            "_op_type": "update",
            "_index": self._index,
            "_id": document_id(key),
            "doc": nested(document),
            "doc_as_upsert": True,
            "retry_on_conflict": UPDATE_RETRIES,
        }

    def commit(self, checkpoint: Checkpoint) -> None:
        """Save the checkpoint as a document."""
        body = {
            "index": self._index,
            "index_ids": self._index_ids,
            "rows": self._rows,
            "checkpoint": json.dumps(checkpoint),
        }
        self._cluster.request("PUT", self._checkpoint_path, body)

    def finish(self) -> None:
        """Make all documents visible to searches."""
        self._cluster.request("POST", f"{self._path}/_refresh")

    def close(self) -> None:
        """Close the connections."""
        self._cluster.close()


def _require_separate_paths(names: Sequence[str]) -> None:
    """Raise `OptionError` if columns cannot be the fields of one document, such as `a` and `a.b`."""
    for name in names:
        parts = name.split(".")
        outer = next((o for n in range(1, len(parts)) if (o := ".".join(parts[:n])) in names), None)
        if outer is not None or not all(parts):
            problem = "has an empty part between dots" if outer is None else f"lies inside the column {outer!r}"
            raise OptionError(
                f"column {name!r} {problem}, which a document cannot contain; choose other columns with `columns`",
                code="unsupported-column",
                column=name,
            )


def _label_columns(names: Sequence[str]) -> list[str]:
    """Return the label columns: the one with the default prefix, and those whose probability column exists."""
    prefixes = [name.removesuffix(LABEL) for name in names if name.endswith(LABEL)]
    return [
        f"{prefix}{LABEL}" for prefix in prefixes if prefix == DEFAULT_PREFIX or f"{prefix}{PROBABILITY}" in names
    ]
