"""The precision "auto": the decision, the sizes that are measured, and what is remembered."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.helpers.machines import FakeKernel, machine_speeds

from fastlstm.kernel import KernelInfo
from fastlstm.kernel.speed import Workload
from fastlstm.precision import PrecisionChoice, Task, compare_precisions, fastest_precision, known_times

AMD = {"float32": 1.0, "bfloat16": 0.6, "int8": 0.5}
INTEL = {"float32": 1.0, "bfloat16": 1.5, "int8": 0.7}


@pytest.mark.parametrize(
    ("task", "seconds", "expected"),
    [
        ("training", AMD, "bfloat16"),
        ("training", INTEL, "float32"),
        ("inference", AMD, "int8"),
        ("inference", INTEL, "int8"),
        ("inference", {"float32": 1.0, "bfloat16": 0.5, "int8": 0.6}, "bfloat16"),
        ("inference", {"float32": 1.0, "bfloat16": 1.0, "int8": 1.0}, "float32"),
        ("inference", {"float32": 1.0, "bfloat16": 1.2, "int8": 0.97}, "float32"),  # not clearly faster
        ("training", {"float32": 1.0, "bfloat16": 0.94}, "bfloat16"),
    ],
)
def test_the_fastest_precision_is_chosen_if_it_is_clearly_faster(
    task: Task, seconds: dict[str, float], expected: str, tmp_path: Path
) -> None:
    with machine_speeds(tmp_path, **seconds):
        assert fastest_precision(task, (64, 32), FakeKernel().info()) == expected


def test_training_never_chooses_int8(tmp_path: Path) -> None:
    with machine_speeds(tmp_path, float32=1.0, int8=0.1):
        assert fastest_precision("training", (64,), FakeKernel(("float32", "int8")).info()) == "float32"


@pytest.mark.parametrize(
    ("task", "info"),
    [
        ("inference", FakeKernel(("float32",)).info()),
        ("training", FakeKernel(("float32", "int8")).info()),
        ("inference", KernelInfo(None, "not built", None)),
    ],
)
def test_a_single_candidate_is_not_measured(task: Task, info: KernelInfo, tmp_path: Path) -> None:
    with machine_speeds(tmp_path) as speeds:
        assert compare_precisions(task, (64,), info) == PrecisionChoice(task, (64,), "float32", {"float32": 1.0})
        assert speeds.measured == []
    assert list(tmp_path.iterdir()) == []


def test_speeds_are_relative_to_float32_and_averaged_over_numbers_of_texts(tmp_path: Path) -> None:
    info = FakeKernel(("float32", "int8")).info()
    with machine_speeds(tmp_path, float32=1.0, int8=0.5) as speeds:
        fastest_precision("inference", (64,), info, sequences=(1,))
        speeds.seconds = {"float32": 1.0, "int8": 2.0}
        choice = compare_precisions("inference", (64,), info, sequences=(1, 16))
    assert choice.precision == "float32"
    assert choice.speeds == {"float32": 1.0, "int8": pytest.approx(1.0)}


def test_times_of_layers_are_added(tmp_path: Path) -> None:
    info = FakeKernel(("float32", "int8")).info()
    with machine_speeds(tmp_path, float32=0.1, int8=0.2) as speeds:
        fastest_precision("inference", (32,), info)
        speeds.seconds = {"float32": 1.0, "int8": 0.5}
        choice = compare_precisions("inference", (64, 32), info)
    assert choice.speeds["int8"] == pytest.approx(1.1 / 0.7)


@pytest.mark.parametrize(
    ("units", "texts", "expected"),
    [
        (1, 1, (16, 1)),
        (64, 64, (64, 64)),
        (96, 50, (128, 64)),
        (1150, 3, (1024, 4)),
        (4000, 256, (1024, 64)),
    ],
)
def test_the_nearest_size_is_measured(units: int, texts: int, expected: tuple[int, int], tmp_path: Path) -> None:
    with machine_speeds(tmp_path, **AMD) as speeds:
        fastest_precision("training", (units,), FakeKernel().info(), sequences=(texts,))
    assert speeds.measured == [Workload(True, *expected)]


def test_a_size_is_measured_once_per_machine(tmp_path: Path) -> None:
    info = FakeKernel().info()
    with machine_speeds(tmp_path, **AMD) as speeds:
        for _ in range(2):
            assert fastest_precision("training", (64,), info) == "bfloat16"
        assert len(speeds.measured) == 1
    with machine_speeds(tmp_path, **INTEL) as speeds:  # another process
        assert fastest_precision("training", (64, 70), info) == "bfloat16"
        assert speeds.measured == []
        assert fastest_precision("training", (1024,), info) == "float32"
        assert len(speeds.measured) == 1


@pytest.mark.parametrize("other", [{"isa": "v3"}, {"precisions": ("float32", "bfloat16")}])
def test_other_machines_are_measured_on_their_own(other: dict[str, object], tmp_path: Path) -> None:
    with machine_speeds(tmp_path, **AMD) as speeds:
        assert fastest_precision("training", (64,), FakeKernel().info()) == "bfloat16"
        speeds.seconds = INTEL
        assert fastest_precision("training", (64,), FakeKernel(**other).info()) == "float32"  # type: ignore[arg-type]
    assert len(list(tmp_path.rglob("*.json"))) == 2


def test_another_library_is_measured_on_its_own(tmp_path: Path) -> None:
    library = tmp_path / "library.so"
    with machine_speeds(tmp_path, **AMD) as speeds:
        for content in (b"old", b"newer"):
            library.write_bytes(content)
            fastest_precision("training", (64,), FakeKernel().info(library))
    assert len(speeds.measured) == 2


def test_other_precisions_of_a_file_are_ignored(tmp_path: Path) -> None:
    info = FakeKernel().info()
    with machine_speeds(tmp_path, **INTEL) as speeds:
        fastest_precision("training", (64, 128), info)
        (path,) = tmp_path.rglob("*.json")
        content = json.loads(path.read_bytes())
        content["seconds"]["training 64x64"]["int8"] = 1e-9  # that of 128 units has none
        path.write_text(json.dumps(content), encoding="utf-8")
        known_times.cache_clear()
        speeds.measured.clear()
        choice = compare_precisions("training", (64, 128), info)
        assert speeds.measured == []
    assert choice.precision == "float32"
    assert choice.speeds == {"float32": 1.0, "bfloat16": pytest.approx(1 / 1.5)}


def test_a_choice_is_kept_in_the_process_if_the_cache_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "file"
    folder.write_bytes(b"")
    with machine_speeds(folder, **AMD) as speeds:
        assert fastest_precision("training", (64,), FakeKernel().info()) == "bfloat16"
        speeds.seconds = INTEL
        assert fastest_precision("training", (64,), FakeKernel().info()) == "bfloat16"
        known_times.cache_clear()
        assert fastest_precision("training", (64,), FakeKernel().info()) == "float32"
