"""Draw docs/kernel-onednn.svg and write the tables of docs/kernel.md from the committed results.

    python benchmarks/kernel_figure.py

The results are those of kernel.py, inference.py and epoch_parts.py.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

import processors
from epoch_parts import PARTS
from kernel_cells import ONEDNN, PASSES, auto_time, fastest_opponent, fastest_own
from precisions import runtime_name
from results import read_all

mpl.use("svg")

DOCS = Path(__file__).parent.parent / "docs"
FIGURE = DOCS / "kernel-onednn.svg"
DOCUMENT = DOCS / "kernel.md"
COLORS = ("#d1495b", "#edae49", "#00798c", "#30638e")


def main() -> None:
    """Draw the figure, and write the tables between the markers of the document."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    draw({processors.name(result["machine"]): result["onednn"] for result in read_all("kernel").values()})
    text = DOCUMENT.read_text(encoding="utf-8")
    for name, content in tables().items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
        before, rest = text.split(start)
        text = before + start + content + end + rest.split(end)[1]
    DOCUMENT.write_text(text, encoding="utf-8")


def ratio(cell: dict[str, Any], name: str) -> float:
    """Return oneDNN's time divided by the kernel's, both in float32."""
    medians = cell[name]["medians"]
    return float(medians[ONEDNN] / medians["fastlstm"])


def auto_ratio(cell: dict[str, Any], name: str) -> float:
    """Return oneDNN's time in its fastest precision divided by the kernel's in the precision of "auto"."""
    return fastest_opponent(cell[name]["medians"]) / auto_time(cell[name])


def auto_loss(cell: dict[str, Any], name: str) -> float:
    """Return the time of the precision of "auto" divided by that of the kernel's fastest precision."""
    return auto_time(cell[name]) / fastest_own(cell[name]["medians"])


def draw(cells_by_processor: dict[str, list[dict[str, Any]]]) -> None:
    """Draw the speedup by hidden size and batch size, a row per processor and number of threads."""
    rows = [
        (name, count, [cell for cell in cells if cell["threads"] == count])
        for name, cells in cells_by_processor.items()
        for count in sorted({cell["threads"] for cell in cells})
    ]
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "fastlstm", "font.size": 9})
    figure, axes = plt.subplots(
        len(rows), len(PASSES), figsize=(8, 2.6 * len(rows)), squeeze=False, layout="constrained"
    )
    for (panels, (name, count, cells)), (column, passes) in itertools.product(
        zip(axes, rows, strict=True), enumerate(PASSES)
    ):
        panel = panels[column]
        for color, batch in zip(COLORS, sorted({cell["batch"] for cell in cells}), strict=False):
            chosen = [cell for cell in cells if cell["batch"] == batch]
            panel.plot(
                [cell["hidden"] for cell in chosen],
                [ratio(cell, passes) for cell in chosen],
                marker="o",
                markersize=4,
                color=color,
                label=f"batch {batch}",
            )
        panel.axhline(1, color="grey", linewidth=1)
        panel.set_xscale("log", base=2)
        panel.set_xticks(sorted({cell["hidden"] for cell in cells}))
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.set_yscale("log", base=2)
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        panel.set_title(f"{passes}, {name}, {count} thread{'s' if count > 1 else ''}")
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    for panel in axes[-1]:
        panel.set_xlabel("input and hidden size")
    axes[0][0].legend(frameon=False)
    figure.supylabel("oneDNN's time ÷ fastlstm's")
    figure.savefig(FIGURE, metadata={"Date": None, "Creator": None})


def tables() -> dict[str, str]:
    """Return the tables of docs/kernel.md by the names of their markers, for each processor."""
    figures, parts = [], []
    inference = read_all("inference")
    for processor, kernel in read_all("kernel").items():
        figures += [heading(kernel), "", *peak_lines(kernel), "", *onednn_lines(kernel), ""]
        if processor in inference:
            figures += [*precision_lines(inference[processor]), ""]
        figures += [machine_line(kernel), ""]
    for result in read_all("epoch_parts").values():
        parts += [heading(result), "", *epoch_lines(result), ""]
    return {"figures": "\n".join(figures[:-1]) + "\n", "parts": "\n".join(parts[:-1]) + "\n"}


def heading(result: dict[str, Any]) -> str:
    """Return the heading of a processor's tables."""
    return f"### {processors.title(result['machine'])}"


