"""The README's table of figures, written from the committed results: python benchmarks/report.py"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
START, END = "<!-- figures -->\n", "<!-- /figures -->\n"


def main() -> None:
    """Replaces the table between the README's two marks."""
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(START)
    after = rest.split(END)[1]
    README.write_text(before + START + table() + END + after, encoding="utf-8")


def table() -> str:
    """The figures as Markdown, each with the script that printed it."""
    accuracy, training, footprint, suite = (
        json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("accuracy", "training", "footprint", "suite")
    )
    runs, medians = accuracy["runs"], training["medians"]
    own = medians["fastlstm"]
    seconds = {name: statistics.median(values) for name, values in footprint["seconds"].items()}
    spread = statistics.stdev(run["accuracy"] for run in runs)
    baseline = statistics.mean(run["baseline_accuracy"] for run in runs)
    slowest, largest = max(run["seconds"] for run in runs), max(run["peak_megabytes"] for run in runs)
    rows = [
        (
            f"IMDb test accuracy, `tutorial`, mean of {len(runs)} seeds",
            f"{accuracy['mean_accuracy']:.2%} ± {spread:.2%}",
            "accuracy.py",
        ),
        ("the same texts, NB-weighted logistic regression", f"{baseline:.2%}", "accuracy.py"),
        (
            "`fastlstm train imdb`, the whole command",
            f"{slowest / 60:.1f} min, {largest / 1000:.2f} GB at its peak",
            "accuracy.py",
        ),
        ("an epoch of `tutorial` (20,000 reviews)", f"{own:.1f} s", "training.py"),
        *(
            (f"the same, {name}", f"{medians[name]:.1f} s ({medians[name] / own:.2f} ×)", "training.py")
            for name in medians
            if name != "fastlstm"
        ),
        *((f"{name}", f"{value:.3f} s", "footprint.py") for name, value in seconds.items()),
        (f"the test suite, {suite['tests']} tests", f"{suite['seconds']:.0f} s", "suite.py"),
    ]
    lines = ["| what | figure | printed by |", "| --- | --- | --- |"]
    lines += [f"| {what} | {figure} | `benchmarks/{script}` |" for what, figure, script in rows]
    return "\n".join(lines) + "\n\n" + _machine(accuracy["machine"]) + "\n"


def _machine(machine: dict[str, Any]) -> str:
    sets = ", ".join(machine["instruction_sets"])
    return (
        f"Measured on {machine['cores']} cores of a shared {machine['processor']} ({sets}), "
        f"{machine['memory_gb']:.0f} GB, Python {machine['python']}, PyTorch {machine['packages']['torch']}; "
        "medians, since such machines drift; raw results in "
        "[benchmarks/results](benchmarks/results). Data: the Large Movie Review Dataset (Maas et al., 2011)."
    )


if __name__ == "__main__":
    main()
