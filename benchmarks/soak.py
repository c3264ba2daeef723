"""Memory of the server over a million requests with texts of all lengths.

    python benchmarks/soak.py IMDB_FOLDER --requests 1000000

Each request has one text, cut from IMDb test reviews: half of the texts have up to 200 characters, the others up to
20,000. wrk (Debian package) sends them as fast as they are answered. Resident memory is read every 0.5 s. Growth is
that of the last tenth of the run relative to the second tenth; the first tenth is warm-up.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

import machine
from fastlstm.data.datasets import load_imdb
from serving import run_wrk, running_server, serve_command

BODIES = 20_000
MAX_SHORT, MAX_LONG = 200, 20_000
"""Maximum characters of short and of long texts."""
WRK_SECONDS = 60
"""Duration of one wrk run; requests are counted after each."""
PAGE_BYTES = 4096


def main() -> None:
    """Measure, print and save the raw result."""
    parser = machine.argument_parser(__doc__)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--port", type=int, default=8127)
    parser.add_argument("options", nargs="*", default=["--precision", "int8", "--min-agreement", "0.99"])
    arguments = parser.parse_args()
    texts = load_imdb(arguments.data_dir).test.texts
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bodies = write_lengths(folder / "bodies.txt", texts)
        command = serve_command(arguments.port, *arguments.options)
        with running_server(command, arguments.port, folder / "log") as process:
            memory: list[int] = []
            stopped = threading.Event()
            monitor = threading.Thread(target=monitor_memory, args=(process.pid, memory, stopped))
            monitor.start()
            start, requests, failed = time.perf_counter(), 0.0, 0
            while requests < arguments.requests:
                figures = run_wrk(bodies, arguments.port, WRK_SECONDS)
                requests += figures["requests_a_second"] * WRK_SECONDS
                failed += int(figures["failed"])
                print(f"{requests:,.0f} requests, {failed} failed, {memory[-1] / 1e6:.1f} MB", flush=True)
            seconds = time.perf_counter() - start
            stopped.set()
            monitor.join()
    result = {"requests": round(requests), "failed": failed, "seconds": round(seconds), **summarize(memory)}
    print(json.dumps({name: value for name, value in result.items() if name != "resident_mb"}))
    packages = ["fastlstm", "fastapi", "uvicorn", "numpy", "tokenizers"]
    print(machine.save("soak", packages, {"options": arguments.options, **result}, publish=arguments.publish))


def write_lengths(path: Path, texts: list[str]) -> Path:
    """Write request bodies with texts of all lengths, one per line. Lengths are distributed log-uniformly."""
    generator = np.random.default_rng(0)
    lines = []
    for k in range(BODIES):
        maximum = MAX_SHORT if k % 2 else MAX_LONG
        length = int(np.exp(generator.uniform(0, np.log(maximum))))
        text = " ".join(texts[j] for j in generator.integers(0, len(texts), 1 + length // 1000))
        lines.append(json.dumps({"inputs": text[:length]}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def monitor_memory(process_id: int, memory: list[int], stopped: threading.Event) -> None:
    """Append the resident memory in bytes every 0.5 s."""
    while not stopped.wait(0.5):
        pages = int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
        memory.append(pages * PAGE_BYTES)


def summarize(memory: list[int]) -> dict[str, Any]:
    """Return the medians of the second and the last tenth, their relative growth, and about 100 samples."""
    megabytes = [size / 1e6 for size in memory]
    tenth = len(megabytes) // 10
    early, late = (statistics.median(part) for part in (megabytes[tenth : 2 * tenth], megabytes[-tenth:]))
    return {
        "early_mb": early,
        "late_mb": late,
        "growth": late / early - 1,
        "resident_mb": [round(value, 1) for value in megabytes[:: max(1, len(megabytes) // 100)]],
    }


if __name__ == "__main__":
    main()
