"""The rows of docs/benchmarks.md about the server: what was measured, the figure, and the script that measures it."""

from __future__ import annotations

from typing import Any

Row = tuple[str, str, str]


def throughput(result: Any) -> list[Row]:
    """Return the throughput of the server, compared with ONNX Runtime, of a result of serving.py."""
    medians = result["medians"]

    def speed(name: str) -> float:
        (row,) = [row for row in medians if (row["name"], row["texts_a_request"]) == (name, 8)]
        texts_per_second: float = row["texts_a_second"]
        return texts_per_second

    own, onnx = speed("fastlstm serve"), speed("ONNX Runtime and FastAPI")
    return [
        (
            "throughput of the server, bundled model, 8 reviews per request, load generator on the same cores",
            f"**{own:,.0f} reviews/s**; ONNX Runtime with FastAPI {onnx:,.0f} ({own / onnx:.1f} ×); int8 "
            f"{speed('fastlstm serve, int8'):,.0f}; int8, 2 workers {speed('fastlstm serve, int8, two workers'):,.0f}; "
            f"int8, 2 workers, early exit {speed('fastlstm serve, int8, early exit 0.99, two workers'):,.0f}",
            "serving.py",
        )
    ]


def load(result: Any) -> list[Row]:
    """Return the latency at 70% of the capacity, and the behaviour at ten times the capacity, of overload.py."""
    runs = result["runs"]
    steady = {(run["name"], run["texts_a_request"]): run for run in runs if "overload" not in run}
    single, batch = steady["int8", 1], steady["int8", 8]
    overloaded = (overload_row(run["name"], run["overload"]) for run in runs if "overload" in run)
    latency = (
        "99th percentile latency at 70% of the capacity, int8",
        f"{single['share_p99_ms']:.0f} ms (1 review per request, capacity "
        f"{single['capacity_texts_a_second']:,.0f}/s), {batch['share_p99_ms']:.0f} ms (8 per request, "
        f"{batch['capacity_texts_a_second']:,.0f}/s)",
        "overload.py",
    )
    return [latency, *overloaded]


def overload_row(name: str, overload: Any) -> Row:
    """Return the behaviour of a configuration at ten times the capacity."""
    return (
        f"ten times the capacity, 8 reviews per request, {name}",
        f"{overload['asked_times_capacity']:.1f} × for {overload['seconds']} s: {overload['goodput_share']:.0%} of the "
        f"capacity served, p99 {overload['accepted_p99_ms']:.0f} ms; rejected with 429 after "
        f"{overload['refused_median_ms']:.1f} ms (p99 {overload['refused_p99_ms']:.0f} ms); "
        f"{overload['answered_5xx']} responses with 5xx; stopped under load, "
        f"{overload['stop']['answers_received']} of {overload['stop']['answers_given']} responses received",
        "overload.py",
    )


def tails(result: Any) -> list[Row]:
    """Return the latencies of large and short requests at 70% of the capacity, of tails.py."""
    return [
        (
            f"99th percentile latency at 70% of the capacity, {result['reviews_a_request']} reviews per request mixed "
            f"with requests of one short text, {run['name']}",
            f"{run['mixed']['p99_ms']:.0f} ms; short texts {run['mixed_short']['p99_ms']:.1f} ms; without short texts "
            f"{run['alone']['p99_ms']:.0f} ms",
            "tails.py",
        )
        for run in result["runs"]
    ]


def soak(result: Any) -> list[Row]:
    """Return the growth of memory over a million requests, of soak.py."""
    return [
        (
            f"{result['requests']:,} requests with texts of all lengths",
            f"{result['failed']} failed; resident memory {result['early_mb']:.1f} MB, at the end "
            f"{result['late_mb']:.1f} MB ({result['growth']:+.1%})",
            "soak.py",
        )
    ]


def fuzzing(result: Any) -> list[Row]:
    """Return the failures caused by malformed input, of fuzzing.py."""
    parts = result["parts"]
    cases = ", ".join(f"{part['cases']:,} {name}" for name, part in parts.items())
    return [
        (
            "malformed request bodies, WebSocket messages and model folders, and requests generated from the OpenAPI "
            "schema",
            f"{cases}: {sum(part['failed'] for part in parts.values())} failures (5xx, crash, hang)",
            "fuzzing.py",
        )
    ]


def runtimes(result: Any) -> list[Row]:
    """Return the accuracy of lower precisions, of runtimes.py."""
    table = []
    for name, accuracies in result["models"].items():
        exact = accuracies["kernel, float32"]["accuracy"]
        others = ", ".join(
            f"{runtime} {accuracies[runtime]['accuracy']:.2%}" for runtime in ("ONNX", "ONNX, int8", "kernel, int8")
        )
        table.append(
            (f"IMDb test accuracy of one {name} model by runtime", f"float32 {exact:.2%}, {others}", "runtimes.py")
        )
    return table
