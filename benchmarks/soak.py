"""The server's memory over a million requests of all lengths.

    python benchmarks/soak.py IMDB_FOLDER --requests 1000000

Requests are one text each, from the first characters of an IMDb test review, whose labels are not read, up to whole
reviews and several in a row: half of them up to 200 characters, the others up to 20,000. wrk (Debian's package)
asks as fast as it is answered. Resident memory is read every half a second; growth is that of the last tenth of the
requests over the second tenth, the first one being warm-up.
"""

from __future__ import annotations

import argparse
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
from overload import serving
from serving import load

BODIES = 20_000
LONGEST = 20_000
PART = 60
"""Seconds of one run of wrk; between two the requests so far are counted."""


def main() -> None:
    """Measures, prints and keeps the raw result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--port", type=int, default=8127)
    parser.add_argument("options", nargs="*", default=["--precision", "int8", "--early-exit", "0.99"])
    arguments = parser.parse_args()
    texts = load_imdb(arguments.data_dir).test.texts
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bodies = write_lengths(folder / "bodies.txt", texts)
        with serving(arguments.options, arguments.port, folder / "log") as process:
            seen: list[tuple[float, int]] = []
            end = threading.Event()
            watcher = threading.Thread(target=watch, args=(process.pid, seen, end))
            watcher.start()
            started, done, failed = time.perf_counter(), 0.0, 0
            while done < arguments.requests:
                part = load(bodies, arguments.port, PART)
                done += part["requests_a_second"] * PART
                failed += int(part["failed"])
                print(f"{done:,.0f} requests, {failed} failed, {seen[-1][1] / 1e6:.1f} MB", flush=True)
            seconds = time.perf_counter() - started
            end.set()
            watcher.join()
    result = {"requests": round(done), "failed": failed, "seconds": round(seconds), **growth(seen)}
    print(json.dumps({name: value for name, value in result.items() if name != "resident_mb"}))
    packages = ["fastlstm", "fastapi", "uvicorn", "numpy", "tokenizers"]
    print(machine.save("soak", machine.describe(packages), {"options": arguments.options, **result}))


def write_lengths(path: Path, texts: list[str]) -> Path:
    """Requests of texts of all lengths, one a line."""
    generator = np.random.default_rng(0)
    lines = []
    for k in range(BODIES):
        longest = 200 if k % 2 else LONGEST
        length = int(np.exp(generator.uniform(0, np.log(longest))))
        text = " ".join(texts[j] for j in generator.integers(0, len(texts), 1 + length // 1000))
        lines.append(json.dumps({"inputs": text[:length]}))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def watch(process: int, seen: list[tuple[float, int]], end: threading.Event) -> None:
    """Notes time and bytes of resident memory until the end."""
    while not end.wait(0.5):
        pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
        seen.append((time.perf_counter(), pages * 4096))


def growth(seen: list[tuple[float, int]]) -> dict[str, Any]:
    """Medians of the second and the last tenth, their ratio, and a course of a hundred points."""
    megabytes = [of / 1e6 for _, of in seen]
    tenth = len(megabytes) // 10
    early, late = (statistics.median(part) for part in (megabytes[tenth : 2 * tenth], megabytes[-tenth:]))
    return {
        "early_mb": early,
        "late_mb": late,
        "growth": late / early - 1,
        "resident_mb": [round(of, 1) for of in megabytes[:: max(1, len(megabytes) // 100)]],
    }


if __name__ == "__main__":
    main()
