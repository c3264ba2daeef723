"""The table that compares fastlstm with what a user would otherwise take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.benchmarks import load_benchmark


def cell(data: str, method: str, accuracy: float, *, rows: int = 1000, seconds: float = 2.0) -> dict[str, Any]:
    """Return a cell of the raw result."""
    return {
        "data": data,
        "method": method,
        "rows": rows,
        "threads": 2,
        "accuracy": accuracy,
        "megabytes": 3.25,
        "texts_per_second": 12345.6,
        "training_seconds": seconds,
        "is_trained": method != "VADER",
    }


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/alternatives_report.py, with a result in memory."""
    module = load_benchmark("alternatives_report", monkeypatch)
    cells = [
        cell("SST-2", "fastText", 0.5, rows=100),
        cell("SST-2", "fastText", 0.801),
        cell("AG News", "fastText", 0.866, seconds=9.0),
        cell("SST-2", "VADER", 0.631, seconds=0.01),
        cell("AG News", "fastlstm small", 0.886, seconds=1234.5),
    ]
    machine = {"processor": "Intel(R) Xeon(R) Processor", "vendor": "GenuineIntel", "instruction_sets": []}
    result = {
        "date": "2026-11-29",
        "machine": {**machine, "family": 6, "model": 207, "stepping": 2},
        "cells": cells,
    }
    monkeypatch.setattr(module, "read_all", {"alternatives": {"a-processor": result}}.__getitem__)
    return module


def test_table_has_a_row_per_method_with_the_most_training_texts(report: Any) -> None:
    lines = report.table(report.ENGLISH).splitlines()
    assert lines[0] == "| method | SST-2 | AG News | MB | texts/s | training |"
    assert lines[2:5] == [
        "| fastText | 80.1% | 86.6% | 3.2 | 12,346 | 2 s |",
        "| VADER | 63.1% | - | 3.2 | 12,346 | none |",
        "| **fastlstm small** | - | 88.6% | 3.2 | 12,346 | 1,234 s |",
    ]


def test_accuracies_that_the_last_result_lacks_are_those_of_an_earlier_one(
    report: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = report.read_all("alternatives")["a-processor"]
    cells = [
        cell("AG News", "fastText", 0.1),  # measured again
        cell("AG News", "fastlstm small", 0.2),
        cell("SST-2", "fastlstm small", 0.8412),
        cell("SST-2", "another method", 0.9),
        cell("AG News", "VADER", 0.3, rows=500),
    ]
    earlier = {**last, "date": "2026-11-01", "cells": cells}
    results = {"a-processor": last, "b-processor": earlier}
    monkeypatch.setattr(report, "read_all", {"alternatives": results}.__getitem__)
    lines = report.table(report.ENGLISH).splitlines()
    assert lines[2:5] == [
        "| fastText | 80.1% | 86.6% | 3.2 | 12,346 | 2 s |",
        "| VADER | 63.1% | - | 3.2 | 12,346 | none |",
        "| **fastlstm small** | 84.1% | 88.6% | 3.2 | 12,346 | 1,234 s |",
    ]
    assert "another method" not in "\n".join(lines)
    assert lines[-1].count("2026-11-01") == 1


def test_note_names_rows_and_data_sets(report: Any) -> None:
    for words in (report.ENGLISH, report.CHINESE):
        note = report.table(words).splitlines()[-1]
        assert "1,000" in note
        assert "SST-2" in note
        assert "2026-11-29" in note


def test_model_size_counts_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load_benchmark("machine", monkeypatch)
    from opponents.alternative import Fitted

    (tmp_path / "folder" / "inner").mkdir(parents=True)
    (tmp_path / "file").write_bytes(bytes(1000))
    (tmp_path / "folder" / "inner" / "other").write_bytes(bytes(500))
    assert Fitted(lambda texts: list(texts), [tmp_path / "file", tmp_path / "folder"]).megabytes == 0.0015
