"""The table of a README that compares fastlstm with its alternatives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import processors
from results import read_all

NAME = "alternatives"
REFERENCE_SETS = "SST-2", "Chinese reviews"
"""Size, speed and training time are those of the first of these data sets that a method can read."""
OWN = "fastlstm"
ENGLISH = {
    "method": "method",
    "MB": "MB",
    "speed": "texts/s",
    "training": "training",
    "none": "none",
    "note": "Accuracy on held-out texts after training on up to {rows:,} texts per data set, the same for all. Size, "
    "speed on {threads} cores and training time are those of {sets}. Measured on an {processor} ({date}) by "
    "`benchmarks/alternatives.py`.",
    "or": ", or of ",
    "earlier": " Accuracy on {data} with {methods}: measured on {date}, on an {processor}.",
    "and": " and ",
}
CHINESE = {
    "method": "方法",
    "MB": "MB",
    "speed": "条/秒",
    "training": "训练时间",
    "none": "无",
    "note": "每个数据集最多用 {rows:,} 条文本训练，各方法用同样的文本，准确率在留出的文本上测得。"
    "大小、{threads} 个核心上的速度和训练时间取自 {sets}。"
    "{date} 在 {processor} 上由 `benchmarks/alternatives.py` 测得。",
    "or": "，或 ",
    "earlier": "{data} 上 {methods} 的准确率于 {date} 在 {processor} 上测得。",
    "and": "和 ",
}
"""Words of the table in each language."""


def table(words: Mapping[str, str]) -> str:
    """Return the table of the last published result, with accuracies of earlier ones where it has none."""
    *earlier, result = sorted(read_all(NAME).values(), key=lambda result: str(result["date"]))
    cells, name = largest(result["cells"]), processors.name(result["machine"])
    sets = list(dict.fromkeys(cell["data"] for cell in cells))
    notes = [
        words["note"].format(
            rows=cells[0]["rows"],
            threads=cells[0]["threads"],
            sets=words["or"].join(name for name in REFERENCE_SETS if name in sets),
            processor=name,
            date=result["date"],
        )
    ]
    methods = list(dict.fromkeys(cell["method"] for cell in cells))
    scored = list(cells)
    for other in reversed(earlier):
        added = missing(largest(other["cells"]), scored, methods)
        for data in dict.fromkeys(cell["data"] for cell in added):
            names = [cell["method"] for cell in added if cell["data"] == data]
            machine, date = processors.title(other["machine"]), other["date"]
            notes.append(
                words["earlier"].format(data=data, methods=words["and"].join(names), processor=machine, date=date)
            )
        scored += added
    head = [words["method"], *sets, words["MB"], words["speed"], words["training"]]
    rows = [row(method_row(of_method(method, cells), of_method(method, scored), sets, words)) for method in methods]
    lines = [row(head), row(["---"] * len(head)), *rows]
    return "\n".join([*lines, "", "".join(notes)]) + "\n"


def missing(
    earlier: Sequence[dict[str, Any]], cells: Sequence[dict[str, Any]], methods: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the earlier cells of these methods for data sets and numbers of rows that `cells` does not have."""
    known = {(cell["data"], cell["method"]) for cell in cells}
    rows = cells[0]["rows"]
    return [
        cell
        for cell in earlier
        if cell["rows"] == rows and cell["method"] in methods and (cell["data"], cell["method"]) not in known
    ]


def largest(cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the cells with the most training texts."""
    rows = max(cell["rows"] for cell in cells)
    return [cell for cell in cells if cell["rows"] == rows]


def of_method(method: str, cells: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the cells of a method."""
    return [cell for cell in cells if cell["method"] == method]


def method_row(
    cells: Sequence[Mapping[str, Any]],
    scored: Sequence[Mapping[str, Any]],
    sets: Sequence[str],
    words: Mapping[str, str],
) -> list[str]:
    """Return the row of a method: accuracies of `scored`, size, speed and training time of `cells`."""
    method = cells[0]["method"]
    cell_of = {cell["data"]: cell for cell in cells}
    scored_of = {cell["data"]: cell for cell in scored}
    accuracies = [f"{scored_of[name]['accuracy']:.1%}" if name in scored_of else "-" for name in sets]
    reference = next((cell_of[name] for name in REFERENCE_SETS if name in cell_of), cells[0])
    seconds = reference["training_seconds"]
    return [
        f"**{method}**" if method.startswith(OWN) else method,
        *accuracies,
        f"{reference['megabytes']:.1f}",
        f"{reference['texts_per_second']:,.0f}",
        f"{seconds:,.0f} s" if reference["is_trained"] else words["none"],
    ]


def row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
