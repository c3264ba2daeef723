"""The file of measured speeds: damaged files, and processes that write at the same time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fastlstm.serialization.speeds import CPUINFO, Machine, processor_name, read_times, write_times

MACHINE = Machine("a processor", "v4", ("float32", "int8"), "7-1")
TIMES = {"inference 64x1": {"float32": 2e-5, "int8": 1e-5}}


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty cache folder."""
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    return tmp_path / "fastlstm"


def test_times_are_read_as_written(cache_folder: Path) -> None:
    assert read_times(MACHINE) == {}
    write_times(MACHINE, TIMES)
    assert read_times(MACHINE) == TIMES
    assert MACHINE.path.is_relative_to(cache_folder)
    assert [path for path in cache_folder.rglob("*") if path.is_file()] == [MACHINE.path]


def test_every_machine_has_a_file_of_its_own() -> None:
    others = [
        Machine("another", "v4", ("float32", "int8"), "7-1"),
        Machine("a processor", "v3", ("float32", "int8"), "7-1"),
        Machine("a processor", "v4", ("float32",), "7-1"),
        Machine("a processor", "v4", ("float32", "int8"), "8-1"),
        Machine("a processor", "v4", ("float32", "int8"), "7-1", abi=0),
        Machine("a processor", "v4", ("float32", "int8"), "7-1", measurement=0),
    ]
    assert len({machine.path for machine in [MACHINE, *others]}) == 1 + len(others)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        json.dumps({"machine": {}, "seconds": TIMES}).encode(),
        json.dumps({"machine": MACHINE.to_json(), "seconds": []}).encode(),
        json.dumps({"machine": MACHINE.to_json(), "seconds": {"a": 3}}).encode(),
        json.dumps({"machine": MACHINE.to_json(), "seconds": {"a": {"float32": "fast"}}}).encode(),
        json.dumps({"machine": MACHINE.to_json(), "seconds": {"a": {"float32": 0.0}}}).encode(),
        json.dumps({"machine": MACHINE.to_json(), "seconds": {"a": {"float32": float("nan")}}}).encode(),
        json.dumps({"machine": MACHINE.to_json(), "seconds": {"a": {"float32": float("inf")}}}).encode(),
        json.dumps({"machine": MACHINE.to_json(), "seconds": {"a": {"float32": 10**400}}}).encode(),
        json.dumps({"machine": MACHINE.to_json(), "seconds": {"a": {"float32": 1e-320}}}).encode(),
        json.dumps({"machine": MACHINE.to_json(), "seconds": {"a": {"float32": 1e300}}}).encode(),
        pytest.param(b"[" * 200_000, id="nested"),
    ],
)
def test_a_damaged_file_counts_as_absent_and_is_replaced(content: bytes) -> None:
    MACHINE.path.parent.mkdir(parents=True)
    MACHINE.path.write_bytes(content)
    assert read_times(MACHINE) == {}
    write_times(MACHINE, TIMES)
    assert read_times(MACHINE) == TIMES


@pytest.mark.parametrize("obstacle", ["file", "folder"])
def test_a_file_that_cannot_be_written_is_no_error(obstacle: str, cache_folder: Path) -> None:
    if obstacle == "file":
        cache_folder.write_bytes(b"")
    else:
        MACHINE.path.mkdir(parents=True)
    write_times(MACHINE, TIMES)
    assert read_times(MACHINE) == {}


def test_times_that_another_process_has_added_are_kept() -> None:
    write_times(MACHINE, TIMES)
    added = {"training 64x64": {"float32": 1e-3, "bfloat16": 2e-3}}
    write_times(MACHINE, added)
    assert read_times(MACHINE) == {**TIMES, **added}


def test_processes_that_write_at_the_same_time_leave_a_whole_file(tmp_path: Path) -> None:
    script = (
        "import sys, platformdirs\n"
        "from fastlstm.serialization.speeds import Machine, read_times, write_times\n"
        "platformdirs.user_cache_dir = lambda name: sys.argv[1]\n"
        "machine = Machine('a processor', 'v4', ('float32', 'int8'), '7-1')\n"
        "for i in range(50):\n"
        "    write_times(machine, {f'{sys.argv[2]} {i}': {'float32': 1.0}})\n"
        "    assert read_times(machine)\n"
    )
    arguments = [sys.executable, "-c", script, str(tmp_path / "fastlstm")]
    processes = [subprocess.Popen([*arguments, str(number)]) for number in range(3)]
    assert [process.wait(timeout=240) for process in processes] == [0, 0, 0]
    assert read_times(MACHINE)
    assert [path for path in (tmp_path / "fastlstm").rglob("*") if path.is_file()] == [MACHINE.path]


def test_the_processor_has_a_name() -> None:
    assert CPUINFO.is_absolute()
    assert processor_name()
