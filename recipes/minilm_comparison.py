"""Accuracy, size and speed of a transformer and of the LSTM that was distilled from it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import fastlstm
from fastlstm._typing import FloatArray
from minilm_teacher import class_numbers
from opponents import onnx_session, onnx_transformer, transformer
from sst2 import Phrases

REPEATS = 3
FLOAT32, INT8 = "float32.onnx", "int8.onnx"
Score = Callable[[Sequence[str]], FloatArray]


def export_onnx(teacher: Path, out: Path) -> None:
    """Write the teacher as ONNX in float32 and, dynamically quantized, in int8."""
    model, _ = transformer.load(teacher)
    graph = onnx_transformer.exported(transformer.Probabilities(model))
    temporary = out.with_name(out.name + ".part")
    temporary.mkdir(exist_ok=True)
    (temporary / FLOAT32).write_bytes(graph)
    (temporary / INT8).write_bytes(onnx_session.quantized(graph))
    temporary.rename(out)


def compare(work: Path, held_out: Phrases, threads: int, out: Path) -> None:
    """Write accuracy, megabytes and texts per second of all models on the held-out sentences."""
    teacher = work / "teacher"
    tokenizer_size = size(teacher / transformer.TOKENIZER)
    models: dict[str, tuple[Score, float]] = {"MiniLM, PyTorch float32": (pytorch(teacher), size(teacher))}
    for name, file in (("MiniLM, ONNX Runtime float32", FLOAT32), ("MiniLM, ONNX Runtime int8", INT8)):
        runtime = load_onnx(work, file, threads)
        models[name] = runtime.fastest(held_out.texts), size(work / "onnx" / file) + tokenizer_size
    for name, folder, precision in (("LSTM float32", "student", "float32"), ("LSTM int8", "student-int8", "int8")):
        model = fastlstm.load(work / folder, precision=precision)
        models[name] = model.predict_proba, size(work / folder)
    rows = {name: measure(score, megabytes, held_out) for name, (score, megabytes) in models.items()}
    result = {
        "threads": threads,
        "texts": len(held_out.texts),
        "models": rows,
        "goals": goals(rows),
    }
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def load_onnx(work: Path, file: str, threads: int) -> onnx_transformer.OnnxTransformer:
    """Return an exported teacher."""
    return onnx_transformer.OnnxTransformer((work / "onnx" / file).read_bytes(), work / "teacher", threads)


def pytorch(folder: Path) -> Score:
    """Return the function that scores texts with the transformer in PyTorch."""
    model, _ = transformer.load(folder)
    tokenize = transformer.TransformerTokenizer(folder)
    return lambda texts: transformer.predict_proba(model, tokenize(texts))


def size(path: Path) -> float:
    """Return the size of a file or folder in MB."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def measure(score: Score, megabytes: float, held_out: Phrases) -> dict[str, float]:
    """Return accuracy, megabytes and texts per second: the best of several calls."""
    accuracy = float((score(held_out.texts).argmax(1) == class_numbers(held_out)).mean())
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        score(held_out.texts)
        seconds.append(time.perf_counter() - started)
    return {
        "accuracy": accuracy,
        "megabytes": round(megabytes, 2),
        "texts_per_second": round(len(held_out.texts) / min(seconds), 1),
    }


def goals(rows: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Return the student in int8 relative to the teacher: in its original form, and at its fastest."""
    student = rows["LSTM int8"]
    teachers = {name: row for name, row in rows.items() if name.startswith("MiniLM")}
    return {
        name: {key: round(float(np.float64(student[key]) / row[key]), 4) for key in student}
        for name, row in teachers.items()
    }
