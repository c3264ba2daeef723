"""The table of docs/benchmarks.md with the parts of a prediction."""

from __future__ import annotations

import processors
from results import read_all


def sections() -> list[str]:
    """Return a heading and a table for each processor."""
    parts = []
    for result in read_all("prediction_parts").values():
        parts += [
            f"### Parts of a prediction, {processors.title(result['machine'])}",
            "From raw texts, all cores; ms. The rest is the output layer and Python.",
            table(result["milliseconds"]),
        ]
    return parts


def table(milliseconds: dict[str, dict[str, dict[str, float]]]) -> str:
    """Return a row for each model, precision and kind of call, and a column for each part."""
    names = list(next(iter(next(iter(milliseconds.values())).values())))
    lines = [f"| model, precision | call | {' | '.join(names)} |", "| --- | --- |" + " --- |" * len(names)]
    for model, calls in milliseconds.items():
        for call, parts in calls.items():
            cells = " | ".join(f"{parts[name]:.3g}" for name in names)
            lines.append(f"| {model} | {call} | {cells} |")
    return "\n".join(lines)
