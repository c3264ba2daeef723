"""Tables of PostgreSQL as sinks: keys, computed columns, names and values, on a real server."""

from __future__ import annotations

import datetime
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet
from tests.helpers.postgresql_server import execute
from tests.helpers.scoring import make_table, score_uris, write_table

from fastlstm.errors import OptionError, ResumeError
from fastlstm.inference import Classifier
from fastlstm.integrations import postgresql
from fastlstm.integrations.postgresql import PostgresSink, open_sink
from fastlstm.integrations.postgresql.sink import STAGING

pytest.importorskip("psycopg")
ADD_PREDICTIONS = "ALTER TABLE reviews ADD predicted_label text, ADD predicted_probability real"


def tables(database: str) -> list[str]:
    query = (
        "SELECT tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1"
    )
    return [name for (name,) in execute(database, query)]


def test_generated_and_identity_columns_can_be_copied_in_an_update(database: str, classifier: Classifier) -> None:
    execute(
        database,
        "CREATE TABLE reviews (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text text, "
        "length integer GENERATED ALWAYS AS (length(text)) STORED)",
    )
    execute(database, "INSERT INTO reviews (text) VALUES ('good'), ('bad film')")
    execute(database, ADD_PREDICTIONS)
    query = f"{database}?query=SELECT id, text, length FROM reviews UNION ALL SELECT 7, 'great', 0"
    score_uris(classifier, query, f"{database}?table=reviews", key="id")
    rows = execute(database, "SELECT id, text, length, predicted_label FROM reviews ORDER BY id")
    assert [row[:3] for row in rows] == [(1, "good", 4), (2, "bad film", 8), (7, "great", 5)]
    assert [row[3] for row in rows] == classifier.predict(["good", "bad film", "great"])


def test_generated_and_identity_columns_can_be_copied_into_an_empty_table(
    database: str, classifier: Classifier, tmp_path: Path
) -> None:
    execute(
        database,
        "CREATE TABLE reviews (text text, id bigint GENERATED ALWAYS AS IDENTITY, "
        "length integer GENERATED ALWAYS AS (length(text)) STORED)",
    )
    execute(database, ADD_PREDICTIONS)
    (tmp_path / "in.csv").write_text("id,text,length\n5,good,9\n3,bad film,9\n")
    score_uris(classifier, str(tmp_path / "in.csv"), f"{database}?table=reviews")
    assert execute(database, "SELECT id, text, length FROM reviews") == [(5, "good", 4), (3, "bad film", 8)]


def test_identity_columns_that_are_no_key_keep_their_values(
    database: str, classifier: Classifier, tmp_path: Path
) -> None:
    execute(
        database,
        "CREATE TABLE reviews (code text UNIQUE, id bigint GENERATED ALWAYS AS IDENTITY, text text)",
    )
    execute(database, "INSERT INTO reviews (code, text) VALUES ('a', 'old')")
    execute(database, ADD_PREDICTIONS)
    (tmp_path / "in.csv").write_text("code,id,text\na,8,new\nb,9,new\n")
    score_uris(classifier, str(tmp_path / "in.csv"), f"{database}?table=reviews", key="code")
    assert execute(database, "SELECT code, id, text FROM reviews ORDER BY 1") == [("a", 1, "new"), ("b", 9, "new")]


def test_a_generated_column_can_be_the_key(database: str, classifier: Classifier, tmp_path: Path) -> None:
    execute(
        database,
        "CREATE TABLE reviews (text text, code text GENERATED ALWAYS AS (upper(text)) STORED UNIQUE)",
    )
    execute(database, "INSERT INTO reviews (text) VALUES ('good')")
    execute(database, ADD_PREDICTIONS)
    (tmp_path / "in.csv").write_text("code,text\nGOOD,good\nBAD,bad\n")
    score_uris(classifier, str(tmp_path / "in.csv"), f"{database}?table=reviews", key="code")
    rows = execute(database, "SELECT code, text, predicted_label FROM reviews ORDER BY 1")
    assert rows == [("BAD", "bad", classifier.predict("bad")), ("GOOD", "good", classifier.predict("good"))]


@pytest.mark.parametrize("existing", [[], [1]])
def test_the_server_compares_keys(
    database: str, classifier: Classifier, tmp_path: Path, existing: list[int]
) -> None:
    execute(database, "CREATE TABLE reviews (id integer PRIMARY KEY, text text)")
    for number in existing:
        execute(database, "INSERT INTO reviews VALUES (%s, 'old')", number)
    execute(database, ADD_PREDICTIONS)
    (tmp_path / "in.csv").write_text("id,text\n01,first\n2,other\n1,second\n001,last\n")
    score_uris(classifier, str(tmp_path / "in.csv"), f"{database}?table=reviews", key="id")
    assert execute(database, "SELECT id, text FROM reviews ORDER BY id") == [(1, "last"), (2, "other")]


