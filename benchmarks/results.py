"""Read the published results: benchmarks/results/PROCESSOR/NAME.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SCORINGS = RESULTS / "scorings.jsonl"
"""The log of all scorings on IMDb's test split. It belongs to no processor."""
BUNDLED_ENGLISH = "the bundled English sentiment model, for short and long texts"
"""The name of the bundled English classifier in this log."""


def read_all(name: str) -> dict[str, Any]:
    """Return the results of that name by processor folder, in alphabetical order."""
    paths = sorted(RESULTS.glob(f"*/{name}.json"))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in paths}


def read_one(name: str) -> Any:
    """Return the result of that name with the latest date; for results that do not depend on the processor."""
    found = read_all(name).values()
    if not found:
        raise FileNotFoundError(f"no published result {name}.json in {RESULTS}")
    return max(found, key=lambda result: str(result["date"]))


def last_scoring(name: str) -> dict[str, Any]:
    """Return the last scoring of that name."""
    entries: list[dict[str, Any]] = [json.loads(line) for line in SCORINGS.read_text(encoding="utf-8").splitlines()]
    return [entry for entry in entries if entry["name"] == name][-1]
