"""The server at 70% of its capacity, at ten times its capacity, and stopped under load.

    python benchmarks/overload.py IMDB_FOLDER --minutes 5

wrk (Debian package) sends reviews of IMDb's test split from a second process on the same cores:

1. Capacity: 16 connections, each of which sends a request as soon as the previous one is answered.
2. 70% of the capacity, from 200 connections that pause at random between requests, so that requests arrive
   independently of responses.
3. Ten times the capacity, from 1,000 such connections. A prober sends 20 requests per second and records status and
   duration of each response.
4. SIGTERM under load: every response that the server logged must have reached its client.

Then steps 1 to 4 again with the server pinned to core 0, with one thread, and wrk and the prober to core 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine
from fastlstm.data.datasets import load_imdb
from serving import run_wrk, running_server, serve_command, write_bodies

STEADY_SHARE, OVERLOAD_FACTOR = 0.7, 10
PROBES_PER_SECOND = 20
CONFIGURATIONS = {
    "int8": ["--precision", "int8"],
    "int8, two workers": ["--precision", "int8", "--workers", "2"],
    "int8, early exit 0.99, two workers": ["--precision", "int8", "--min-agreement", "0.99", "--workers", "2"],
}
OVERLOADED = "int8"
"""The configuration of step 3."""
PINNED = "int8, server and load generator on a core each"
SERVER_CORE, LOAD_CORE = 0, 1


def main() -> None:
    """Measure, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--seconds", type=int, default=20, help="duration of steps 1 and 2")
    parser.add_argument("--minutes", type=float, default=5, help="duration of step 3")
    parser.add_argument("--only", choices=[*CONFIGURATIONS, PINNED], help="the only configuration to measure")
    parser.add_argument("--port", type=int, default=8125)
    arguments = parser.parse_args()
    texts = load_imdb(arguments.data_dir).test.texts
    results: list[dict[str, Any]] = []

    def add(name: str, **figures: Any) -> None:
        results.append({"name": name, **figures})
        print(json.dumps(results[-1]), flush=True)

    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        bodies = {size: write_bodies(folder / f"{size}.txt", texts, size) for size in (1, 8)}

        def measure(name: str, size: int, command: list[str]) -> None:
            """Measure steps 1 and 2, and the others for large requests of some configurations."""
            log = folder / "log"
            with running_server(command, arguments.port, log) as process:
                steady = measure_steady(bodies[size], size, arguments.port, arguments.seconds)
                add(name, texts_a_request=size, **steady)
                if size == 8 and name in (OVERLOADED, PINNED):
                    add(name, overload=measure_overload(bodies[8], steady, arguments, process, log))

        for configuration, options in CONFIGURATIONS.items():
            if arguments.only in (None, configuration):
                for size in bodies:
                    measure(configuration, size, serve_command(arguments.port, *options))
        if arguments.only in (None, PINNED):
            command = serve_command(arguments.port, *CONFIGURATIONS[OVERLOADED])
            with pinned(LOAD_CORE):
                measure(PINNED, 8, ["taskset", "--cpu-list", str(SERVER_CORE), *command])
    packages = ["fastlstm", "fastapi", "uvicorn", "numpy", "tokenizers"]
    print(machine.save("overload", packages, {"runs": results}, publish=arguments.publish))


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Pin this thread, and the threads and processes that it starts, to a core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def measure_steady(bodies: Path, size: int, port: int, seconds: int) -> dict[str, Any]:
    """Return the capacity, and the latencies at 70% of it."""
    run_wrk(bodies, port, 3)
    maximum = run_wrk(bodies, port, seconds)
    rate = STEADY_SHARE * maximum["answers_a_second"]
    steady = run_wrk(bodies, port, seconds, connections=200, rate=rate)
    return {
        "capacity_texts_a_second": size * maximum["answers_a_second"],
        "capacity_p99_ms": maximum["p99_ms"],
        "share": steady["answers_a_second"] / maximum["answers_a_second"],
        "share_median_ms": steady["median_ms"],
        "share_p99_ms": steady["p99_ms"],
        "failed": maximum["failed"] + steady["failed"],
    }