def test_one_commit_can_have_several_writes(database: str) -> None:
    sink = postgresql.open_sink(f"{database}?table=scored", key=["id"])
    sink.start(make_table(1).schema, resume=False)
    for first in (0, 2):
        sink.write(make_table(4, first))
    sink.commit({"finished": True})
    sink.close()
    assert execute(database, "SELECT id FROM scored ORDER BY id") == [(number,) for number in range(6)]


@pytest.mark.parametrize("key", ["%id", ()])
@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ("100%25.%25s%25(a)s", '"100%"."%s%(a)s"'),
        ('"my.schema"."t""1.2"', '"my.schema"."t""1.2"'),
        ('"with.dot"', '"with.dot"'),
        ("{}.{0}", '"{}"."{0}"'),
    ],
)
def test_names_can_contain_any_character(
    database: str, classifier: Classifier, tmp_path: Path, parameter: str, name: str, key: Any
) -> None:
    for schema in ("100%", "my.schema", "{}"):
        execute(database, f'CREATE SCHEMA "{schema}"')
    table = make_table(20).rename_columns(["%id", "text", "st.ars %s"])
    source, url = write_table(tmp_path / "in.parquet", table), f"{database}?table={parameter}"
    score_uris(classifier, str(source), url, key=key, rows_per_commit=5)
    assert execute(database, f'SELECT "%id", "st.ars %s" FROM {name} ORDER BY 1') == list(
        zip(table["%id"].to_pylist(), table["st.ars %s"].to_pylist(), strict=True)
    )
    copy = tmp_path / "copy.parquet"
    score_uris(classifier, url, str(copy), columns=["%id", "text", "st.ars %s"], key="%id")
    assert parquet.read_table(copy).select(table.column_names) == table


@pytest.mark.parametrize("table", [".", "a.", ".a", "a..b", '"a', '"a"b', '""'])
def test_malformed_names_raise(table: str) -> None:
    with pytest.raises(OptionError) as error:
        postgresql.open_sink(f"postgresql://host/shop?table={table}")
    assert (error.value.code, error.value.table) == ("bad-database-url", table)


def test_nul_characters_inside_nested_values_are_rejected(
    database: str, classifier: Classifier, tmp_path: Path
) -> None:
    kind = pyarrow.list_(
        pyarrow.struct({"name": pyarrow.string(), "map": pyarrow.map_(pyarrow.string(), "string")})
    )
    nested = [
        [{"name": "a\0", "map": []}],
        [{"name": "b", "map": [("k", "v\0")]}],
        [{"name": "\\u0000", "map": [("k", "v")]}],
        None,
    ]
    rows = pyarrow.table({"id": [1, 2, 3, 4], "text": ["good"] * 4, "nested": pyarrow.array(nested, kind)})
    parquet.write_table(rows, tmp_path / "in.parquet")
    result = score_uris(classifier, str(tmp_path / "in.parquet"), f"{database}?table=scored")
    assert result.bad_rows == {"nul-character": 2}
    assert execute(database, "SELECT id, nested FROM scored ORDER BY id") == [
        (3, [{"name": "\\u0000", "map": [["k", "v"]]}]),
        (4, None),
    ]


def test_values_that_json_and_python_lack_are_null(database: str, classifier: Classifier, tmp_path: Path) -> None:
    rows = pyarrow.table(
        {
            "id": [1],
            "text": ["good"],
            "numbers": [[float("nan"), 1.5]],
            "late": pyarrow.array([300_000_000_000], pyarrow.timestamp("s")),
        }
    )
    parquet.write_table(rows, tmp_path / "in.parquet")
    execute(database, "CREATE TABLE scored (id int, text text, numbers jsonb, late timestamp, predicted_label text, "
            "predicted_probability real)")  # fmt: skip
    score_uris(classifier, str(tmp_path / "in.parquet"), f"{database}?table=scored")
    assert execute(database, "SELECT numbers, late::text FROM scored") == [([None, 1.5], None)]


def test_a_resumed_run_creates_nothing(database: str, classifier: Classifier, tmp_path: Path) -> None:
    source, url = write_table(tmp_path / "in.parquet", make_table(5)), f"{database}?table=scored"
    for existing in ([], ["scored"]):
        with pytest.raises(ResumeError) as error:
            score_uris(classifier, str(source), url, resume=True)
        assert error.value.code == "no-checkpoint"
        assert tables(database) == existing
        execute(database, "CREATE TABLE IF NOT EXISTS scored (id bigint)")


def test_runs_whose_table_is_dropped_cannot_be_resumed(
    database: str, classifier: Classifier, tmp_path: Path
) -> None:
    source, url = write_table(tmp_path / "in.parquet", make_table(5)), f"{database}?table=scored"
    score_uris(classifier, str(source), url)
    execute(database, "DROP TABLE scored")
    with pytest.raises(ResumeError) as error:
        score_uris(classifier, str(source), url, resume=True)
    assert error.value.code == "no-checkpoint"
    assert tables(database) == ["fastlstm_checkpoints"]


