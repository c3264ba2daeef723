"""Write the tables of the READMEs and docs/benchmarks.md from the committed results: python benchmarks/report.py"""

from __future__ import annotations

import json
import os
import statistics
from pathlib import Path
from typing import Any

import serving_report

HERE = Path(__file__).parent
ROOT = HERE.parent
TEACHER = "accurate from language models of both directions, 1,024 units each, 4 epochs, validation 0.1, seed 0"
LARGEST = (
    "accurate from language models of both directions, 2,048 units each (50.5), 12 epochs on a GPU, "
    "validation 0.1, seed 0"
)


def main() -> None:
    """Replace the tables between the markers of all documents."""
    for name, marker, content in documents():
        path = ROOT / name
        start, end = f"<!-- {marker} -->\n", f"<!-- /{marker} -->\n"
        before, rest = path.read_text(encoding="utf-8").split(start)
        path.write_text(before + start + content + end + rest.split(end)[1], encoding="utf-8")


def documents() -> list[tuple[str, str, str]]:
    """Return each generated table: document, name of its markers, Markdown."""
    return [
        ("docs/benchmarks.md", "figures", table()),
        ("README.md", "summary", summary(ENGLISH)),
        ("README.zh-CN.md", "summary", summary(CHINESE)),
    ]


ENGLISH = {
    "header": "| IMDb | test accuracy | speed | training time |",
    "bundled": "bundled model, {megabytes:.1f} MB",
    "reviews": "{speed:,.0f} reviews/s",
    "small": "preset `small`, the default",
    "tutorial": "preset `tutorial`",
    "texts": "{own:.2f} ms per text of 200 tokens on one core (ONNX Runtime {onnx:.2f} ms, PyTorch {pytorch:.2f} ms)",
    "baseline": "n-gram baseline",
    "machine": "Measured on 2 cores of an {processor}, inference in float32; other processors differ. "
    "[Benchmarks](docs/benchmarks.md) has all figures, with scripts and raw results.",
}
CHINESE = {
    "header": "| IMDb | 测试准确率 | 速度 | 训练时间 |",
    "bundled": "自带模型，{megabytes:.1f} MB",
    "reviews": "每秒 {speed:,.0f} 条影评",
    "small": "预设 `small`（默认）",
    "tutorial": "预设 `tutorial`",
    "texts": "单核每条 200 个词元的文本 {own:.2f} ms（ONNX Runtime {onnx:.2f} ms，PyTorch {pytorch:.2f} ms）",
    "baseline": "n-gram 基线",
    "machine": "在 {processor} 的两个核心上测得，推理使用 float32；其他处理器会有差异。"
    "全部数据、脚本与原始结果见[性能测试](docs/benchmarks.md)（英文）。",
}
"""Words of the short table in each language."""


