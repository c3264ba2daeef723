"""Verify an imported model against a sample of texts with the probabilities of the original."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastlstm.errors import DataError
from fastlstm.inference import Classifier

DEFAULT_TOLERANCE = 1e-3
"""Accepted difference of a probability: three digits after the point."""
MAX_TEXT_SHOWN = 80


@dataclass(frozen=True)
class Sample:
    """Texts, and what the original answered.

    Attributes:
        texts: The texts.
        probabilities: [n, classes] float64; NaN for classes that the file does not contain.
    """

    texts: list[str]
    probabilities: npt.NDArray[np.float64]


def read_sample(path: Path, labels: Sequence[str]) -> Sample:
    """Read a sample from CSV, TSV or JSONL.

    Its columns are the text, named `text` or the only one without numbers, and one column per label, named as the
    label. For two classes, one column of any name may contain the probabilities of the second label. In JSONL,
    `probabilities` may be a list in the order of the labels.

    Raises:
        DataError: The file cannot be read as a sample.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig")
        rows = _json_rows(content) if path.suffix in (".jsonl", ".json") else _csv_rows(content, path.suffix)
        if not rows:
            raise ValueError("it has no rows")
        text_column = _text_column(rows)
        probabilities = [_probabilities(row, text_column, labels) for row in rows]
        texts = [row[text_column] for row in rows]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{text_column} contains values that are not texts")
    except (OSError, ValueError, KeyError, TypeError, csv.Error, RecursionError) as error:
        raise DataError(
            f"{path} cannot be read as a sample ({error}); expected CSV or JSONL in UTF-8 with a column text and the "
            f"original's probabilities from 0 to 1: one column per label ({', '.join(labels)}), or, for two labels, "
            f"one column for {labels[1]}",
            code="bad-sample",
            path=path,
        ) from None
    return Sample(texts, np.array(probabilities, np.float64))


def _json_rows(content: str) -> list[Mapping[str, Any]]:
    values = [json.loads(line) for line in content.split("\n") if line.strip()]
    rows = values[0] if len(values) == 1 and isinstance(values[0], list) else values
    if not all(isinstance(row, dict) for row in rows):
        raise ValueError("a line is not a JSON object")
    return list(rows)


def _csv_rows(content: str, suffix: str) -> list[Mapping[str, Any]]:
    file = io.StringIO(content, newline="")
    reader = csv.DictReader(file, delimiter="\t" if suffix == ".tsv" else ",", strict=True)
    rows: list[Mapping[str, Any]] = list(reader)
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("a row has more or fewer cells than the header")
    return rows


def _text_column(rows: Sequence[Mapping[str, Any]]) -> str:
    if "text" in rows[0]:
        return "text"
    candidates = [
        name for name, value in rows[0].items()
        if isinstance(value, str) and not all(_is_number(row.get(name)) for row in rows)
    ]  # fmt: skip
    if len(candidates) != 1:
        raise ValueError(f"it has the columns {', '.join(rows[0])}")
    return candidates[0]


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True


def _probabilities(row: Mapping[str, Any], text_column: str, labels: Sequence[str]) -> list[float]:
    """Return the probability of each label in a row; NaN where it has none."""
    values: Mapping[str, Any] = {name: value for name, value in row.items() if name != text_column}
    if isinstance(values.get("probabilities"), dict):
        values = values["probabilities"]
    if isinstance(values.get("probabilities"), list):
        values = dict(zip(labels, values["probabilities"], strict=True))
    named = {label: values[label] for label in labels if label in values}
    if not named and len(labels) == 2:
        numbers = [value for value in values.values() if _is_number(value)]
        if len(numbers) == 1:
            named = {labels[1]: numbers[0]}
    probabilities = [float(named.get(label, math.nan)) for label in labels]
    if not named or not all(math.isnan(probability) or 0 <= probability <= 1 for probability in probabilities):
        raise ValueError(f"a row has {', '.join(f'{name}={value}' for name, value in values.items())}")
    if all(math.isnan(probability) for probability in probabilities):
        raise ValueError("a row has no probability")
    return probabilities


def check_sample(classifier: Classifier, sample: Sample, tolerance: float) -> float:
    """Return the largest difference between the probabilities of a classifier and those of a sample.

    Raises:
        DataError: It is above `tolerance`. The error names the text.
    """
    differences = np.abs(classifier.predict_proba(sample.texts) - sample.probabilities)
    by_text = np.nanmax(differences, axis=1)
    worst = int(by_text.argmax())
    difference = float(by_text[worst])
    if difference > tolerance:
        text = sample.texts[worst]
        label = int(np.nanargmax(differences[worst]))
        expected = float(sample.probabilities[worst, label])
        actual = float(classifier.predict_proba(text)[label])
        count = int((by_text > tolerance).sum())
        shown = text if len(text) <= MAX_TEXT_SHOWN else text[:MAX_TEXT_SHOWN] + "..."
        raise DataError(
            f"{count} of {len(by_text)} texts differ from the original by more than {tolerance:g}; most: {shown!r} "
            f"has {classifier.labels[label]} {actual:.4f}, expected {expected:.4f}; check vocabulary, tokenization, "
            "padding and pooling",
            code="check-failed",
            text=text,
            label=classifier.labels[label],
            probability=actual,
            expected=expected,
            difference=difference,
            count=count,
            tolerance=tolerance,
        )
    return difference
