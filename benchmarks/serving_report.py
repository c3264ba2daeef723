"""The README's rows about the server: what it answers, under load and beyond, and what did not break it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
Row = tuple[str, str, str]


def rows() -> list[Row]:
    """What, the figure, and the script that printed it."""
    return [capacity(), *under_load(), soak(), fuzzing(), *runtimes()]


def result(name: str) -> Any:
    """A raw result."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def capacity() -> Row:
    """What the server answers, and what the same model does behind ONNX Runtime."""
    medians = result("serving")["medians"]

    def of(name: str) -> float:
        (row,) = [row for row in medians if (row["name"], row["texts_a_request"]) == (name, 8)]
        speed: float = row["texts_a_second"]
        return speed

    own, peer = of("fastlstm serve"), of("ONNX Runtime and FastAPI")
    return (
        "the server, bundled model, cores shared with the load, 8 reviews a request",
        f"**{own:,.0f} reviews/s**, ONNX Runtime and FastAPI {peer:,.0f} ({own / peer:.1f} ×); int8 "
        f"{of('fastlstm serve, int8'):,.0f}, with two workers {of('fastlstm serve, int8, two workers'):,.0f}, with "
        f"early exit too {of('fastlstm serve, int8, early exit 0.99, two workers'):,.0f}",
        "serving.py",
    )


def under_load() -> list[Row]:
    """At 70% of its capacity, and at ten times."""
    runs = result("overload")["runs"]
    steady = {(run["name"], run["texts_a_request"]): run for run in runs if "overload" not in run}
    one, eight = steady["int8", 1], steady["int8", 8]
    (over,) = [run for run in runs if "overload" in run]
    of = over["overload"]
    return [
        (
            "99 of 100 answers at 70% of its capacity, int8",
            f"within {one['share_p99_ms']:.0f} ms (a review a request, {one['capacity_texts_a_second']:,.0f}/s at "
            f"most), {eight['share_p99_ms']:.0f} ms (8 a request, {eight['capacity_texts_a_second']:,.0f}/s)",
            "overload.py",
        ),
        (
            f"asked {of['asked_times_capacity']:.1f} times its capacity for {of['seconds']} s ({over['name']})",
            f"answers {of['goodput_share']:.0%} of it, p99 {of['accepted_p99_ms']:.0f} ms; 429 after "
            f"{of['refused_median_ms']:.1f} ms (p99 {of['refused_p99_ms']:.0f} ms); {of['answered_5xx']} of 5xx; "
            f"stopped under load, {of['stop']['answers_received']} of {of['stop']['answers_given']} answers came",
            "overload.py",
        ),
    ]


def soak() -> Row:
    """A million requests."""
    of = result("soak")
    return (
        f"{of['requests']:,} requests of all lengths, one after another",
        f"{of['failed']} failed; resident memory {of['early_mb']:.1f} MB, at the end {of['late_mb']:.1f} MB "
        f"({of['growth']:+.1%})",
        "soak.py",
    )


def fuzzing() -> Row:
    """What malformed input did."""
    parts = result("fuzzing")["parts"]
    told = ", ".join(f"{of['cases']:,} {name}" for name, of in parts.items())
    return (
        "malformed bodies, WebSocket frames, model folders; requests made from the OpenAPI document",
        f"{told}: {sum(of['failed'] for of in parts.values())} failures (5xx, crash, hang)",
        "fuzzing.py",
    )


def runtimes() -> list[Row]:
    """What rounding costs."""
    found = []
    for name, of in result("runtimes")["models"].items():
        exact = of["kernel, float32"]["accuracy"]
        others = ("ONNX", "ONNX, int8", "kernel, int8")
        told = ", ".join(f"{what} {of[what]['accuracy']:.2%}" for what in others)
        found.append(
            (f"IMDb test accuracy of one {name} model in float32, and", f"{exact:.2%}; {told}", "runtimes.py")
        )
    return found
