"""The server at 70% of its capacity, far beyond it, and stopped in the middle.

    python benchmarks/overload.py IMDB_FOLDER --minutes 5

wrk (Debian's package) is the load, from a second process on the same cores: reviews of IMDb's test split, whose
labels are not read. First its capacity, 16 connections that ask as fast as they are answered. Then 70% of that, and
10 times that, from hundreds of connections that wait at random between two requests, so that requests come
independently of answers. Beside the overload, a prober asks 20 times a second and notes status and time of each
answer. Last, under load again, SIGTERM: every answer that the server says it gave must have reached its client.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import machine
from fastlstm.data.datasets import load_imdb
from serving import load, until_it_answers, write_bodies

SHARE, TIMES = 0.7, 10
PROBES = 20
"""A second."""
CONTESTANTS = {
    "int8": ["--precision", "int8"],
    "int8, two workers": ["--precision", "int8", "--workers", "2"],
    "int8, early exit 0.99, two workers": ["--precision", "int8", "--early-exit", "0.99", "--workers", "2"],
}


def main() -> None:
    """Measures, prints and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--seconds", type=int, default=20, help="of capacity and of 70%%")
    parser.add_argument("--minutes", type=float, default=5, help="of the overload, of the first contestant")
    parser.add_argument("--only", help="one contestant")
    parser.add_argument("--port", type=int, default=8125)
    arguments = parser.parse_args()
    texts = load_imdb(arguments.data_dir).test.texts
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bodies = {size: write_bodies(folder / f"{size}.txt", texts, size) for size in (1, 8)}
        for contestant, options in CONTESTANTS.items():
            if arguments.only in (None, contestant):
                for size, path in bodies.items():
                    with serving(options, arguments.port, folder / "log"):
                        found = steady(path, size, arguments.port, arguments.seconds)
                    results.append({"name": contestant, "texts_a_request": size, **found})
                    print(json.dumps(results[-1]), flush=True)
        kept = [result for result in results if result["texts_a_request"] == 8]
        for result in kept[:1]:
            options = CONTESTANTS[result["name"]]
            log = folder / "log"
            with serving(options, arguments.port, log) as process:
                over = overloaded(bodies[8], result, arguments, process, log)
            results.append({"name": result["name"], "overload": over})
            print(json.dumps(results[-1]), flush=True)
    packages = ["fastlstm", "fastapi", "uvicorn", "numpy", "tokenizers"]
    print(machine.save("overload", machine.describe(packages), {"runs": results}))