def summary(words: dict[str, str]) -> str:
    """Return the short table of a README: accuracy, speed and training time."""
    accuracy = read_result("accuracy")
    tutorial, small = accuracy["kernel"], read_result("accuracy-small")["kernel"]
    bundled, times = read_result("bundled"), read_result("inference")["one text"]["medians"]
    english = last_scoring("the bundled English sentiment model")
    baseline = statistics.mean(run["baseline_accuracy"] for run in tutorial["runs"])
    milliseconds = {
        "own": 1000 * times["fastlstm"],
        "onnx": 1000 * times["ONNX Runtime"],
        "pytorch": 1000 * times["PyTorch"],
    }

    def training_time(preset: dict[str, Any]) -> str:
        return f"{statistics.median(run['seconds'] for run in preset['runs']):.0f} s"

    rows = [
        (
            words["bundled"].format(megabytes=bundled["megabytes"]["english-sentiment"]),
            f"{english['accuracy']:.1%}",
            words["reviews"].format(speed=bundled["reviews_per_second"]["float32"]),
            "",
        ),
        (words["small"], f"{small['mean_accuracy']:.1%}", "", training_time(small)),
        (
            words["tutorial"],
            f"{tutorial['mean_accuracy']:.1%}",
            words["texts"].format(**milliseconds),
            training_time(tutorial),
        ),
        (words["baseline"], f"{baseline:.1%}", "", ""),
    ]
    lines = [words["header"], "| --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    machine = words["machine"].format(processor=accuracy["machine"]["processor"])
    return "\n".join(lines) + "\n\n" + machine + "\n"


def table() -> str:
    """Return the figures as a Markdown table, each with the script that measures it."""
    accuracy, small, bundled, training, inference, footprint, suite = (
        read_result(name)
        for name in ("accuracy", "accuracy-small", "bundled", "training", "inference", "footprint", "suite")
    )
    kernel, pytorch = accuracy["kernel"], accuracy["nn.LSTM"]
    runs, medians = kernel["runs"], training["medians"]
    baseline = statistics.mean(run["baseline_accuracy"] for run in runs)
    seconds, megabytes = (
        statistics.median(run["seconds"] for run in runs),
        max(run["peak_megabytes"] for run in runs),
    )
    default = small["kernel"]
    english = last_scoring("the bundled English sentiment model")
    rows = [
        (
            "IMDb test accuracy of the bundled model",
            f"**{english['accuracy']:.2%}**, calibration error {english['calibration_error']:.2%}",
            "../recipes/english_sentiment.py",
        ),
        (
            "speed of the bundled model, raw reviews to probabilities, all cores",
            speeds(bundled["reviews_per_second"]),
            "bundled.py",
        ),
        ("size of the bundled model; of the bundled encoder", sizes(bundled["megabytes"]), "bundled.py"),
        (
            "IMDb test accuracy of its teacher, `accurate`, bidirectional",
            f"**{last_scoring(TEACHER)['accuracy']:.2%}**",
            "scoring.py",
        ),
        (
            "IMDb test accuracy of the largest model, `accurate`, bidirectional with 2,048 units, trained on a GPU",
            f"**{last_scoring(LARGEST)['accuracy']:.2%}**",
            "scoring.py",
        ),
        (
            "IMDb test accuracy after `fastlstm train imdb --budget 60m`",
            f"**{last_scoring('--budget 60m')['accuracy']:.2%}**",
            "scoring.py",
        ),
        few_labels(),
        (
            f"IMDb test accuracy of `small`, the default preset, mean of {len(default['runs'])} seeds",
            f"**{default['mean_accuracy']:.2%} ± {default['standard_deviation']:.2%}**",
            "accuracy.py",
        ),
        (
            "time and peak memory of `fastlstm train imdb --validation 0.1`",
            f"{statistics.median(run['seconds'] for run in default['runs']):.0f} s, "
            f"{max(run['peak_megabytes'] for run in default['runs']) / 1000:.2f} GB",
            "accuracy.py",
        ),
        (
            f"IMDb test accuracy of `tutorial`, mean of {len(runs)} seeds",
            f"{kernel['mean_accuracy']:.2%} ± {kernel['standard_deviation']:.2%}",
            "accuracy.py",
        ),
        (
            "IMDb test accuracy of `tutorial` with PyTorch's `nn.LSTM`",
            f"{pytorch['mean_accuracy']:.2%} ± {pytorch['standard_deviation']:.2%}",
            "accuracy.py",
        ),
        ("IMDb test accuracy of NB-weighted logistic regression", f"{baseline:.2%}", "accuracy.py"),
        (
            "time and peak memory of `fastlstm train imdb --preset tutorial`",
            f"{seconds:.0f} s, {megabytes / 1000:.2f} GB",
            "accuracy.py",
        ),
        ("training epoch of `tutorial` (20,000 reviews)", compare_times(medians, 1, "s"), "training.py"),
        *(
            (row, compare_times(inference[name]["medians"], 1000, "ms"), "inference.py")
            for row, name in (
                ("inference of one text of 200 tokens, one thread", "one text"),
                (f"inference of 64 reviews, {inference['cores']} threads", "64 texts"),
            )
        ),
        *(
            (f"whole process: {name}", f"{times['median']:.2f} s", "inference.py")
            for name, times in inference["processes"].items()
        ),
        *(
            (name.replace("tokenising", "tokenizing"), f"{statistics.median(values):.3f} s", "footprint.py")
            for name, values in footprint["seconds"].items()
        ),
        *explanations_and_streams(),
        *serving_report.rows(),
        imports(),
        (f"test suite, {suite['tests']:,} tests", f"{suite['seconds']:.0f} s", "suite.py"),
    ]
    lines = ["| measurement | result | script |", "| --- | --- | --- |"]
    lines += [f"| {name} | {result} | `{script_path(script)}` |" for name, result, script in rows]
    return "\n".join(lines) + "\n\n" + _machine(accuracy["machine"]) + "\n"


def script_path(script: str) -> str:
    """Return the path of a script of benchmarks/, relative to the project's root."""
    return os.path.normpath(Path("benchmarks", script))


def last_scoring(name: str) -> dict[str, Any]:
    """Return the last scoring of that name."""
    lines = (HERE / "results" / "scorings.jsonl").read_text(encoding="utf-8").splitlines()
    entries: list[dict[str, Any]] = [entry for entry in map(json.loads, lines) if entry["name"] == name]
    return entries[-1]


def read_result(name: str) -> Any:
    """Return a committed result."""
    return json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))


