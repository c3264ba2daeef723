"""Latency of large and of short requests at 70% of the server's capacity.

    python benchmarks/tails.py IMDB_FOLDER

wrk (Debian package) sends reviews of IMDb's test split from other processes on the same cores:

1. Capacity: 16 connections with 8 reviews per request, each sent as soon as the previous one is answered.
2. 70% of the capacity, from 200 connections that pause at random between requests, so that requests arrive
   independently of responses.
3. The same, and 20 short texts per second, one per request, from 20 such connections.
"""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import machine
from fastlstm.data.datasets import load_imdb
from serving import run_wrk, running_server, serve_command, write_bodies

STEADY_SHARE, REVIEWS, CONNECTIONS = 0.7, 8, 200
SHORT_TEXTS = ("What a wonderful film, I loved it!", "Boring and far too long.", "Not bad at all.")
SHORT_PER_SECOND, SHORT_CONNECTIONS = 20, 20
CONFIGURATIONS = {
    "float32": ["--precision", "float32"],
    "int8": ["--precision", "int8"],
    "int8, two workers": ["--precision", "int8", "--workers", "2"],
}


def main() -> None:
    """Measure, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--seconds", type=int, default=20, help="duration of each step")
    parser.add_argument("--only", choices=list(CONFIGURATIONS), help="the only configuration to measure")
    parser.add_argument("--port", type=int, default=8129)
    arguments = parser.parse_args()
    texts = load_imdb(arguments.data_dir).test.texts
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        reviews = write_bodies(folder / "reviews.txt", texts, REVIEWS)
        short = folder / "short.txt"
        short.write_text("".join(json.dumps({"inputs": text}) + "\n" for text in SHORT_TEXTS), encoding="utf-8")
        for configuration, options in CONFIGURATIONS.items():
            if arguments.only in (None, configuration):
                with running_server(serve_command(arguments.port, *options), arguments.port):
                    figures = measure(reviews, short, arguments.port, arguments.seconds)
                results.append({"name": configuration, **figures})
                print(describe(results[-1]), flush=True)
    packages = ["fastlstm", "fastapi", "uvicorn", "numpy", "tokenizers"]
    result = {"reviews_a_request": REVIEWS, "runs": results}
    print(machine.save("tails", packages, result, publish=arguments.publish))


def measure(reviews: Path, short: Path, port: int, seconds: int) -> dict[str, Any]:
    """Return the capacity, and the figures of wrk of each step and kind of request."""
    run_wrk(reviews, port, 3)
    capacity = run_wrk(reviews, port, seconds)
    rate = STEADY_SHARE * capacity["answers_a_second"]

    def send_reviews() -> dict[str, float]:
        return run_wrk(reviews, port, seconds, connections=CONNECTIONS, rate=rate)

    def send_short() -> dict[str, float]:
        return run_wrk(short, port, seconds, connections=SHORT_CONNECTIONS, rate=SHORT_PER_SECOND)

    alone = send_reviews()
    with ThreadPoolExecutor() as executor:
        mixed, mixed_short = executor.submit(send_reviews), executor.submit(send_short)
    return {"capacity": capacity, "alone": alone, "mixed": mixed.result(), "mixed_short": mixed_short.result()}


def describe(result: dict[str, Any]) -> str:
    """Return a line with the figures of a configuration."""
    capacity = result["capacity"]["answers_a_second"]

    def latency(step: str) -> str:
        figures = result[step]
        share = figures["answers_a_second"] / capacity
        return f"{figures['median_ms']:.1f} ms, p99 {figures['p99_ms']:.1f} ms at {share:.0%}"

    failed = sum(int(result[step]["failed"]) for step in ("capacity", "alone", "mixed", "mixed_short"))
    return (
        f"{result['name']}: capacity {REVIEWS * capacity:,.0f} reviews/s; {REVIEWS} per request {latency('alone')}; "
        f"with short texts {latency('mixed')}; short texts {latency('mixed_short')}; {failed} failed"
    )


if __name__ == "__main__":
    main()
