"""The tables of docs/benchmarks.md: accuracy, and speed with a column per processor."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import opponents_report
import parts_report
import processors
import serving_report
from results import BUNDLED_ENGLISH, last_scoring, read_all, read_one

BIDIRECTIONAL = (
    "accurate from language models of both directions, 1,024 units each, 4 epochs, validation 0.1, seed 0"
)
LARGEST = (
    "accurate from language models of both directions, 2,048 units each (50.5), 12 epochs on a GPU, "
    "validation 0.1, seed 0"
)
Row = tuple[str, str, str]
"""What was measured, the figure, and the script that measures it."""


def tables() -> str:
    """Return all tables, each with the processors it was measured on."""
    parts = [
        "### Accuracy and robustness",
        accuracy_table(),
        "### Speed",
        speed_table(),
        *opponents_report.sections(),
        *parts_report.sections(),
    ]
    return "\n\n".join(parts) + "\n"


def script_path(script: str) -> str:
    """Return the path of a script of benchmarks/, relative to the project's root."""
    return os.path.normpath(Path("benchmarks", script))


def accuracy_table() -> str:
    """Return the figures that do not depend on the processor, with the processor of the last measurement."""
    english = last_scoring(BUNDLED_ENGLISH)
    scored: list[Row] = [
        (
            "IMDb test accuracy of the bundled model",
            f"**{english['accuracy']:.2%}**, calibration error {english['calibration_error']:.2%}",
            "scoring.py",
        ),
        *(
            (f"IMDb test accuracy {model}", f"**{last_scoring(name)['accuracy']:.2%}**", "scoring.py")
            for model, name in (
                ("of `accurate`, bidirectional with 1,024 units", BIDIRECTIONAL),
                (
                    "of the largest model, `accurate`, bidirectional with 2,048 units, trained on a GPU",
                    LARGEST,
                ),
                ("after `fastlstm train imdb --budget 60m`", "--budget 60m"),
            )
        ),
    ]
    rows = [(*row[:2], "-", row[2]) for row in scored]
    for name, make_rows in ACCURACY_ROWS.items():
        result = read_one(name)
        title = processors.title(result["machine"])
        rows += [(measurement, figure, title, script) for measurement, figure, script in make_rows(result)]
    lines = ["| measurement | result | processor | script |", "| --- | --- | --- | --- |"]
    lines += [f"| {name} | {figure} | {title} | `{script_path(script)}` |" for name, figure, title, script in rows]
    return "\n".join(lines)


def few_labels(result: Any) -> list[Row]:
    """Return the mean accuracies with 500 labelled reviews."""
    means = {
        model: statistics.mean(
            run["accuracy"] for run in result["runs"] if (run["size"], run["what"]) == (500, model)
        )
        for model in ("encoder", "small", "regression")
    }
    return [
        (
            "IMDb test accuracy with 500 labelled reviews, mean of 5 samples",
            f"fine-tuned from the bundled encoder **{means['encoder']:.2%}**, `small` {means['small']:.2%}, "
            f"NB-weighted regression {means['regression']:.2%}",
            "few_labels.py",
        )
    ]


def small(result: Any) -> list[Row]:
    """Return the accuracy of the default preset."""
    preset = result["kernel"]
    return [
        (
            f"IMDb test accuracy of `small`, the default preset, mean of {len(preset['runs'])} seeds",
            f"**{preset['mean_accuracy']:.2%} ± {preset['standard_deviation']:.2%}**",
            "accuracy.py",
        )
    ]


def tutorial(result: Any) -> list[Row]:
    """Return the accuracy of the preset `tutorial` in both runtimes, and of the baseline."""
    kernel, pytorch = result["kernel"], result["nn.LSTM"]
    baseline = statistics.mean(run["baseline_accuracy"] for run in kernel["runs"])
    return [
        (
            f"IMDb test accuracy of `tutorial`, mean of {len(kernel['runs'])} seeds",
            f"{kernel['mean_accuracy']:.2%} ± {kernel['standard_deviation']:.2%}",
            "accuracy.py",
        ),
        (
            "IMDb test accuracy of `tutorial` with PyTorch's `nn.LSTM`",
            f"{pytorch['mean_accuracy']:.2%} ± {pytorch['standard_deviation']:.2%}",
            "accuracy.py",
        ),
        ("IMDb test accuracy of NB-weighted logistic regression", f"{baseline:.2%}", "accuracy.py"),
    ]


def imports(result: Any) -> list[Row]:
    """Return the outcomes of imported Keras models."""
    outcomes = result["outcomes"]
    return [
        (
            f"{result['models']} random models of Keras 2 and 3, imported and compared with Keras' probabilities",
            f"{outcomes.get('different', 0)} different without a word; {outcomes['equal']} within 1e-5, "
            f"{outcomes.get('refused', 0)} refused with a code, {outcomes.get('noted', 0)} different with a note",
            "imports.py",
        )
    ]


def sizes(result: Any) -> list[Row]:
    """Return the sizes of the bundled classifier and encoder."""
    megabytes = ", ".join(f"{result['megabytes'][name]:.1f} MB" for name in ("english-sentiment", "english"))
    return [("size of the bundled model; of the bundled encoder", megabytes, "bundled.py")]


