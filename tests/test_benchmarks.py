"""The layout of benchmark results: where a run writes its result, and the names of processors."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.benchmarks import BENCHMARKS, load_benchmark

SCRIPTS = sorted(path for path in BENCHMARKS.glob("*.py") if "machine.save(" in path.read_text(encoding="utf-8"))


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/machine.py, with its folders of results in `tmp_path`."""
    module = load_benchmark("machine", monkeypatch)
    monkeypatch.setattr(module, "LOCAL_RESULTS", tmp_path / "local")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "published")
    monkeypatch.setattr(module, "commit", lambda: "0123456789ab")
    return module


def test_unpublished_result_goes_to_the_local_folder(machine: Any, tmp_path: Path) -> None:
    path = machine.save("speed", ["numpy"], {"seconds": 1.5}, publish=False)
    assert path == tmp_path / "local" / "speed.json"
    assert not (tmp_path / "published").exists()
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["seconds"] == 1.5
    assert content["commit"] == "0123456789ab"
    assert content["machine"]["packages"].keys() == {"numpy"}
    assert {"processor", "vendor", "family", "model", "stepping", "instruction_sets"} <= content["machine"].keys()


def test_published_result_goes_to_the_folder_of_the_processor(
    machine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = machine.save("speed", [], {}, publish=True)
    processors = load_benchmark("processors", monkeypatch)
    described = json.loads(path.read_text(encoding="utf-8"))["machine"]
    assert path == tmp_path / "published" / processors.slug(described) / "speed.json"
    assert path == machine.result_path("speed", publish=True)


def test_local_results_are_outside_of_git(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = load_benchmark("machine", monkeypatch).LOCAL_RESULTS.relative_to(BENCHMARKS.parent)
    assert f"/{folder}/" in (BENCHMARKS.parent / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_script_publishes_only_on_request(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    if script.stem == "machine":
        return
    assert "machine.argument_parser(__doc__)" in text
    calls = re.findall(r"machine\.save\(.*?publish=([\w.]+),?\s*\)", text.replace("\n", " "))
    assert len(calls) == text.count("machine.save(")
    assert set(calls) <= {"arguments.publish", "publish"}
    assert "machine.RESULTS" not in text


def test_parser_publishes_only_on_request(machine: Any) -> None:
    parser = machine.argument_parser("A benchmark.")
    assert parser.parse_args([]).publish is False
    assert parser.parse_args(["--publish"]).publish is True


@pytest.mark.parametrize(
    ("described", "slug"),
    [
        (("Intel(R) Xeon(R) Processor", "GenuineIntel", 6, 207, 2, "avx512f"), "intel-xeon-emerald-rapids-avx512"),
        (("Intel(R) Xeon(R) Processor", "GenuineIntel", 6, 143, 8, "amx_bf16"), "intel-xeon-sapphire-rapids-amx"),
        (("Intel Xeon Processor", "GenuineIntel", 6, 85, 4, "avx512f"), "intel-xeon-skylake-avx512"),
        (("Intel Xeon Processor", "GenuineIntel", 6, 85, 7, "avx512f"), "intel-xeon-cascade-lake-avx512"),
        (("Intel Xeon Processor", "GenuineIntel", 6, 1, 0, "avx2"), "intel-xeon-avx2"),
        (
            ("Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", "GenuineIntel", 6, 143, 8, "avx2"),
            "intel-xeon-platinum-8481c-avx2",
        ),
        (
            ("AMD EPYC 9B45 128-Core Processor", "AuthenticAMD", 26, 2, 1, "avx512_bf16"),
            "amd-epyc-9b45-avx512-bf16",
        ),
        (("AMD EPYC Processor", "AuthenticAMD", 26, 2, 1, "avx512_bf16"), "amd-epyc-zen-5-avx512-bf16"),
        (("AMD EPYC", "AuthenticAMD", 25, 17, 1, "avx512f"), "amd-epyc-zen-4-avx512"),
        (("AMD EPYC", "AuthenticAMD", 25, 1, 1, "avx2"), "amd-epyc-zen-3-avx2"),
        (("AMD EPYC", "AuthenticAMD", 23, 49, 0, "avx2"), "amd-epyc-zen-2-avx2"),
        (("aarch64", None, None, None, None, "asimd"), "aarch64-neon"),
        (("", None, None, None, None, ""), "unknown-processor"),
    ],
)
def test_slug_names_the_processor_and_its_widest_instruction_set(
    described: tuple[Any, ...], slug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    processors = load_benchmark("processors", monkeypatch)
    names = ("processor", "vendor", "family", "model", "stepping")
    machine = dict(zip(names, described, strict=False)) | {"instruction_sets": ["fma", described[-1]]}
    assert processors.slug(machine) == slug
    assert processors.slug(machine | {"kernel_limited_to": "v3"}) == f"{slug}-kernel-v3"


def test_published_results_lie_in_the_folder_of_their_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    processors = load_benchmark("processors", monkeypatch)
    paths = list(BENCHMARKS.glob("results/*/*.json"))
    assert paths
    for path in paths:
        described = json.loads(path.read_text(encoding="utf-8"))["machine"]
        assert processors.slug(described) == path.parent.name, path


def test_tables_have_a_column_per_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = load_benchmark("report", monkeypatch)
    shutil.copytree(BENCHMARKS / "results", tmp_path / "results")
    result = json.loads(next(BENCHMARKS.glob("results/*/inference.json")).read_text(encoding="utf-8"))
    result["machine"] |= {"processor": "Example 9000", "instruction_sets": ["avx2"]}
    medians = {
        "fastlstm": 0.007,
        "fastlstm auto": 0.004,
        "OpenVINO": 0.008,
        "ONNX Runtime": 0.009,
        "PyTorch": 0.009,
    }
    result["one text"]["medians"] = medians
    (tmp_path / "results" / "example").mkdir()
    (tmp_path / "results" / "example" / "inference.json").write_text(json.dumps(result), encoding="utf-8")
    monkeypatch.setattr(importlib.import_module("results"), "RESULTS", tmp_path / "results")
    documents: dict[str, str] = {}
    for document, _, content in report.documents():
        documents[document] = documents.get(document, "") + content
    assert "Example 9000: 7.00 ms per text" in documents["README.md"]
    lines = documents["docs/benchmarks.md"].splitlines()
    (header,) = [line for line in lines if line.startswith("| measurement | ") and "Example 9000 (AVX2)" in line]
    (row,) = [line for line in lines if line.startswith("| inference of one text of 200 tokens, one thread |")]
    cell = row.split("|")[[title.strip() for title in header.split("|")].index("Example 9000 (AVX2)")]
    assert cell.strip() == "**7.0 ms**, auto 4.0 ms, OpenVINO 8.0 ms (1.1 ×; 2.0 × auto)"


def test_batches_of_similar_lengths_keep_the_order_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    arrangements = load_benchmark("opponents/arrangements", monkeypatch)
    batch_sizes = []

    def score(texts: list[Any]) -> Any:
        batch_sizes.append(len(texts))
        return np.array([[text.sum()] for text in texts], np.float32)

    texts = [np.arange(length, dtype=np.int32) for length in (5, 1, 9, 2, 7)]
    assert arrangements.in_batches(score, 2)(texts).tolist() == score(texts).tolist()
    assert batch_sizes == [3, 2, 5]
    assert list(arrangements.batched("padded", score, texts[:1])) == ["padded"]
    assert len(arrangements.batched("padded", score, texts)) == 3


def test_running_a_benchmark_changes_no_published_result(
    machine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def published() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in BENCHMARKS.glob("results/**/*") if path.is_file()}

    before = published()
    reading = load_benchmark("reading", monkeypatch)
    monkeypatch.setattr(reading, "machine", machine)
    monkeypatch.setattr(sys, "argv", ["reading.py", "dialects", "--tables", "1"])
    reading.main()
    assert published() == before
    path = tmp_path / "local" / "reading_dialects.json"
    assert path.exists()
    assert str(path) in capsys.readouterr().out
