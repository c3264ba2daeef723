"""The tables of docs/scale.md and docs/streaming.md: bulk scoring, and states of streams."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

import processors
from alternatives_report import row
from results import read_all, read_one
from scale_score import FIRST_ROW, memory_growth

PARTS = ("score", "kills", "postgresql", "engines", "training", "conversations")
MANY_WORKERS = 64
BILLION = 1_000_000_000
PRICE = 0.04
"""Assumed price of one core for one hour, in US dollars."""


def documents() -> list[tuple[str, str, str]]:
    """Return the tables of published results: document, name of the markers, Markdown."""
    tables = [("docs/scale.md", "figures", figures())]
    if read_all("scale-score"):
        tables.append(("docs/scale.md", "cost", cost()))
    if read_all("scale-states"):
        tables.append(("docs/streaming.md", "states", states()))
    return tables


def figures() -> str:
    """Return a row for each figure that has been measured, from the last result of each part."""
    if not any(read_all(f"scale-{part}") for part in PARTS):
        return "No figures are published yet.\n"
    lines = [row(["what", "measured", "processor, date"]), row(["---"] * 3)]
    for part in PARTS:
        if read_all(f"scale-{part}"):
            result = read_one(f"scale-{part}")
            where = f"{processors.name(result['machine'])}, {result['date']}"
            lines += [row([what, value, where]) for what, value in _ROWS[part](result)]
    return "\n".join(lines) + "\n"


def cost() -> str:
    """Return what a billion reviews cost, from the speed of `score` and the share of each engine."""
    score = read_one("scale-score")
    per_core = score["rows_per_second"] / score["processes"]
    shares = {"`fastlstm score` on one machine": 1.0}
    if read_all("scale-engines"):
        engines = read_one("scale-engines")["share_of_score"]
        shares |= {{"spark": "Spark", "ray": "Ray Data", "flink": "Flink"}[name]: min(share, 1.0)
                   for name, share in engines.items()}  # fmt: skip
    lines = [row(["engine", "reviews/s per core", "core hours", "US dollars"]), row(["---"] * 4)]
    for name, share in shares.items():
        hours = BILLION / (per_core * share) / 3600
        lines.append(row([name, f"{per_core * share:,.0f}", f"{hours:,.0f}", f"{hours * PRICE:,.0f}"]))
    note = (
        f"A billion film reviews of IMDb, with the bundled English model in float32, at {PRICE} dollars per core and "
        f"hour, on an {processors.name(score['machine'])}. Shares of `score` above 100% count as 100%."
    )
    return "\n".join([*lines, "", note]) + "\n"


def states() -> str:
    """Return the size of the state of a stream by the number of tokens."""
    result = read_one("scale-states")
    lines = [row(["tokens", "mean, bytes", "maximum, bytes", "save, µs", "restore, µs"]), row(["---"] * 5)]
    for count, values in result["states"].items():
        cells = [f"{values[name]:,.0f}" for name in (
            "bytes_mean", "bytes_maximum", "saving_microseconds", "restoring_microseconds")]  # fmt: skip
        lines.append(row([f"{int(count):,}", *cells]))
    note = (
        f"{result['texts']} texts of joined reviews, on an {processors.name(result['machine'])} ({result['date']})."
    )
    return "\n".join([*lines, "", note]) + "\n"


def _score(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield (
        f"`score` of {result['rows']:,} reviews in Parquet, {result['processes']} processes",
        f"{result['rows_per_second']:,.0f} reviews/s, {result['share_of_predict_proba']:.0%} of `predict_proba` alone",
    )
    yield (
        f"`score` of {result['pair_rows']:,} reviews, {result['processes']} processes against one "
        f"({len(result['pairs'])} pairs)",
        f"{result['speedup']:.2f} ×",
    )
    first = min(FIRST_ROW, result["rows"] // 10)
    memory = memory_growth(result["memory_samples"], first)
    yield (
        f"memory of all processes, from row {first:,} on, in parts of {first:,} rows",
        f"median {memory['median']:,.0f} MB, later at most {memory['median_growth']:+.1%}; peak {memory['peak']:,.0f} "
        f"MB, later at most {memory['peak_growth']:+.1%}",
    )


def _kills(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for sink, correct in result["correct"].items():
        yield (
            f"`kill -9` at random moments, then `--resume`: {sink.replace('postgresql', 'PostgreSQL')}",
            f"every row once in {correct} of {result['kills']}",
        )


def _postgresql(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield (
        f"`score` of {result['rows']:,} reviews from PostgreSQL to PostgreSQL",
        f"{result['rows_per_second']['postgresql']:,.0f} reviews/s, {result['share_of_parquet']:.0%} of Parquet",
    )


def _engines(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, share in result["share_of_score"].items():
        yield f"{name.title()}, {result['workers']} workers, {result['rows']:,} reviews", f"{share:.0%} of `score`"


def _training(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, speedup in result["speedup"].items():
        yield (
            f"training the {name} with {result['workers']} workers of one core each",
            f"{speedup:.2f} × one worker; losses of the first epoch differ by at most "
            f"{result['loss_difference'][name]:.0e}",
        )
        yield (
            f"the same with {MANY_WORKERS} workers, if no more time is lost per step than with {result['workers']} "
            "(calculated)",
            f"at most {_bound(result['runs'][name], result['workers']):.0f} ×",
        )


def _bound(runs: list[dict[str, float]], workers: int) -> float:
    """Return the speed-up of many workers if only the computation is divided, and the rest of the time stays."""
    one, both = (statistics.median(run[name] for run in runs) for name in ("one", "both"))
    lost = max(both - one / workers, 0.0)
    return one / (one / MANY_WORKERS + lost)


def _conversations(result: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield (
        f"Flink with {result['conversations']:,} open conversations",
        f"{result['state_bytes_mean']:,.0f} bytes per state, at most {result['state_bytes_maximum']:,}; savepoint of "
        f"{result['savepoint_bytes_per_conversation']:,.0f} bytes per conversation in "
        f"{result['savepoint_seconds']:.1f} s; restored exactly: {result['restored']:,}",
    )


_ROWS = {
    "score": _score,
    "kills": _kills,
    "postgresql": _postgresql,
    "engines": _engines,
    "training": _training,
    "conversations": _conversations,
}