def test_checkpoints_are_kept_exactly(database: str) -> None:
    checkpoint = {"finished": False, "a'b\\c": ["%s", "{}", 'é"', None]}
    sink = postgresql.open_sink(f"{database}?table=scored")
    sink.start(make_table(1).schema, resume=False)
    sink.commit(checkpoint)
    sink.close()
    again = postgresql.open_sink(f"{database}?table=scored")
    assert json.dumps(again.start(make_table(1).schema, resume=True)) == json.dumps(checkpoint)
    again.close()


def start_sink(url: str, *, resume: bool, **options: Any) -> PostgresSink:
    sink = open_sink(url, **options)
    try:
        sink.start(SCORED, resume=resume)
    except BaseException:
        sink.close()
        raise
    return sink


SCORED = pyarrow.schema({"id": pyarrow.int64(), "text": pyarrow.string()})
TWO_ROWS = pyarrow.table({"id": [1, 2], "text": ["a", "b"]}, schema=SCORED)


def commit_two_rows(url: str, **options: Any) -> None:
    sink = start_sink(url, resume=False, **options)
    sink.write(TWO_ROWS)
    sink.commit({"rows": 2, "finished": False})
    sink.close()


def test_a_table_has_one_checkpoint_however_it_is_named(database: str) -> None:
    commit_two_rows(f"{database}?table=scored", key=["id"])
    with pytest.raises(OptionError) as error:
        start_sink(f"{database}?table=public.scored", resume=False, key=["id"])
    assert error.value.code == "output-exists"
    start_sink(f"{database}?table=public.scored", resume=True, key=["id"]).close()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("TRUNCATE scored", []),
        ("DELETE FROM scored WHERE id = 1", []),
        ("DROP TABLE scored; CREATE TABLE scored (id int PRIMARY KEY, text text)", ["id"]),
    ],
)
def test_runs_whose_table_has_changed_cannot_be_resumed(database: str, change: str, key: list[str]) -> None:
    commit_two_rows(f"{database}?table=scored", key=key)
    execute(database, change)
    with pytest.raises(ResumeError) as error:
        start_sink(f"{database}?table=scored", resume=True, key=key)
    assert error.value.code == "sink-changed"


def test_a_table_can_have_the_name_of_the_temporary_one(database: str, classifier: Classifier) -> None:
    execute(database, "CREATE TABLE reviews (id int PRIMARY KEY, text text); "
            "INSERT INTO reviews VALUES (1, 'good'), (2, 'bad')")  # fmt: skip
    score_uris(classifier, f"{database}?table=reviews", f"{database}?table={STAGING}", key="id")
    assert execute(database, f"SELECT count(*) FROM public.{STAGING}") == [(2,)]


def test_names_of_columns_that_would_be_cut_are_refused(database: str) -> None:
    sink = open_sink(f"{database}?table=scored")
    with closing(sink), pytest.raises(OptionError) as error:
        sink.start(pyarrow.schema({"é" * 32: pyarrow.int64()}), resume=False)
    assert error.value.code == "column-name-too-long"


def test_nul_characters_in_keys_of_structs_are_rejected(database: str) -> None:
    table = pyarrow.table({"id": [1, 2], "s": [{"a\0": 1}, {"a\0": None}]})
    with closing(open_sink(f"{database}?table=scored")) as sink:
        sink.start(table.schema, resume=False)
        assert [row.code for row in sink.write(table)] == ["nul-character", "nul-character"]


def test_created_columns_have_the_type_of_the_values(database: str) -> None:
    columns = {
        "small": (pyarrow.array([b"\xff"], pyarrow.large_binary()), "bytea", b"\xff"),
        "fixed": (pyarrow.array([b"ab"], pyarrow.binary(2)), "bytea", b"ab"),
        "day": (pyarrow.array([datetime.date(2024, 5, 6)], pyarrow.date64()), "date", datetime.date(2024, 5, 6)),
        "at": (pyarrow.array([datetime.time(7, 8, 9)], pyarrow.time64("us")), "time", datetime.time(7, 8, 9)),
        "half": (pyarrow.array(np.array([0.5], np.float16)), "float4", 0.5),
        "kind": (pyarrow.array(["a"]).dictionary_encode(), "text", "a"),
    }
    table = pyarrow.table({"text": ["good"], **{name: array for name, (array, _, _) in columns.items()}})
    sink = open_sink(f"{database}?table=scored")
    with closing(sink):
        sink.start(table.schema, resume=False)
        assert sink.write(table) == []
        sink.commit({})
    types = dict(
        execute(
            database, "SELECT column_name, udt_name FROM information_schema.columns WHERE table_name = 'scored'"
        )
    )
    assert types == {"text": "text", **{name: kind for name, (_, kind, _) in columns.items()}}
    assert execute(database, f"SELECT {', '.join(columns)} FROM scored") == [
        tuple(value for _, _, value in columns.values())
    ]
