"""Throughput and latency of the server, compared with ONNX Runtime behind FastAPI.

    python benchmarks/serving.py IMDB_FOLDER

wrk (Debian package) sends requests from a second process on the same cores, each as soon as the previous one on its
connection is answered. A request has 1 or 8 reviews of IMDb's test split. The servers take turns, several times.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import machine
from fastlstm.data.datasets import load_imdb

HERE = Path(__file__).parent
SIZES = (1, 8)
CONNECTIONS = 16
BODIES = 600
SCRIPT = """
local bodies, k, pause = {}, 0, tonumber(os.getenv("PAUSE"))
init = function()
  for line in io.lines(os.getenv("BODIES")) do
    bodies[#bodies + 1] = wrk.format("POST", "/predict", {["Content-Type"] = "application/json"}, line)
  end
end
request = function()
  k = k % #bodies + 1
  return bodies[k]
end
if pause then delay = function() return -math.log(1 - math.random()) * pause end end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
"""


def main() -> None:
    """Measure, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--port", type=int, default=8123)
    arguments = parser.parse_args()

    serve = serve_command(arguments.port)
    servers = {
        "fastlstm serve": serve,
        "fastlstm serve, int8": [*serve, "--precision", "int8"],
        "fastlstm serve, int8, two workers": [*serve, "--precision", "int8", "--workers", "2"],
        "fastlstm serve, int8, early exit 0.99": [*serve, "--precision", "int8", "--min-agreement", "0.99"],
        "fastlstm serve, int8, early exit 0.99, two workers": [
            *serve, "--precision", "int8", "--min-agreement", "0.99", "--workers", "2",
        ],
        "ONNX Runtime and FastAPI": [sys.executable, str(HERE / "opponents/onnx_server.py"), str(arguments.port)],
    }  # fmt: skip
    texts = load_imdb(arguments.data_dir).test.texts
    runs: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        bodies = {size: write_bodies(Path(folder, f"{size}.txt"), texts, size) for size in SIZES}
        for repeat in range(arguments.repeats):
            for name, command in servers.items():
                with running_server(command, arguments.port):
                    for size, path in bodies.items():
                        figures = run_wrk(path, arguments.port, arguments.seconds)
                        runs.append({"name": name, "repeat": repeat, "texts_a_request": size, **figures})
    rows = [
        {"name": name, "texts_a_request": size, **medians(runs, name, size)} for name in servers for size in SIZES
    ]
    for row in rows:
        print(
            f"{row['name']}, {row['texts_a_request']} per request: {row['texts_a_second']:,.0f} texts/s, "
            f"median {row['median_ms']:.1f} ms, p99 {row['p99_ms']:.1f} ms, {row['failed']} failed"
        )
    result = {"connections": CONNECTIONS, "medians": rows, "runs": runs}
    packages = ["fastlstm", "fastapi", "uvicorn", "onnxruntime", "numpy", "tokenizers"]
    print(machine.save("serving", packages, result, publish=arguments.publish))


def write_bodies(path: Path, texts: list[str], size: int) -> Path:
    """Write request bodies of `size` random reviews, one per line. A single text is a string, not a list."""
    generator = np.random.default_rng(size)
    lines = []
    for _ in range(BODIES):
        sample = [texts[k] for k in generator.integers(0, len(texts), size)]
        lines.append(json.dumps({"inputs": sample[0] if size == 1 else sample}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def serve_command(port: int, *options: str) -> list[str]:
    """Return the command that serves the bundled model."""
    return [sys.executable, "-m", "fastlstm", "serve", "--port", str(port), *options]


@contextmanager
def running_server(command: list[str], port: int, log: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server, its log in `log` if given. Yields its process when it is ready, and terminates it at the end."""
    with (
        Path(log or os.devnull).open("wb") as stderr,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=stderr) as process,
    ):
        try:
            wait_until_ready(port)
            yield process
        finally:
            process.terminate()
            process.wait()


def wait_until_ready(port: int) -> None:
    """Wait until the server answers a request. Raises `RuntimeError` after 30 s."""
    body = json.dumps({"inputs": "warm"}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/predict", body, {"Content-Type": "application/json"})
    for _ in range(300):
        try:
            urllib.request.urlopen(request).read()
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    raise RuntimeError(f"no server on port {port}")


def run_wrk(
    bodies: Path, port: int, seconds: int, *, connections: int = CONNECTIONS, rate: float | None = None
) -> dict[str, float]:
    """Return requests and answers per second, latencies in milliseconds, and the number of failures of a wrk run.

    Args:
        bodies: File with one request body per line.
        port: Port of the server.
        seconds: Duration.
        connections: Each sends a request as soon as the previous one is answered.
        rate: Requests per second; each connection pauses in between, exponentially distributed. None: no pauses.
    """
    environment = {**os.environ, "BODIES": str(bodies)}
    if rate is not None:
        environment["PAUSE"] = str(1000 * connections / rate)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT)
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, f"http://127.0.0.1:{port}"]
        result = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    match = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", result.stdout)
    assert match is not None, result.stdout
    requests, microseconds, median, p99, failed = map(int, match.groups())
    return {
        "requests_a_second": requests / microseconds * 1e6,
        "answers_a_second": (requests - failed) / microseconds * 1e6,
        "median_ms": median / 1000,
        "p99_ms": p99 / 1000,
        "failed": failed,
    }


def medians(runs: list[dict[str, Any]], name: str, size: int) -> dict[str, float]:
    """Return the medians of a server's runs, and the sum of their failures."""
    selected = [run for run in runs if (run["name"], run["texts_a_request"]) == (name, size)]
    return {
        "texts_a_second": size * statistics.median(run["answers_a_second"] for run in selected),
        "median_ms": statistics.median(run["median_ms"] for run in selected),
        "p99_ms": statistics.median(run["p99_ms"] for run in selected),
        "failed": sum(run["failed"] for run in selected),
    }


if __name__ == "__main__":
    main()