def few_labels() -> tuple[str, str, str]:
    """Return the row of the mean accuracies with 500 labelled reviews."""
    runs = read_result("few_labels")["runs"]
    means = {
        model: statistics.mean(run["accuracy"] for run in runs if (run["size"], run["what"]) == (500, model))
        for model in ("encoder", "small", "regression")
    }
    return (
        "IMDb test accuracy with 500 labelled reviews, mean of 5 samples",
        f"fine-tuned from the bundled encoder **{means['encoder']:.2%}**, `small` {means['small']:.2%}, "
        f"NB-weighted regression {means['regression']:.2%}",
        "few_labels.py",
    )


def imports() -> tuple[str, str, str]:
    """Return the row of imported Keras models."""
    result = read_result("imports")
    outcomes = result["outcomes"]
    return (
        f"{result['models']} random models of Keras 2 and 3, imported and compared with Keras' probabilities",
        f"{outcomes.get('different', 0)} different without a word; {outcomes['equal']} within 1e-5, "
        f"{outcomes.get('refused', 0)} refused with a code, {outcomes.get('noted', 0)} different with a note",
        "imports.py",
    )


def explanations_and_streams() -> list[tuple[str, str, str]]:
    """Return the rows about explanations and streams."""
    explaining, streaming = read_result("explaining"), read_result("streaming")
    rows = []
    for name in ("tutorial", "bundled"):
        seconds = explaining[name]["medians"]
        own, pytorch = seconds["integrated gradients"], seconds["integrated gradients, PyTorch's autograd"]
        rows.append(
            (
                f"integrated gradients of 200 tokens, {name} model",
                f"**{1000 * own:.1f} ms**, PyTorch's autograd {1000 * pytorch:.1f} ms ({pytorch / own:.1f} ×)",
                "explaining.py",
            )
        )
    costs = streaming["microseconds"]
    rows.append(
        (
            "reading one token of a stream, without tokenization",
            f"tutorial model {costs['tutorial']['reading']:.0f} µs, "
            f"bundled model {costs['bundled, float32']['reading']:.0f} µs",
            "streaming.py",
        )
    )
    rows.append(
        (
            f"memory of {streaming['streams']:,} open streams; size of a saved state",
            f"{streaming['megabytes']:.0f} MB; {streaming['state_bytes'] / 1000:.1f} kB",
            "streaming.py",
        )
    )
    (exit_,) = [row for row in streaming["early_exit"] if row["agreement"] == 0.99]
    rows.append(
        (
            "early exit of the bundled model on IMDb test, fitted for 99% agreement",
            f"{exit_['saved']:.0%} of tokens skipped, {exit_['disagreement']:.2%} of predictions changed",
            "streaming.py",
        )
    )
    return rows


def speeds(reviews_per_second: dict[str, float]) -> str:
    """Format the reviews per second of each precision."""
    return ", ".join(f"{name} {speed:,.0f} reviews/s" for name, speed in reviews_per_second.items())


def sizes(megabytes: dict[str, float]) -> str:
    """Format the sizes of the bundled classifier and encoder."""
    return ", ".join(f"{megabytes[name]:.1f} MB" for name in ("english-sentiment", "english"))


def compare_times(medians: dict[str, float], factor: int, unit: str) -> str:
    """Format fastlstm's time in float32, and each opponent's time with its ratio to fastlstm's."""
    own = medians["fastlstm"]
    digits = 1 if own * factor >= 1 else 3
    others = (
        f"{name} {seconds * factor:.{digits}f} {unit} ({seconds / own:.1f} ×)"
        for name, seconds in medians.items()
        if not name.startswith("fastlstm")
    )
    return ", ".join([f"**{own * factor:.{digits}f} {unit}**", *others])


def _machine(machine: dict[str, Any]) -> str:
    sets = ", ".join(machine["instruction_sets"])
    return (
        f"Measured on {machine['cores']} cores of a shared {machine['processor']} ({sets}), "
        f"{machine['memory_gb']:.0f} GB, Python {machine['python']}, PyTorch {machine['packages']['torch']}; "
        "medians. Raw results: "
        "[benchmarks/results](../benchmarks/results). Data: the Large Movie Review Dataset (Maas et al., 2011)."
    )


if __name__ == "__main__":
    main()
