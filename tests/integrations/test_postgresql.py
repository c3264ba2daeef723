"""PostgreSQL as source, sink and training data, on a real server."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.command_line import SMALL, reviews
from tests.helpers.postgresql_server import PASSWORD, execute
from tests.helpers.scoring import (
    Killed,
    KilledSink,
    file_sink_of,
    file_source_of,
    ids,
    make_table,
    read_rows,
    score_uris,
    score_with,
    write_table,
)

import fastlstm
from fastlstm.errors import DataError, OptionError, ResumeError, WriteError
from fastlstm.inference import Classifier
from fastlstm.integrations import postgresql
from fastlstm.integrations.postgresql import source as source_module
from fastlstm.notes import Note
from fastlstm.scoring import file_readers
from fastlstm.scoring.events import ScoreResult
from fastlstm.scoring.settings import ScoreSettings

psycopg = pytest.importorskip("psycopg")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (source_module, file_readers):
        monkeypatch.setattr(module, "ROWS_PER_CHUNK", 7)


def count_rows(url: str) -> int:
    """Read all rows of a source."""
    source = postgresql.open_source(url, text_columns=["text"])
    return sum(chunk.batch.num_rows for chunk in source.chunks(None))


def make_reviews(database: str, rows: int, *, key: str = "PRIMARY KEY") -> None:
    execute(database, f"CREATE TABLE reviews (id bigint {key}, text text, stars double precision)")
    with psycopg.connect(database) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO reviews VALUES (%s, %s, %s)", [tuple(row.values()) for row in make_table(rows).to_pylist()]
        )


def score(model: Classifier, source: Any, sink: Any, **options: Any) -> ScoreResult:
    """Score between paths and URLs, in this process."""
    return score_uris(model, str(source), str(sink), **options)


def test_a_table_becomes_a_table_with_predictions(database: str, classifier: Classifier) -> None:
    make_reviews(database, 30)
    result = score(
        classifier, f"{database}?table=reviews", f"{database}?table=scored", key="id", rows_per_commit=10
    )
    rows = execute(database, "SELECT * FROM scored ORDER BY id")
    texts = [row[1] for row in rows]
    assert [row[:3] for row in rows] == [tuple(row.values()) for row in make_table(30).to_pylist()]
    assert [row[3] for row in rows] == classifier.predict(texts)
    assert result.rows == 30


def test_a_query_becomes_a_file(database: str, classifier: Classifier, tmp_path: Path) -> None:
    make_reviews(database, 30)
    query = "SELECT text AS review, id FROM reviews WHERE id % 2 = 1;"
    score(classifier, f"{database}?query={query.replace('%', '%25')}", tmp_path / "out.parquet",
          text_column="review", columns=["id"], key="id")  # fmt: skip
    assert ids(read_rows(tmp_path / "out.parquet")) == list(range(1, 30, 2))


def test_types_survive(database: str, classifier: Classifier, tmp_path: Path) -> None:
    execute(
        database,
        "CREATE TABLE reviews (text text, small smallint, big bigint, price numeric(8, 2), seen timestamptz, day date, "
        "ok boolean, raw bytea, tags text[], data jsonb, id uuid PRIMARY KEY)",
    )
    execute(
        database,
        "INSERT INTO reviews VALUES ('good', 1, 2, 3.50, '2024-05-06 07:08:09+02', '2024-05-06', true, '\\xff', "
        "'{a,b}', '{\"x\": 1}', '00000000-0000-0000-0000-000000000001')",
    )
    score(classifier, f"{database}?table=reviews", tmp_path / "out.parquet")
    (row,) = read_rows(tmp_path / "out.parquet")
    assert row["seen"] == datetime.datetime(2024, 5, 6, 5, 8, 9, tzinfo=datetime.timezone.utc)
    assert (row["small"], row["big"], row["price"], row["day"]) == (1, 2, "3.50", datetime.date(2024, 5, 6))
    assert (row["ok"], row["raw"], row["tags"], row["data"]) == (True, b"\xff", "{a,b}", '{"x": 1}')
    execute(database, "CREATE TABLE scored (LIKE reviews INCLUDING ALL)")
    execute(database, "ALTER TABLE scored ADD predicted_label text, ADD predicted_probability real")
    score(classifier, f"{database}?table=reviews", f"{database}?table=scored", key="id")
    before = execute(database, "SELECT * FROM reviews")
    assert [row[:-2] for row in execute(database, "SELECT * FROM scored")] == before


def test_rows_are_updated_by_key(database: str, classifier: Classifier) -> None:
    make_reviews(database, 20)
    execute(database, "ALTER TABLE reviews ADD predicted_label text, ADD predicted_probability real")
    execute(database, "ALTER TABLE reviews ALTER stars SET NOT NULL")
    url = f"{database}?table=reviews"
    score(classifier, f"{database}?query=SELECT id, text FROM reviews", url, key="id", columns=["id"])
    rows = execute(database, "SELECT stars, predicted_label, text FROM reviews ORDER BY id")
    assert [row[0] for row in rows] == make_table(20).column("stars").to_pylist()
    assert [row[1] for row in rows] == classifier.predict([row[2] for row in rows])


def test_the_last_of_repeated_keys_counts(database: str, classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,text\n1,first\n2,other\n1,last\n")
    score(classifier, tmp_path / "in.csv", f"{database}?table=scored", key="id")
    assert execute(database, "SELECT id, text FROM scored ORDER BY id") == [("1", "last"), ("2", "other")]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("key", ["id", ()])
def test_every_row_is_there_once_after_a_failure_at_any_step(
    database: str, classifier: Classifier, tmp_path: Path, key: Any, after: bool
) -> None:
    source, url = write_table(tmp_path / "in.parquet", make_table(30)), f"{database}?table=scored"
    settings = ScoreSettings.create({"key": key, "rows_per_commit": 10})
    call, is_complete = 2, False  # the first call saves the checkpoint of a new run
    while not is_complete:
        execute(database, "DROP TABLE IF EXISTS scored, fastlstm_checkpoints")
        sink = KilledSink(postgresql.open_sink(url, key=settings.key), call, after=after)
        try:
            score_with(classifier, file_source_of(source, settings), sink, settings)
            is_complete = True
        except Killed:
            assert score(classifier, source, url, key=key, rows_per_commit=10, resume=True).rows == 30
        assert execute(database, "SELECT count(*), count(DISTINCT id) FROM scored") == [(30, 30)]
        call += 1
    assert call > 6


def test_an_earlier_result_stays_if_the_key_is_repeated(
    database: str, classifier: Classifier, tmp_path: Path
) -> None:
    make_reviews(database, 20)
    query = f"{database}?query=SELECT id, text, id / 2 AS pair FROM reviews"
    score(classifier, query, tmp_path / "out", key="id")
    with pytest.raises(DataError) as error:
        score(classifier, query, tmp_path / "out", key="pair", overwrite=True)
    assert error.value.code == "bad-key"
    assert sorted(ids(read_rows(tmp_path / "out"))) == list(range(20))


def test_reading_continues_after_every_chunk(database: str) -> None:
    make_reviews(database, 25)
    source = postgresql.open_source(f"{database}?table=reviews", text_columns=["text"])
    chunks = list(source.chunks(None))
    assert [chunk.batch.num_rows for chunk in chunks] == [7, 7, 7, 4]
    assert chunks[-1].fraction == 1.0
    for number, chunk in enumerate(chunks):
        rest = [row["id"] for later in source.chunks(chunk.position) for row in later.batch.to_pylist()]
        assert rest == list(range(25))[7 * (number + 1) :]


def test_composite_keys_of_text_and_dates_continue(database: str) -> None:
    execute(database, "CREATE TABLE reviews (shop text, day date, text text, PRIMARY KEY (shop, day))")
    for shop in ("a", "B", "ä"):
        for day in range(1, 8):
            execute(database, "INSERT INTO reviews VALUES (%s, %s, 'good')", shop, datetime.date(2024, 1, day))
    source = postgresql.open_source(f"{database}?table=reviews", text_columns=["text"], columns=["shop", "day"])
    everything = [row for chunk in source.chunks(None) for row in chunk.batch.to_pylist()]
    for chunk in list(source.chunks(None))[:-1]:
        seen = chunk.position["rows"]
        assert [row for later in source.chunks(chunk.position) for row in later.batch.to_pylist()] == everything[
            seen:
        ]


@pytest.mark.parametrize("rows", [[(1, "a"), (1, "b")], [(1, "a"), (None, "b")]])
def test_keys_must_identify_rows(database: str, rows: list[tuple[int | None, str]]) -> None:
    execute(database, "CREATE TABLE reviews (id integer, text text)")
    for row in rows:
        execute(database, "INSERT INTO reviews VALUES (%s, %s)", *row)
    with pytest.raises(DataError) as error:
        postgresql.open_source(f"{database}?table=reviews", text_columns=["text"], key=["id"])
    assert error.value.code == "bad-key"


def test_tables_without_a_key_cannot_be_resumed(database: str, classifier: Classifier, tmp_path: Path) -> None:
    make_reviews(database, 10, key="")
    url = f"{database}?table=reviews"
    settings = ScoreSettings.create({})
    source = postgresql.open_source(url, text_columns=["text"])
    events = score_with(classifier, source, file_sink_of(tmp_path / "out", settings), settings)
    assert "no-key" in [event.code for event in events if isinstance(event, Note)]
    with pytest.raises(ResumeError) as error:
        list(source.chunks({"key": None, "rows": 5}))
    assert error.value.code == "no-key"


def test_nul_characters_are_rejected(database: str, classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": 1, "text": "a\\u0000b"}\n{"id": 2, "text": "good"}\n')
    result = score(classifier, tmp_path / "in.jsonl", f"{database}?table=scored", bad_rows=tmp_path / "rejects.csv")
    assert (result.rows, result.bad_rows) == (1, {"nul-character": 1})
    assert execute(database, "SELECT id FROM scored") == [(2,)]


def test_tables_with_rows_need_a_key(database: str, classifier: Classifier, tmp_path: Path) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(5))
    score(classifier, source, f"{database}?table=scored")
    with pytest.raises(OptionError) as error:
        score(classifier, source, f"{database}?table=scored")
    assert error.value.code == "output-exists"


def test_missing_columns_of_the_sink_are_named(database: str, classifier: Classifier, tmp_path: Path) -> None:
    execute(database, "CREATE SCHEMA lab")
    execute(database, "CREATE TABLE lab.scored (id bigint, text text)")
    source = write_table(tmp_path / "in.parquet", make_table(5))
    with pytest.raises(OptionError) as error:
        score(classifier, source, f"{database}?table=lab.scored")
    assert error.value.code == "missing-sink-column"
    assert error.value.columns == ["stars", "predicted_label", "predicted_probability"]


def test_a_failed_transaction_keeps_earlier_ones(database: str, classifier: Classifier, tmp_path: Path) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(30))
    execute(
        database,
        "CREATE TABLE scored (id bigint CHECK (id < 20), text text, stars real, predicted_label text, "
        "predicted_probability real)",
    )
    with pytest.raises(WriteError) as error:
        score(classifier, source, f"{database}?table=scored", rows_per_commit=10)
    assert error.value.path.endswith("?table=scored")
    kept = execute(database, "SELECT count(*) FROM scored")[0][0]
    assert kept == 14  # commits end with chunks of seven rows
    execute(database, "ALTER TABLE scored DROP CONSTRAINT scored_id_check")
    score(classifier, source, f"{database}?table=scored", rows_per_commit=10, resume=True)
    assert execute(database, "SELECT count(*), count(DISTINCT id) FROM scored") == [(30, 30)]


def test_passwords_are_never_shown(postgresql_server: str) -> None:
    url = postgresql_server.replace("tester@", "tester:wrong-secret@") + "?table=reviews"
    for open_it in (
        lambda: postgresql.open_source(url, text_columns=["text"]),
        lambda: fastlstm.read_dataset(url),
    ):
        with pytest.raises(DataError) as error:
            open_it()
        assert error.value.code == "cannot-connect"
        assert "wrong-secret" not in str(error.value) + repr(error.value.values)


@pytest.mark.parametrize(
    ("parameters", "code"),
    [("table=nothing", "query-failed"), ("query=SELEC", "query-failed"), ("", "bad-database-url")],
)
def test_wrong_queries_raise(database: str, parameters: str, code: str) -> None:
    for open_it in (
        lambda: postgresql.open_source(f"{database}?{parameters}", text_columns=["text"]),
        lambda: fastlstm.read_dataset(f"{database}?{parameters}"),
    ):
        with pytest.raises((DataError, OptionError)) as error:
            open_it()
        assert error.value.code == code


def test_urls_of_libpq_keep_their_parts() -> None:
    url = postgresql.parse_url("postgresql:///shop?table=t&service=s&options=-c%20search_path%3Dlab")
    assert url.conninfo == "postgresql:///shop?service=s&options=-c%20search_path%3Dlab"
    assert postgresql.parse_url("postgresql://?service=shop&table=t").conninfo == "postgresql://?service=shop"


def test_other_queries_cannot_continue_a_run(database: str, classifier: Classifier, tmp_path: Path) -> None:
    make_reviews(database, 5)
    query = f"{database}?query=SELECT * FROM reviews"
    score(classifier, query, tmp_path / "out", key="id")
    with pytest.raises(ResumeError) as error:
        score(classifier, f"{query} WHERE id > 2", tmp_path / "out", key="id", resume=True)
    assert error.value.settings == ["source"]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 AS id, 'a' AS text) AS s; DELETE FROM reviews; SELECT * FROM (SELECT 1 AS id, 'x' AS text",
        "SELECT * FROM remove_all()",
    ],
)
def test_queries_cannot_write(database: str, query: str) -> None:
    make_reviews(database, 5)
    execute(
        database,
        "CREATE FUNCTION remove_all() RETURNS SETOF reviews LANGUAGE sql AS 'DELETE FROM reviews RETURNING *'",
    )
    with pytest.raises(DataError) as error:
        count_rows(f"{database}?query={query}")
    assert error.value.code == "query-failed"
    assert execute(database, "SELECT count(*) FROM reviews") == [(5,)]


def test_queries_can_end_in_a_comment(database: str) -> None:
    make_reviews(database, 5)
    assert count_rows(f"{database}?query=SELECT * FROM reviews -- all") == 5


def test_rows_without_a_key_are_rejected(database: str, classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(
        '{"id": null, "text": "a"}\n{"id": 2, "text": "b"}\n{"id": null, "text": "c"}\n'
    )
    result = score(classifier, tmp_path / "in.jsonl", f"{database}?table=scored", key="id")
    assert (result.rows, result.bad_rows) == (1, {"missing-key": 2})


def test_missing_columns_raise(database: str) -> None:
    make_reviews(database, 3)
    for options in ({"text_columns": ["x"]}, {"text_columns": ["text"], "key": ["x"]}):
        with pytest.raises(DataError) as error:
            postgresql.open_source(f"{database}?table=reviews", **options)
        assert (error.value.code, error.value.column) == ("missing-column", "x")


def test_labelled_rows_are_read(database: str) -> None:
    execute(database, "CREATE TABLE reviews (text text, label integer)")
    for text, label in (("good film", 1), ("bad film", 0), (None, 1)):
        execute(database, "INSERT INTO reviews VALUES (%s, %s)", text, label)
    dataset = fastlstm.read_dataset(f"{database}?query=SELECT text, label FROM reviews WHERE text IS NOT NULL")
    assert (dataset.texts, dataset.labels) == (["good film", "bad film"], ["1", "0"])
    assert "tester" not in dataset.source


def test_models_are_trained_on_rows_and_contain_no_password(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    from fastlstm.cli import main

    monkeypatch.delenv("PGPASSWORD")
    execute(database.replace("tester@", f"tester:{PASSWORD}@"), "CREATE TABLE reviews (text text, label text)")
    url = database.replace("tester@", f"tester:{PASSWORD}@")
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany("INSERT INTO reviews VALUES (%s, %s)", reviews(120, seed=0))
    with pytest.raises(SystemExit) as exit_:
        main(["train", f"{url}?table=reviews", "--out", str(tmp_path / "model"), *SMALL])
    assert exit_.value.code == 0
    assert fastlstm.load(tmp_path / "model").labels == ("bad", "good")
    for path in (tmp_path / "model").iterdir():
        assert PASSWORD.encode() not in path.read_bytes()


def test_keys_that_are_equal_for_the_server_are_repeated(database: str) -> None:
    execute(database, "CREATE TABLE reviews (n numeric, text text); "
            "INSERT INTO reviews VALUES (1.0, 'a'), (1.00, 'b'), (2, 'c')")  # fmt: skip
    with pytest.raises(DataError) as error:
        postgresql.open_source(f"{database}?table=reviews", text_columns=["text"], key=["n"])
    assert error.value.code == "bad-key"


def test_another_primary_key_cannot_continue_a_run(database: str, classifier: Classifier, tmp_path: Path) -> None:
    make_reviews(database, 20)
    url = f"{database}?table=reviews"
    score(classifier, url, tmp_path / "out")
    execute(
        database, "ALTER TABLE reviews DROP CONSTRAINT reviews_pkey; ALTER TABLE reviews ADD PRIMARY KEY (text, id)"
    )
    with pytest.raises(ResumeError) as error:
        score(classifier, url, tmp_path / "out", resume=True)
    assert error.value.settings == ["source"]


def test_training_reads_rows_in_the_order_of_the_primary_key(database: str) -> None:
    execute(database, "CREATE TABLE reviews (id int PRIMARY KEY, text text, label text); "
            "INSERT INTO reviews VALUES (3, 'c', 'x'), (1, 'a', 'y'), (2, 'b', 'x')")  # fmt: skip
    assert fastlstm.data.read_dataset(f"{database}?table=reviews").texts == ["a", "b", "c"]


def test_urls_can_have_several_hosts() -> None:
    parsed = postgresql.parse_url("postgresql://ann:secret@one:5432,two:5433/shop?table=reviews")
    assert parsed.name == "postgresql://one:5432,two:5433/shop?table=reviews"
    assert parsed.conninfo == "postgresql://ann:secret@one:5432,two:5433/shop"