ACCURACY_ROWS: dict[str, Callable[[Any], list[Row]]] = {
    "few_labels": few_labels,
    "accuracy-small": small,
    "accuracy": tutorial,
    "runtimes": serving_report.runtimes,
    "bundled": sizes,
    "fuzzing": serving_report.fuzzing,
    "imports": imports,
}


def speed_table() -> str:
    """Return the figures that depend on the processor, a column per processor, and a list of the machines.

    A machine is described by its first result.
    """
    machines: dict[str, Any] = {}
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for name, make_rows in SPEED_ROWS.items():
        rows = {processor: make_rows(result) for processor, result in read_all(name).items()}
        machines = {processor: result["machine"] for processor, result in read_all(name).items()} | machines
        for processor in sorted(rows, key=lambda processor: -len(rows[processor])):  # newer results have more rows
            for measurement, figure, script in rows[processor]:
                cells.setdefault((measurement, script), {})[processor] = figure
    columns = sorted(machines)
    titles = [processors.title(machines[processor]) for processor in columns]
    lines = [_row("measurement", *titles, "script"), _row(*["---"] * (len(columns) + 2))]
    for (measurement, script), figures in cells.items():
        lines.append(
            _row(measurement, *(figures.get(column, "-") for column in columns), f"`{script_path(script)}`")
        )
    described = "\n".join(f"- {describe(machines[column])}" for column in columns)
    return "\n".join(lines) + f"\n\nMedians. The machines, all shared:\n\n{described}"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def whole_command(command: str) -> Callable[[Any], list[Row]]:
    """Return a function that returns the time and memory of a training command."""

    def rows(result: Any) -> list[Row]:
        runs = result["kernel"]["runs"]
        seconds = statistics.median(run["seconds"] for run in runs)
        gigabytes = max(run["peak_megabytes"] for run in runs) / 1000
        return [(f"time and peak memory of `{command}`", f"{seconds:.0f} s, {gigabytes:.2f} GB", "accuracy.py")]

    return rows


def footprint(result: Any) -> list[Row]:
    """Return the times of imports and of 25,000 reviews."""
    return [
        (name.replace("tokenising", "tokenizing"), f"{statistics.median(values):.3f} s", "footprint.py")
        for name, values in result["seconds"].items()
    ]


def explaining(result: Any) -> list[Row]:
    """Return the times of explanations, compared with PyTorch."""
    rows = []
    for name in ("tutorial", "bundled"):
        seconds = result[name]["medians"]
        own, pytorch = seconds["integrated gradients"], seconds["integrated gradients, PyTorch's autograd"]
        rows.append(
            (
                f"integrated gradients of 200 tokens, {name} model",
                f"**{1000 * own:.1f} ms**, PyTorch's autograd {1000 * pytorch:.1f} ms ({pytorch / own:.1f} ×)",
                "explaining.py",
            )
        )
    return rows


def streaming(result: Any) -> list[Row]:
    """Return the costs of streams and the savings of early exit."""
    costs = result["microseconds"]
    (exit_,) = [row for row in result["early_exit"] if row["agreement"] == 0.99]
    with_probabilities = ", ".join(
        f"{name.removeprefix('bundled, ')} {cost['reading'] + cost['probabilities']:.0f} µs"
        for name, cost in costs.items()
        if name.startswith("bundled")
    )
    return [
        (
            "reading one token of a stream, without tokenization",
            f"tutorial model {costs['tutorial']['reading']:.0f} µs, "
            f"bundled model {costs['bundled, float32']['reading']:.0f} µs",
            "streaming.py",
        ),
        ("the same and its probabilities, bundled model", with_probabilities, "streaming.py"),
        (
            f"memory of {result['streams']:,} open streams; size of a saved state",
            f"{result['megabytes']:.0f} MB; {result['state_bytes'] / 1000:.1f} kB",
            "streaming.py",
        ),
        (
            "early exit of the bundled model on IMDb test, fitted for 99% agreement",
            f"{exit_['saved']:.0%} of tokens skipped, {exit_['disagreement']:.2%} of predictions changed",
            "streaming.py",
        ),
    ]


def suite(result: Any) -> list[Row]:
    """Return the size and the time of the test suite."""
    return [("test suite", f"{result['tests']:,} tests, {result['seconds']:.0f} s", "suite.py")]


SPEED_ROWS: dict[str, Callable[[Any], list[Row]]] = {
    "inference": opponents_report.inference,
    "bundled": opponents_report.bundled,
    "accuracy-small": whole_command("fastlstm train imdb"),
    "accuracy": whole_command("fastlstm train imdb --preset tutorial"),
    "training": opponents_report.training,
    "footprint": footprint,
    "explaining": explaining,
    "streaming": streaming,
    "serving": serving_report.throughput,
    "overload": serving_report.load,
    "tails": serving_report.tails,
    "soak": serving_report.soak,
    "suite": suite,
}


def describe(machine: dict[str, Any]) -> str:
    """Return a line about a machine."""
    sets = ", ".join(machine["instruction_sets"])
    versions = [
        f"{title} {machine['packages'][package]}"
        for package, title in (("torch", "PyTorch"), ("onnxruntime", "ONNX Runtime"), ("openvino", "OpenVINO"))
        if package in machine["packages"]
    ]
    packages = ", ".join((f"Python {machine['python']}", *versions))
    return (
        f"{processors.title(machine)}: {machine['cores']} cores, {machine['memory_gb']:.0f} GB, {sets}; {packages}"
    )
