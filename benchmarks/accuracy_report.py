"""The tables of docs/accuracy.md, written from the committed results: python benchmarks/accuracy_report.py"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable
from typing import Any

from machine import RESULTS

DOCUMENT = RESULTS.parents[1] / "docs" / "accuracy.md"
Row = tuple[str, ...]


def main() -> None:
    """Replaces what stands between each pair of marks."""
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, made in (
        ("scored", scored()),
        ("models", models()),
        ("few labels", few_labels()),
        ("choices", choices()),
    ):
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        before, rest = text.split(begin)
        text = before + begin + made + end + rest.split(end)[1]
    DOCUMENT.write_text(text, encoding="utf-8")


def scored() -> str:
    """Every preset that was scored on the test split."""
    rows: list[Row] = []
    for path in sorted(RESULTS.glob("accuracy*.json")):
        of = json.loads(path.read_text(encoding="utf-8"))["kernel"]
        runs = of["runs"]

        def mean(name: str, runs: list[dict[str, Any]] = runs) -> str:
            values = [run[name] for run in runs if run.get(name) is not None]
            return f"{statistics.mean(values):.2%}" if values else "-"

        rows.append(
            (
                f"`{path.stem.partition('-')[2] or 'tutorial'}`",
                f"{of['mean_accuracy']:.2%} ± {of['standard_deviation']:.2%} ({len(runs)})",
                mean("accuracy_without_repeated"),
                mean("baseline_accuracy"),
                mean("calibration_error"),
                f"{statistics.median(run['seconds'] for run in runs):,.0f} s",
            )
        )
    head = (
        "preset",
        "accuracy ± deviation (seeds)",
        "without repeated texts",
        "regression",
        "calibration error",
        "all",
    )
    return table(head, rows)


def models() -> str:
    """The models that were scored alone, in no benchmark of several seeds or draws; of a name, the last.

    What was scored elsewhere than by scoring.py, whose weights the log does not have, is left out.
    """
    lines = (RESULTS / "scorings.jsonl").read_text(encoding="utf-8").splitlines()
    last = {of["name"]: of for of in map(json.loads, lines)}
    rows = [
        (
            of["name"],
            f"{of['accuracy']:.2%}",
            f"{of['accuracy_without_repeated']:.2%}",
            f"{of['calibration_error']:.2%}",
            of["date"][:10],
        )
        for of in last.values()
        if of.get("weights", "") is not None
        and not (of["name"].startswith("--preset") or " labels, draw " in of["name"])
    ]
    return table(("model", "accuracy", "without repeated texts", "calibration error", "scored"), rows)


def few_labels() -> str:
    """Means over the draws, from the encoder that was tried last."""
    runs = read("few_labels", "runs")
    last = next((run["weights"] for run in reversed(runs) if "weights" in run), None)
    runs = [run for run in runs if run.get("weights", last) == last]
    rows = []
    for size in sorted({run["size"] for run in runs}):
        row = [f"{size:,}"]
        for what in ("regression", "small", "encoder"):
            values = [run["accuracy"] for run in runs if (run["size"], run["what"]) == (size, what)]
            spread = f" ± {statistics.stdev(values):.2%}" if len(values) > 1 else ""
            row.append(f"{statistics.mean(values):.2%}{spread}" if values else "not measured")
        rows.append(tuple(row))
    return table(("labels", "regression", "`small`", "from the bundled encoder"), rows)


def choices() -> str:
    """What every variant of `small` gave on validation, against the preset on the same seeds."""
    runs = read("small_choices", "runs")
    preset = {run["seed"]: run for run in runs if run["variant"] == "the preset"}
    rows = []
    for variant in dict.fromkeys(run["variant"] for run in runs):
        of = [run for run in runs if run["variant"] == variant]
        gain = statistics.mean(run["accuracy"] - preset[run["seed"]]["accuracy"] for run in of)
        rows.append(
            (
                variant,
                f"{statistics.mean(run['accuracy'] for run in of):.2%}",
                f"{100 * gain:+.2f}",
                f"{statistics.mean(run['loss'] for run in of):.4f}",
                f"{statistics.mean(run['lstm_alone'] for run in of):.2%}",
                f"{statistics.median(run['seconds'] for run in of):.0f} s",
            )
        )
    return table(("`small`", "accuracy", "points", "loss", "LSTM alone", "time"), rows)


def read(name: str, key: str) -> list[dict[str, Any]]:
    """The runs of a result; none where it was not measured yet."""
    path = RESULTS / f"{name}.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[key] if path.exists() else []
    return runs


def table(head: Row, rows: Iterable[Row]) -> str:
    """Markdown; without rows, that nothing was measured."""
    lines = [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]
    return "\n".join(lines) + "\n" if len(lines) > 2 else "Not measured yet.\n"


if __name__ == "__main__":
    main()
