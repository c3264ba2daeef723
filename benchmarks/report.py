"""Write the tables of the READMEs and the documentation from the committed results: python benchmarks/report.py"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alternatives_report
import figures
import minilm_report
import processors
import scale_report
from results import BUNDLED_ENGLISH, last_scoring, read_all, read_one

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Replace the tables between the markers of all documents."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for name, marker, content in documents():
        path = ROOT / name
        start, end = f"<!-- {marker} -->\n", f"<!-- /{marker} -->\n"
        before, rest = path.read_text(encoding="utf-8").split(start)
        path.write_text(before + start + content + end + rest.split(end)[1], encoding="utf-8")


def documents() -> list[tuple[str, str, str]]:
    """Return each generated table: document, name of its markers, Markdown."""
    tables = [
        ("docs/benchmarks.md", "figures", figures.tables()),
        ("README.md", "summary", summary(ENGLISH)),
        ("README.zh-CN.md", "summary", summary(CHINESE)),
    ]
    if read_all(alternatives_report.NAME):
        tables += [
            ("README.md", "alternatives", alternatives_report.table(alternatives_report.ENGLISH)),
            ("README.zh-CN.md", "alternatives", alternatives_report.table(alternatives_report.CHINESE)),
        ]
    if read_all(minilm_report.NAME):
        tables.append(("docs/transformers.md", "minilm", minilm_report.table()))
    return tables + scale_report.documents()


PRESETS = {"tutorial": "accuracy", "small": "accuracy-small"}
"""Presets of the short table, and their results."""
ENGLISH = {
    "header": "| IMDb | test accuracy | speed | training time |",
    "bundled": "bundled model, {megabytes:.1f} MB",
    "reviews": "{speed:,.0f} reviews/s",
    "small": "preset `small`, the default",
    "tutorial": "preset `tutorial`",
    "texts": "{own:.2f} ms per text of 200 tokens on one core (ONNX Runtime {onnx:.2f} ms, PyTorch {pytorch:.2f} ms)",
    "baseline": "n-gram baseline",
    "of": "{name}: {figure}",
    "between": "; ",
    "and": " and of an ",
    "machine": "Measured on 2 cores of an {processor}, with the code of that day, inference in float32; other "
    "processors differ. "
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
    "of": "{name}：{figure}",
    "between": "；",
    "and": " 和 ",
    "machine": "测试日期见括号，使用当日版本的代码，在 {processor} 的两个核心上测得，"
    "推理使用 float32；其他处理器会有差异。全部数据、脚本与原始结果见[性能测试](docs/benchmarks.md)（英文）。",
}
"""Words of the short table in each language."""


def summary(words: dict[str, str]) -> str:
    """Return the short table of a README: accuracy, speed and training time.

    Speeds and times of several processors stand side by side.
    """
    tutorial, small = read_all("accuracy"), read_all("accuracy-small")
    english = last_scoring(BUNDLED_ENGLISH)
    accuracies = {name: read_one(file)["kernel"]["mean_accuracy"] for name, file in PRESETS.items()}
    baseline = statistics.mean(run["baseline_accuracy"] for run in read_one("accuracy")["kernel"]["runs"])
    rows = [
        (
            words["bundled"].format(megabytes=read_one("bundled")["megabytes"]["english-sentiment"]),
            f"{english['accuracy']:.1%}",
            side_by_side(
                words,
                read_all("bundled"),
                lambda result: words["reviews"].format(speed=result["reviews_per_second"]["float32"]),
            ),
            "",
        ),
        (words["small"], f"{accuracies['small']:.1%}", "", side_by_side(words, small, training_time)),
        (
            words["tutorial"],
            f"{accuracies['tutorial']:.1%}",
            side_by_side(
                words, read_all("inference"), lambda result: words["texts"].format(**milliseconds(result))
            ),
            side_by_side(words, tutorial, training_time),
        ),
        (words["baseline"], f"{baseline:.1%}", "", ""),
    ]
    lines = [words["header"], "| --- | --- | --- | --- |"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    dates: dict[str, str] = {}
    for result in (*read_all("bundled").values(), *read_all("inference").values(), *tutorial.values()):
        name = processors.name(result["machine"])
        dates[name] = max(result["date"], dates.get(name, ""))
    names = [f"{name} ({date})" for name, date in dates.items()]
    machine = words["machine"].format(processor=words["and"].join(names))
    return "\n".join(lines) + "\n\n" + machine + "\n"


def side_by_side(words: dict[str, str], results: dict[str, Any], figure: Callable[[Any], str]) -> str:
    """Return the figure of each processor's result, with the processor's name if there are several."""
    if len(results) == 1:
        return figure(*results.values())
    named = ((processors.name(result["machine"]), figure(result)) for result in results.values())
    return words["between"].join(words["of"].format(name=name, figure=figure) for name, figure in named)


def milliseconds(inference: dict[str, Any]) -> dict[str, float]:
    """Return the milliseconds of one text of 200 tokens by the names that the words use."""
    times = inference["one text"]["medians"]
    names = {"own": "fastlstm", "onnx": "ONNX Runtime", "pytorch": "PyTorch"}
    return {name: 1000 * times[runtime] for name, runtime in names.items()}


def training_time(result: dict[str, Any]) -> str:
    """Return the median time of a whole training command."""
    return f"{statistics.median(run['seconds'] for run in result['kernel']['runs']):.0f} s"


if __name__ == "__main__":
    main()