def peak_lines(kernel: dict[str, Any]) -> list[str]:
    """Return the fraction of the processor's peak, the speedup of threads, ragged batches and the build."""
    peak = kernel["peak_gigaflops_a_core"]
    lines = [
        "| H = 64, B = 64, lengths of IMDb reviews | "
        + " | ".join(f"{t} thread{'s' if int(t) > 1 else ''}" for t in peak)
        + " |"
    ]
    lines += ["| --- |" + " --- |" * len(peak)]
    lines += ["| measured fp32 FMA peak per core | " + " | ".join(f"{p:.0f} GFLOP/s" for p in peak.values()) + " |"]
    for name in ("forward", "backward", "forward of inference"):
        values = " | ".join(f"{share['share'][name]:.0%}" for share in kernel["share_of_peak"])
        lines += [f"| {name}, fraction of the peak | {values} |"]
    one, *more = kernel["share_of_peak"]
    for share in more:
        speedups = ", ".join(f"{n} {one['medians'][n] / share['medians'][n]:.2f} ×" for n in one["medians"])
        lines += ["", f"Speedup of {share['threads']} threads over one: {speedups}."]
    ragged, build = kernel["ragged"], kernel["build"]
    lines += [
        f"Time per token of a ragged batch, relative to a batch of equal lengths: {ragged['infer']:.2f} in inference, "
        f"{ragged['train']:.2f} forward and backward.",
        f"The library takes {build['seconds']:.0f} s to build and has {build['megabytes']:.2f} MB.",
    ]
    return lines


def onednn_lines(kernel: dict[str, Any]) -> list[str]:
    """Return the comparison in float32, and if it was measured, that of "auto" with oneDNN's fastest precision."""
    cells = kernel["onednn"]
    lines = ["oneDNN's time ÷ the kernel's, both in float32, forward / forward and backward:", ""]
    lines += ratio_lines(cells, ratio)
    if any("auto" in cell[name] for cell in cells for name in PASSES):
        loss = max(auto_loss(cell, name) for cell in cells for name in PASSES)
        lines += ["", "The same, oneDNN in its fastest precision and the kernel in `auto`, which takes at most"]
        lines[-1] += f" {loss:.2f} × the time of the fastest precision:"
        lines += ["", *ratio_lines(cells, auto_ratio)]
    return lines


def ratio_lines(cells: list[dict[str, Any]], ratio_of: Callable[[dict[str, Any], str], float]) -> list[str]:
    """Return one table row per number of threads and hidden size."""
    batches = sorted({cell["batch"] for cell in cells})
    lines = ["| threads | H | " + " | ".join(f"B {batch}" for batch in batches) + " |"]
    lines += ["| --- | --- |" + " --- |" * len(batches)]
    for threads, hidden in sorted({(cell["threads"], cell["hidden"]) for cell in cells}):
        row = [cell for cell in cells if (cell["threads"], cell["hidden"]) == (threads, hidden)]
        values = (" / ".join(f"{ratio_of(cell, name):.2f}" for name in PASSES) for cell in row)
        lines += [f"| {threads} | {hidden} | " + " | ".join(values) + " |"]
    return lines


def precision_lines(inference: dict[str, Any]) -> list[str]:
    """Return the speed and the errors of each precision."""
    single, batch = (inference[name]["medians"] for name in ("one text", "64 texts"))
    lines = ["| precision | one text | 64 texts | accuracy | changed labels | mean, largest difference |"]
    lines += ["| --- |" + " --- |" * 5]
    for name, errors in inference["precisions"].items():
        runtime = runtime_name(name)
        lines += [
            f"| {name} | {single[runtime] * 1e3:.3f} ms | {batch[runtime] * 1e3:.2f} ms | {errors['accuracy']:.2%} | "
            f"{errors['other_labels']:.2%} | {errors['mean_difference']:.5f}, {errors['largest_difference']:.3f} |"
        ]
    return lines


def epoch_lines(result: dict[str, Any]) -> list[str]:
    """Return the time of each part of a training epoch."""
    medians = result["medians"]
    lines = ["| part | seconds | fraction |", "| --- | --- | --- |"]
    for name, seconds in medians.items():
        part = {"rest": "rest: batches, PyTorch, Python", "all": "total"}.get(name, PARTS.get(name, name))
        lines += [f"| {part} | {seconds:.2f} | {seconds / medians['all']:.0%} |"]
    return lines


def machine_line(kernel: dict[str, Any]) -> str:
    """Return a sentence about the machine."""
    machine = kernel["machine"]
    return (
        f"Measured on {machine['cores']} cores of a shared {processors.name(machine)} "
        f"({', '.join(machine['instruction_sets'])}), "
        f"PyTorch {machine['packages']['torch']}, with `benchmarks/kernel.py` and `benchmarks/inference.py`; medians."
    )


if __name__ == "__main__":
    main()
