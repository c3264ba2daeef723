"""Draws docs/kernel-onednn.svg and writes docs/kernel.md's tables, from the committed results of kernel.py,
inference.py and epoch_parts.py: python benchmarks/kernel_figure.py"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from epoch_parts import PARTS

mpl.use("svg")


HERE = Path(__file__).parent
FIGURE = HERE.parent / "docs" / "kernel-onednn.svg"
DOCUMENT = HERE.parent / "docs" / "kernel.md"
PASSES = ("forward", "forward and backward")
COLOURS = ("#d1495b", "#edae49", "#00798c", "#30638e")


def main() -> None:
    """Draws the figure, and writes the tables between the document's two marks."""
    draw(read("kernel")["onednn"])
    text = DOCUMENT.read_text(encoding="utf-8")
    for mark, content in tables().items():
        start, end = f"<!-- {mark} -->\n", f"<!-- /{mark} -->\n"
        before, rest = text.split(start)
        text = before + start + content + end + rest.split(end)[1]
    DOCUMENT.write_text(text, encoding="utf-8")


def read(name: str) -> dict[str, Any]:
    """A committed result."""
    result: dict[str, Any] = json.loads((HERE / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return result


def ratio(cell: dict[str, Any], name: str) -> float:
    """How many times oneDNN's time is the kernel's."""
    medians = cell[name]["medians"]
    return float(medians["oneDNN"] / medians["fastlstm"])


def draw(cells: list[dict[str, Any]]) -> None:
    """A panel for every number of threads and pass: how much faster, by hidden size and batch."""
    threads = sorted({cell["threads"] for cell in cells})
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "fastlstm", "font.size": 9})
    figure, axes = plt.subplots(
        len(threads), len(PASSES), figsize=(8, 2.6 * len(threads)), squeeze=False, layout="constrained"
    )
    for (row, count), (column, name) in itertools.product(enumerate(threads), enumerate(PASSES)):
        panel = axes[row][column]
        for colour, batch in zip(COLOURS, sorted({cell["batch"] for cell in cells}), strict=False):
            chosen = [cell for cell in cells if (cell["threads"], cell["batch"]) == (count, batch)]
            panel.plot(
                [cell["hidden"] for cell in chosen],
                [ratio(cell, name) for cell in chosen],
                marker="o",
                markersize=4,
                color=colour,
                label=f"batch {batch}",
            )
        panel.axhline(1, color="grey", linewidth=1)
        panel.set_xscale("log", base=2)
        panel.set_xticks(sorted({cell["hidden"] for cell in cells}))
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.set_yscale("log", base=2)
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        panel.set_title(f"{name}, {count} thread{'s' if count > 1 else ''}")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in axes[-1]:
        panel.set_xlabel("input and hidden size")
    axes[0][0].legend(frameon=False)
    figure.supylabel("oneDNN's time ÷ fastlstm's")
    figure.savefig(FIGURE, metadata={"Date": None, "Creator": None})


def tables() -> dict[str, str]:
    """Everything that docs/kernel.md says in numbers, by the marks between which it stands."""
    kernel, inference = read("kernel"), read("inference")
    figures = [*shares(kernel), "", *onednn(kernel), "", *precisions(inference), "", machine(kernel)]
    return {"figures": "\n".join(figures) + "\n", "parts": "\n".join(parts(read("epoch_parts"))) + "\n"}


def shares(kernel: dict[str, Any]) -> list[str]:
    """The share of the processor's peak, threads, ragged batches, the build."""
    peak = kernel["peak_gigaflops_a_core"]
    lines = ["| H = 64, B = 64, ragged as IMDb | " + " | ".join(f"{t} thread(s)" for t in peak) + " |"]
    lines += ["| --- |" + " --- |" * len(peak)]
    lines += ["| fp32 FMA peak a core, measured | " + " | ".join(f"{p:.0f} GFLOP/s" for p in peak.values()) + " |"]
    for name in ("forward", "backward", "forward of inference"):
        values = " | ".join(f"{share['share'][name]:.0%}" for share in kernel["share_of_peak"])
        lines += [f"| {name}, share of it | {values} |"]
    one, *more = kernel["share_of_peak"]
    for share in more:
        speedups = ", ".join(f"{n} {one['medians'][n] / share['medians'][n]:.2f} ×" for n in one["medians"])
        lines += ["", f"One thread's time ÷ that of {share['threads']}: {speedups}."]
    ragged, build = kernel["ragged"], kernel["build"]
    lines += [
        f"A ragged batch's time ÷ (a full batch's × its share of the tokens): {ragged['infer']:.2f} in inference, "
        f"{ragged['train']:.2f} forward and backward.",
        f"The library takes {build['seconds']:.0f} s to build and {build['megabytes']:.2f} MB.",
    ]
    return lines


def onednn(kernel: dict[str, Any]) -> list[str]:
    """A row for every number of threads and hidden size."""
    cells = kernel["onednn"]
    batches = sorted({cell["batch"] for cell in cells})
    lines = ["| threads | H | " + " | ".join(f"B {batch}" for batch in batches) + " |"]
    lines += ["| --- | --- |" + " --- |" * len(batches)]
    for threads, hidden in sorted({(cell["threads"], cell["hidden"]) for cell in cells}):
        row = [cell for cell in cells if (cell["threads"], cell["hidden"]) == (threads, hidden)]
        values = (" / ".join(f"{ratio(cell, name):.2f}" for name in PASSES) for cell in row)
        lines += [f"| {threads} | {hidden} | " + " | ".join(values) + " |"]
    return lines


def precisions(inference: dict[str, Any]) -> list[str]:
    """What rounding costs and gives."""
    one, many = (inference[name]["medians"] for name in ("one text", "64 texts"))
    lines = ["| precision | one text | 64 texts | accuracy | other labels | mean, largest difference |"]
    lines += ["| --- |" + " --- |" * 5]
    for name, found in inference["precisions"].items():
        who = "fastlstm" if name == "float32" else f"fastlstm {name}"
        lines += [
            f"| {name} | {one[who] * 1e3:.3f} ms | {many[who] * 1e3:.2f} ms | {found['accuracy']:.2%} | "
            f"{found['other_labels']:.2%} | {found['mean_difference']:.5f}, {found['largest_difference']:.3f} |"
        ]
    return lines


def parts(found: dict[str, Any]) -> list[str]:
    """What an epoch spends its time on."""
    medians = found["medians"]
    lines = ["| part | seconds | share |", "| --- | --- | --- |"]
    for name, seconds in medians.items():
        what = {"rest": "the rest: batches, PyTorch, Python", "all": "all"}.get(name, PARTS.get(name, name))
        lines += [f"| {what} | {seconds:.2f} | {seconds / medians['all']:.0%} |"]
    return lines


def machine(kernel: dict[str, Any]) -> str:
    """What it was measured on."""
    of = kernel["machine"]
    return (
        f"Measured on {of['cores']} cores of a shared {of['processor']} ({', '.join(of['instruction_sets'])}), "
        f"PyTorch {of['packages']['torch']}, by `benchmarks/kernel.py` and `benchmarks/inference.py`; medians."
    )


if __name__ == "__main__":
    main()
