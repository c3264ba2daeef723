"""Types of PostgreSQL that a source reads as text, null, or a key, on a real server."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.helpers.postgresql_server import execute
from tests.helpers.scoring import read_rows, score_uris

from fastlstm.inference import Classifier
from fastlstm.integrations import postgresql

pytest.importorskip("psycopg")
UTC = datetime.timezone.utc


@pytest.fixture(autouse=True)
def _one_row_per_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.integrations.postgresql.source.ROWS_PER_CHUNK", 1)


def rows_of(url: str, **options: Any) -> list[dict[str, Any]]:
    source = postgresql.open_source(url, text_columns=[], **options)
    return [row for chunk in source.chunks(None) for row in chunk.batch.to_pylist()]


def test_arrays_are_read_as_text(database: str, classifier: Classifier, tmp_path: Path) -> None:
    execute(
        database,
        "CREATE TABLE reviews (id integer PRIMARY KEY, text text, numbers integer[], grid double precision[][], "
        "days date[], flags boolean[], data bytea[])",
    )
    execute(
        database,
        "INSERT INTO reviews VALUES (1, 'good', '{1,NULL,3}', '{{1.5},{2}}', '{2024-05-06,infinity}', '{t,f}', "
        "'{\"\\\\xff\"}'), (2, 'bad', NULL, '{}', NULL, NULL, NULL)",
    )
    score_uris(classifier, f"{database}?table=reviews", str(tmp_path / "out.parquet"))
    first, second = read_rows(tmp_path / "out.parquet")
    assert (first["numbers"], first["grid"]) == ("{1,NULL,3}", "{{1.5},{2}}")
    assert (first["days"], first["flags"], first["data"]) == ("{2024-05-06,infinity}", "{t,f}", '{"\\\\xff"}')
    assert (second["numbers"], second["grid"]) == (None, "{}")
    execute(database, "CREATE TABLE scored (LIKE reviews INCLUDING ALL)")
    execute(database, "ALTER TABLE scored ADD predicted_label text, ADD predicted_probability real")
    score_uris(classifier, f"{database}?table=reviews", f"{database}?table=scored", key="id")
    copied = execute(database, "SELECT id, text, numbers, grid, flags, data FROM scored ORDER BY id")
    assert copied == execute(database, "SELECT id, text, numbers, grid, flags, data FROM reviews ORDER BY id")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/New_York"])
def test_dates_and_times_that_python_lacks_are_null(
    database: str, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", zone)
    execute(
        database, "CREATE TABLE reviews (id integer PRIMARY KEY, day date, local timestamp, moment timestamptz)"
    )
    for number, (day, moment) in enumerate(
        [
            ("infinity", "infinity"),
            ("-infinity", "-infinity"),
            ("0044-03-15 BC", "0044-03-15 12:00+00 BC"),
            ("10000-01-01", "10000-01-01 00:00+00"),
            ("0001-01-01", "0001-01-01 00:00+00"),
            ("9999-12-31", "9999-12-31 23:59:59.999999+00"),
            ("2024-05-06", "2024-05-06 07:08:09+02"),
        ]
    ):
        execute(
            database, "INSERT INTO reviews VALUES (%s, %s, %s, %s)", number, day, moment.replace("+", " +"), moment
        )
    rows = rows_of(f"{database}?table=reviews")
    nothing = {"day": None, "local": None, "moment": None}
    assert rows[:4] == [{"id": number, **nothing} for number in range(4)]
    assert [row["day"] for row in rows[4:]] == [datetime.date.min, datetime.date.max, datetime.date(2024, 5, 6)]
    first, last = datetime.datetime.min, datetime.datetime.max
    local = datetime.datetime(2024, 5, 6, 7, 8, 9)
    assert [row["local"] for row in rows[4:]] == [first, last, local]
    moment_in_utc = datetime.datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)
    assert [row["moment"] for row in rows[4:]] == [
        first.replace(tzinfo=UTC),
        last.replace(tzinfo=UTC),
        moment_in_utc,
    ]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("date", ["-infinity", "0044-03-15 BC", "2024-05-06", "2024-05-07", "infinity"]),
        ("timestamptz", ["0044-03-15 BC", "2024-05-06 07:08:09.000001+02", "2024-05-06 07:08:10+02", "infinity"]),
        ("bytea", [r"\x00", r"\x005c27", r"\xff"]),
        ("double precision", ["-1e300", "0.1", "0.30000000000000004", "NaN"]),
        ("integer[]", ["{1}", "{1,2}", "{2}"]),
        ("boolean", ["f", "t"]),
    ],
)
def test_reading_continues_after_keys_of_any_type(database: str, kind: str, values: list[str]) -> None:
    execute(database, f"CREATE TABLE reviews (key {kind} PRIMARY KEY, number integer)")
    for number, value in enumerate(values):
        execute(database, "INSERT INTO reviews VALUES (%s, %s)", value, number)
    source = postgresql.open_source(f"{database}?table=reviews", text_columns=[], columns=["number"])
    for number, chunk in enumerate(source.chunks(None)):
        assert chunk.batch.to_pylist() == [{"number": number}]
        rest = [row["number"] for later in source.chunks(chunk.position) for row in later.batch.to_pylist()]
        assert rest == list(range(number + 1, len(values)))
