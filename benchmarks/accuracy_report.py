"""Write the tables of docs/accuracy.md from the committed results: python benchmarks/accuracy_report.py"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterable
from typing import Any

import processors
from results import RESULTS, SCORINGS, read_one

DOCUMENT = RESULTS.parents[1] / "docs" / "accuracy.md"
RENAMED = {
    "the bundled English sentiment model": "384 units, forward, distilled from the bidirectional model of 1,024 units; "
    "it labels the reviews of the bundled English model",
}
"""Models that the log calls by what they were when they were scored."""
Row = tuple[str, ...]


def main() -> None:
    """Replace the text between each pair of markers."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, table in tables().items():
        begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        before, rest = text.split(begin)
        text = before + begin + table + end + rest.split(end)[1]
    DOCUMENT.write_text(text, encoding="utf-8")


def tables() -> dict[str, str]:
    """Return the tables of docs/accuracy.md by the names of their markers."""
    return {
        "scored": preset_table(),
        "models": model_table(),
        "defaults": defaults_table(),
        "few labels": few_labels_table(),
        "choices": choices_table(),
    }


def preset_table() -> str:
    """Return the table of all presets scored on the test split."""
    rows: list[Row] = []
    for path in sorted(RESULTS.glob("*/accuracy*.json"), key=lambda path: (path.name, path)):
        result = json.loads(path.read_text(encoding="utf-8"))
        preset = result["kernel"]
        runs = preset["runs"]

        def mean(name: str, runs: list[dict[str, Any]] = runs) -> str:
            values = [run[name] for run in runs if run.get(name) is not None]
            return f"{statistics.mean(values):.2%}" if values else "-"

        rows.append(
            (
                f"`{path.stem.partition('-')[2] or 'tutorial'}`",
                f"{preset['mean_accuracy']:.2%} ± {preset['standard_deviation']:.2%} ({len(runs)})",
                mean("accuracy_without_repeated"),
                mean("baseline_accuracy"),
                mean("calibration_error"),
                f"{statistics.median(run['seconds'] for run in runs):,.0f} s",
                processors.title(result["machine"]),
            )
        )
    header = (
        "preset",
        "accuracy ± standard deviation (seeds)",
        "without texts repeated from training",
        "bag-of-n-grams baseline",
        "calibration error",
        "time of the whole command",
        "processor",
    )
    return format_table(header, rows)


def model_table() -> str:
    """Return the table of single models, without the runs of benchmarks with several seeds or samples.

    Only the last scoring of each name is listed. Scorings without a weight checksum in the log are left out.
    """
    lines = SCORINGS.read_text(encoding="utf-8").splitlines()
    last = {entry["name"]: entry for entry in map(json.loads, lines)}
    rows = [
        (
            RENAMED.get(entry["name"], entry["name"]),
            f"{entry['accuracy']:.2%}",
            f"{entry['accuracy_without_repeated']:.2%}",
            f"{entry['calibration_error']:.2%}",
            entry["date"][:10],
        )
        for entry in last.values()
        if entry.get("weights", "") is not None
        and not (entry["name"].startswith("--preset") or " labels, draw " in entry["name"])
    ]
    header = ("model", "accuracy", "without texts repeated from training", "calibration error", "scored on")
    return format_table(header, rows)


def defaults_table() -> str:
    """Return the table of the default preset and its alternatives on other data sets, and the means by size."""
    result = read_one("defaults")
    methods = list(dict.fromkeys(cell["method"] for cell in result["cells"]))
    accuracies: dict[tuple[int, str], dict[str, list[float]]] = {}
    for cell in result["cells"]:
        of_data = accuracies.setdefault((cell["rows"], cell["data"]), {})
        of_data.setdefault(cell["method"], []).append(cell["accuracy"])
    complete = {
        key: {name: statistics.mean(of[name]) for name in methods}
        for key, of in accuracies.items()
        if len(of) == len(methods)
    }
    rows = []
    for size in sorted({size for size, _ in complete}):
        of_size = {data: of for (of_rows, data), of in complete.items() if of_rows == size}
        rows += [(data, f"{size:,}", *(f"{of[name]:.1%}" for name in methods)) for data, of in of_size.items()]
        means = (f"**{statistics.mean(of[name] for of in of_size.values()):.1%}**" for name in methods)
        rows.append((f"**mean of {len(of_size)}**", f"{size:,}", *means))
    header = ("data", "texts, at most", *(f"`{name}`" if name == "small" else name for name in methods))
    return format_table(header, rows) + measured_on(result)


def few_labels_table() -> str:
    """Return the table of mean accuracies over the samples, with the most recent encoder."""
    result = read_one("few_labels")
    runs = result["runs"]
    last = next((run["weights"] for run in reversed(runs) if "weights" in run), None)
    runs = [run for run in runs if run.get("weights", last) == last]
    rows = []
    for size in sorted({run["size"] for run in runs}):
        row = [f"{size:,}"]
        for model in ("regression", "small", "encoder"):
            values = [run["accuracy"] for run in runs if (run["size"], run["what"]) == (size, model)]
            deviation = f" ± {statistics.stdev(values):.2%}" if len(values) > 1 else ""
            row.append(f"{statistics.mean(values):.2%}{deviation}" if values else "not measured")
        rows.append(tuple(row))
    header = ("labelled reviews", "bag-of-n-grams baseline", "`small`", "fine-tuned from the bundled encoder")
    return format_table(header, rows) + measured_on(result)


def choices_table() -> str:
    """Return the table of the variants of `small` on the validation split, relative to the preset on the same seeds."""
    result = read_one("small_choices")
    runs = result["runs"]
    preset = {run["seed"]: run for run in runs if run["variant"] == "the preset"}
    rows = []
    for variant in dict.fromkeys(run["variant"] for run in runs):
        variant_runs = [run for run in runs if run["variant"] == variant]
        gain = statistics.mean(run["accuracy"] - preset[run["seed"]]["accuracy"] for run in variant_runs)
        rows.append(
            (
                variant,
                f"{statistics.mean(run['accuracy'] for run in variant_runs):.2%}",
                f"{100 * gain:+.2f}",
                f"{statistics.mean(run['loss'] for run in variant_runs):.4f}",
                f"{statistics.mean(run['lstm_alone'] for run in variant_runs):.2%}",
                f"{statistics.median(run['seconds'] for run in variant_runs):.0f} s",
            )
        )
    header = ("variant of `small`", "accuracy", "difference in points", "loss", "LSTM alone", "time")
    return format_table(header, rows) + measured_on(result)


def measured_on(result: dict[str, Any]) -> str:
    """Return a line that names the processor and the date of a table."""
    return f"\nMeasured on {processors.title(result['machine'])}, {result['date']}, with the code of that day.\n"


def format_table(header: Row, rows: Iterable[Row]) -> str:
    """Return a Markdown table, or "Not measured yet." if there are no rows."""
    lines = [f"| {' | '.join(row)} |" for row in (header, ("---",) * len(header), *rows)]
    return "\n".join(lines) + "\n" if len(lines) > 2 else "Not measured yet.\n"


if __name__ == "__main__":
    main()