def measure_overload(
    bodies: Path, capacity: dict[str, Any], arguments: Any, process: subprocess.Popen[bytes], log: Path
) -> dict[str, Any]:
    """Measure ten times the capacity, then a stop under load."""
    seconds = round(60 * arguments.minutes)
    requests = capacity["capacity_texts_a_second"] / 8
    probes: list[tuple[int, float]] = []
    lines = bodies.read_text(encoding="utf-8").splitlines()
    before = logged_statuses(log)

    async def load_and_probe() -> dict[str, float]:
        prober = asyncio.create_task(probe(arguments.port, lines, probes))
        figures = await asyncio.to_thread(
            run_wrk, bodies, arguments.port, seconds, connections=1000, rate=OVERLOAD_FACTOR * requests
        )
        prober.cancel()
        return figures

    load = asyncio.run(load_and_probe())
    statuses = logged_statuses(log) - before
    accepted = sorted(milliseconds for status, milliseconds in probes if status == 200)
    rejected = sorted(milliseconds for status, milliseconds in probes if status == 429)
    stop = asyncio.run(stop_under_load(arguments.port, lines, process, log))
    return {
        "seconds": seconds,
        "asked_times_capacity": load["requests_a_second"] / requests,
        "goodput_share": statuses[200] / seconds / requests,
        "statuses_of_probes": dict(Counter(status for status, _ in probes)),
        "refused_median_ms": quantile(rejected, 0.5),
        "refused_p99_ms": quantile(rejected, 0.99),
        "accepted_median_ms": quantile(accepted, 0.5),
        "accepted_p99_ms": quantile(accepted, 0.99),
        "accepted_p99_times_capacity_s": quantile(accepted, 0.99) / capacity["capacity_p99_ms"],
        "answered_5xx": sum(count for status, count in statuses.items() if status >= 500),
        "stop": stop,
    }


def quantile(sorted_values: list[float], level: float) -> float:
    """Return a quantile of values in ascending order, or NaN if there are none."""
    if not sorted_values:
        return float("nan")
    return sorted_values[min(len(sorted_values) - 1, int(level * len(sorted_values)))]


def logged_statuses(log: Path) -> Counter[int]:
    """Count the statuses that the server logged for /predict."""
    statuses = Counter[int]()
    for line in log.read_bytes().splitlines()[1:]:  # the first line is the address
        fields = json.loads(line)
        if fields.get("path") == "/predict" and "status" in fields:
            statuses[fields["status"]] += 1
    return statuses


async def probe(port: int, bodies: list[str], probes: list[tuple[int, float]]) -> None:
    """Send 20 requests per second, each on a new connection and without waiting for earlier responses."""
    tasks = set[asyncio.Task[None]]()

    async def send_one(body: str) -> None:
        start = time.perf_counter()
        status = await send_request(port, body)
        probes.append((status, 1000 * (time.perf_counter() - start)))

    for k in range(10**9):
        task = asyncio.create_task(send_one(bodies[k % len(bodies)]))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        await asyncio.sleep(1 / PROBES_PER_SECOND)


async def send_request(port: int, body: str) -> int:
    """Send a request on a new connection. Return the status of the response, or 0 if the connection broke."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        content = body.encode()
        writer.write(
            b"POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        response = await reader.read()
        writer.close()
        return int(response.split(b" ", 2)[1]) if response else 0
    except OSError:
        return 0


async def stop_under_load(
    port: int, bodies: list[str], process: subprocess.Popen[bytes], log: Path
) -> dict[str, Any]:
    """Send SIGTERM after 3 s of requests from 200 clients. Compare the received with the logged responses."""
    await asyncio.sleep(2)  # until the server has answered requests of the previous step
    before = logged_statuses(log)
    received = Counter[int]()
    stopped = asyncio.Event()

    async def run_client(k: int) -> None:
        while not stopped.is_set():
            status = await send_request(port, bodies[(k + sum(received.values())) % len(bodies)])
            received[status] += 1
            if status != 200:
                await asyncio.sleep(0.1)

    clients = [asyncio.create_task(run_client(k)) for k in range(200)]
    await asyncio.sleep(3)
    process.send_signal(signal.SIGTERM)
    start = time.perf_counter()
    await asyncio.to_thread(process.wait)
    seconds = time.perf_counter() - start
    stopped.set()
    await asyncio.gather(*clients)
    logged = logged_statuses(log) - before
    return {
        "answers_given": logged[200],
        "answers_received": received[200],
        "seconds_to_stop": seconds,
        "exit_status": process.returncode,
    }


if __name__ == "__main__":
    main()
