"""`fastlstm score`: results, messages, processes, and real kills."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.helpers.command_line import Command
from tests.helpers.scoring import ids, make_table, read_rows, write_table

import fastlstm


def test_json_describes_the_result(command: Command, tmp_path: Path) -> None:
    table = make_table(40)
    source = write_table(tmp_path / "in.parquet", table)
    result = command("score", source, tmp_path / "out.parquet", "--processes", "2", "--json")
    assert result.status == 0
    assert (result.json["rows"], result.json["new_rows"], result.json["sink"]) == (
        40,
        40,
        str(tmp_path / "out.parquet"),
    )
    rows = read_rows(tmp_path / "out.parquet")
    model = fastlstm.load()
    assert [row["predicted_label"] for row in rows] == model.predict(table.column("text").to_pylist())
    assert result.json["labels"] == {
        label: sum(row["predicted_label"] == label for row in rows) for label in result.json["labels"]
    }


def test_the_report_and_the_notes_are_apart(command: Command, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,review\n1,great film\n2\n3,awful\n")
    rejects = tmp_path / "rejects.csv"
    result = command(
        "score", tmp_path / "in.csv", tmp_path / "out.csv", "--text-column", "review", "--column", "id",
        "--rejects", rejects, "--processes", "1",
    )  # fmt: skip
    assert result.status == 0
    assert result.out.splitlines()[0].split() == ["rows", "2"]
    assert str(rejects) in result.err
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == '"id","predicted_label","predicted_probability"'


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["missing.csv", "out"], 2, "file-not-found"),
        (["in.csv", "out", "--text-column", "x"], 2, "missing-column"),
        (["in.csv", "out", "--resume"], 2, "no-checkpoint"),
        (["in.csv", "in.csv"], 2, "sink-is-source"),
        ([".", "out"], 2, "sink-is-source"),
        (["postgresql://host/db?table=x", "postgresql://host/db?table=x"], 2, "sink-is-source"),
        (["postgresql://user:secret/w@host/db?table=x", "out"], 2, "bad-database-url"),
        (["in.csv", "s3://key:secret/with/slashes@"], 2, "bad-location"),
        (["in.csv", "out", "--processes", "0"], 2, "bad-option-value"),
        (["in.csv", "out.csv", "--partition-by", "id"], 2, "conflicting-options"),
        (["in.csv", "out", "--on-error", "stop"], 2, "bad-csv-row"),
        (["postgresql://user:secret@host/db", "out"], 2, "bad-database-url"),
        (["in.csv", "postgresql://user:secret@host/db?query=x"], 2, "bad-database-url"),
        (["in.csv", "postgresql://user:secret@host/db?table=x", "--format", "csv"], 2, "conflicting-options"),
        (["in.csv", "PostgreSQL://user:secret@host/db"], 2, "bad-database-url"),
        (["postgresql:/user:secret@host/db?table=x", "out"], 2, "bad-location"),
        (["postgresql+psycopg://user:secret@host/db?table=x", "out"], 2, "bad-location"),
        (["in.csv", ""], 2, "bad-location"),
        (["in.csv", "link.csv"], 2, "sink-is-source"),
        (["in.csv", "out", "--key", "id"], 2, "conflicting-options"),
        (["in.csv", "out", "--rejects", "out/rejects.csv"], 2, "conflicting-options"),
        (["in.csv", "out", "--rejects", "in.csv"], 2, "conflicting-options"),
    ],
)
def test_errors_have_a_status_and_a_code(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], status: int, code: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("id,text\n1,good\n2\n")
    (tmp_path / "link.csv").symlink_to("in.csv")
    result = command("score", *arguments)
    assert (result.status, result.code) == (status, code)
    assert "secret" not in result.err


def start(*arguments: str | Path, folder: Path) -> subprocess.Popen[str]:
    """Start the command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "fastlstm", "score", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder, start_new_session=True,
    )  # fmt: skip


def wait_for_parts(process: subprocess.Popen[str], folder: Path, parts: int) -> None:
    """Wait until a folder has part files, while the process runs."""
    while len(list(folder.glob("part-*"))) < parts:
        assert process.poll() is None, "the run has not ended"
        time.sleep(0.01)


def group_is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_killed_run_continues_and_leaves_no_processes(tmp_path: Path) -> None:
    files, rows = 10, 200
    for number in range(files):
        write_table(tmp_path / "in" / f"{number}.parquet", make_table(rows, first=rows * number))
    arguments = (tmp_path / "in", tmp_path / "out", "--processes", "2", "--rows-per-commit", str(rows))
    for parts in (1, 3):
        process = start(*arguments, *(["--resume"] if parts > 1 else []), folder=tmp_path)
        wait_for_parts(process, tmp_path / "out", parts)
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 30
        while group_is_alive(process.pid):
            assert time.monotonic() < deadline, "worker processes end with their parent"
            time.sleep(0.05)
    final = start(*arguments, "--resume", folder=tmp_path)
    final.communicate()
    assert final.returncode == 0
    assert ids(read_rows(tmp_path / "out")) == list(range(files * rows))


def test_an_interrupted_run_keeps_its_rows(tmp_path: Path) -> None:
    rows = 20_000
    source = write_table(tmp_path / "in.parquet", make_table(rows), row_group_size=1000)
    process = start(source, tmp_path / "out", "--processes", "1", "--rows-per-commit", "1000", folder=tmp_path)
    wait_for_parts(process, tmp_path / "out", 1)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    kept = ids(read_rows(tmp_path / "out"))
    assert 0 < len(kept) < rows
    assert kept == list(range(len(kept)))
