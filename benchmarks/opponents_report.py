"""The tables of docs/benchmarks.md that compare fastlstm with other runtimes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import processors
from results import read_all

OWN = "fastlstm"
Row = tuple[str, str, str]
SITUATIONS = {
    "one text": "one text of 200 tokens, one thread",
    "one text, cold": "one text of 200 tokens after 10 ms of idle time, one thread",
    "one text on all cores, cold": "one text of 200 tokens after 10 ms of idle time, all cores",
    "64 texts": "64 reviews, all cores",
    "64 texts on one thread": "64 reviews, one thread",
    "64 texts of 200 tokens": "64 texts of 200 tokens, all cores",
}
"""Keys of a result of inference.py, and their descriptions."""


def bundled(result: Any) -> list[Row]:
    """Return the speed of the bundled model in each precision, and in ONNX Runtime."""
    texts = {"reviews": "raw reviews to probabilities", "sentences": "sentences of 15 words"}
    return [
        (f"bundled model, {description}, all cores", _speeds(result[f"{kind}_per_second"], kind), "bundled.py")
        for kind, description in texts.items()
        if f"{kind}_per_second" in result
    ]


def _speeds(per_second: Mapping[str, float], kind: str) -> str:
    return ", ".join(f"{name} {speed:,.0f} {kind}/s" for name, speed in per_second.items())


def training(result: Any) -> list[Row]:
    """Return the time of a training epoch."""
    return [("training epoch of `tutorial` (20,000 reviews)", compare(result["medians"], 1, "s"), "training.py")]


def inference(result: Any) -> list[Row]:
    """Return the times of the tutorial model, and of whole processes."""
    rows = [
        (f"inference of {description}", compare(result[name]["medians"], 1000, "ms"), "inference.py")
        for name, description in SITUATIONS.items()
        if name in result
    ]
    rows += [
        (f"whole process: {name}", f"{times['median']:.2f} s", "inference.py")
        for name, times in result["processes"].items()
    ]
    return rows


def compare(medians: Mapping[str, float], factor: int, unit: str) -> str:
    """Format fastlstm's time in float32 and in its fastest precision, and the time of the fastest opponent.

    The opponent's time is also given as a multiple of both.
    """
    own = {name: seconds for name, seconds in medians.items() if name.startswith(OWN)}
    others = {name: seconds for name, seconds in medians.items() if name not in own}
    digits = 1 if own[OWN] * factor >= 1 else 3

    def time(seconds: float) -> str:
        return f"{seconds * factor:.{digits}f} {unit}"

    parts, fastest = [f"**{time(own[OWN])}**"], min(own, key=own.__getitem__)
    opponent = min(others, key=others.__getitem__)
    ratios = f"{others[opponent] / own[OWN]:.1f} ×"
    if fastest != OWN:
        name = fastest.removeprefix(OWN).strip()
        parts.append(f"{name} {time(own[fastest])}")
        ratios += f"; {others[opponent] / own[fastest]:.1f} × {name}"
    parts.append(f"{opponent} {time(others[opponent])} ({ratios})")
    return ", ".join(parts)


def sections() -> list[str]:
    """Return headings and tables with the times of all runtimes."""
    inference, training = read_all("inference"), read_all("training")
    parts = ["### Training epoch of `tutorial`, all runtimes", runtime_table(training, None, 1, "s")]
    for key, description in SITUATIONS.items():
        measured = {name: result for name, result in inference.items() if key in result}
        if measured:
            parts += [f"### Inference of {description}, all runtimes", runtime_table(measured, key, 1000, "ms")]
    return parts


def runtime_table(results: Mapping[str, Any], key: str | None, factor: int, unit: str) -> str:
    """Return a table with a row per runtime and a column per processor.

    Args:
        results: Results by processor folder.
        key: The part of each result that has the medians; None for the result itself.
        factor: Units per second.
        unit: Symbol of the unit.
    """
    titles = [processors.title(result["machine"]) for result in results.values()]
    medians = [(result if key is None else result[key])["medians"] for result in results.values()]
    lines = [f"| {unit} | {' | '.join(titles)} |", "| --- |" + " --- |" * len(titles)]
    runtimes = dict.fromkeys(runtime for times in medians for runtime in times)
    for runtime in sorted(runtimes, key=lambda runtime: not runtime.startswith(OWN)):
        cells = [_format(times[runtime] * factor) if runtime in times else "-" for times in medians]
        lines.append(f"| {runtime} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _format(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