@contextmanager
def serving(options: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The server, from when it answers."""
    command = [sys.executable, "-m", "fastlstm", "serve", "--port", str(port), *options]
    with log.open("wb") as lines, subprocess.Popen(command, stderr=lines) as process:
        try:
            until_it_answers(port)
            yield process
        finally:
            process.terminate()
            process.wait()


def steady(bodies: Path, size: int, port: int, seconds: int) -> dict[str, Any]:
    """Capacity, and latencies at 70% of it."""
    load(bodies, port, 3)
    most = load(bodies, port, seconds)
    rate = SHARE * most["answers_a_second"]
    part = load(bodies, port, seconds, connections=200, rate=rate)
    return {
        "capacity_texts_a_second": size * most["answers_a_second"],
        "capacity_p99_ms": most["p99_ms"],
        "share": part["answers_a_second"] / most["answers_a_second"],
        "share_median_ms": part["median_ms"],
        "share_p99_ms": part["p99_ms"],
        "failed": most["failed"] + part["failed"],
    }


def overloaded(
    bodies: Path, capacity: dict[str, Any], arguments: Any, process: subprocess.Popen[bytes], log: Path
) -> dict[str, Any]:
    """What becomes of ten times the capacity, and of a stop under load."""
    seconds = round(60 * arguments.minutes)
    requests = capacity["capacity_texts_a_second"] / 8
    probes: list[tuple[int, float]] = []
    lines = bodies.read_text(encoding="utf-8").splitlines()
    before = statuses(log)

    async def together() -> dict[str, float]:
        probing = asyncio.create_task(probe(arguments.port, lines, probes))
        found = await asyncio.to_thread(
            load, bodies, arguments.port, seconds, connections=1000, rate=TIMES * requests
        )
        probing.cancel()
        return found

    asked = asyncio.run(together())
    told = statuses(log) - before
    taken = sorted(ms for status, ms in probes if status == 200)
    refused = sorted(ms for status, ms in probes if status == 429)
    stopped = asyncio.run(stop_under_load(arguments.port, lines, process, log))
    return {
        "seconds": seconds,
        "asked_times_capacity": asked["requests_a_second"] / requests,
        "goodput_share": told[200] / seconds / requests,
        "statuses_of_probes": dict(Counter(status for status, _ in probes)),
        "refused_median_ms": quantile(refused, 0.5),
        "refused_p99_ms": quantile(refused, 0.99),
        "accepted_median_ms": quantile(taken, 0.5),
        "accepted_p99_ms": quantile(taken, 0.99),
        "accepted_p99_times_capacity_s": quantile(taken, 0.99) / capacity["capacity_p99_ms"],
        "answered_5xx": sum(count for status, count in told.items() if status >= 500),
        "stop": stopped,
    }


def quantile(rising: list[float], share: float) -> float:
    """Of numbers in rising order; NaN of none."""
    return rising[min(len(rising) - 1, int(share * len(rising)))] if rising else float("nan")


def statuses(log: Path) -> Counter[int]:
    """How often the server says that it gave each status."""
    found = Counter[int]()
    for line in log.read_bytes().splitlines()[1:]:  # the first says where it serves
        told = json.loads(line)
        if told.get("path") == "/predict" and "status" in told:
            found[told["status"]] += 1
    return found


async def probe(port: int, bodies: list[str], probes: list[tuple[int, float]]) -> None:
    """Asks 20 times a second, each on a connection of its own, whatever the last ones wait for."""
    going = set[asyncio.Task[None]]()

    async def one(body: str) -> None:
        started = time.perf_counter()
        status = await ask(port, body)
        probes.append((status, 1000 * (time.perf_counter() - started)))

    for k in range(10**9):
        task = asyncio.create_task(one(bodies[k % len(bodies)]))
        going.add(task)
        task.add_done_callback(going.discard)
        await asyncio.sleep(1 / PROBES)


async def ask(port: int, body: str) -> int:
    """One request on a connection of its own: the status of its answer; 0 where the connection broke before one."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        content = body.encode()
        writer.write(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        answer = await reader.read()
        writer.close()
        return int(answer.split(b" ", 2)[1]) if answer else 0
    except OSError:
        return 0


async def stop_under_load(
    port: int, bodies: list[str], process: subprocess.Popen[bytes], log: Path
) -> dict[str, Any]:
    """200 clients ask on and on; after 3 seconds SIGTERM. What they got, and what the server says it gave."""
    await asyncio.sleep(2)  # until it has answered those that are no longer there
    before = statuses(log)
    got = Counter[int]()
    end = asyncio.Event()

    async def client(k: int) -> None:
        while not end.is_set():
            status = await ask(port, bodies[(k + sum(got.values())) % len(bodies)])
            got[status] += 1
            if status != 200:
                await asyncio.sleep(0.1)

    clients = [asyncio.create_task(client(k)) for k in range(200)]
    await asyncio.sleep(3)
    process.send_signal(signal.SIGTERM)
    sent = time.perf_counter()
    await asyncio.to_thread(process.wait)
    seconds = time.perf_counter() - sent
    end.set()
    await asyncio.gather(*clients)
    said = statuses(log) - before
    return {
        "answers_given": said[200],
        "answers_received": got[200],
        "seconds_to_stop": seconds,
        "exit_status": process.returncode,
    }


if __name__ == "__main__":
    main()
