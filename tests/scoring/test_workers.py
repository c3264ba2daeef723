"""Worker processes."""

from __future__ import annotations

import multiprocessing
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.helpers.scoring import (
    make_table,
    write_table,
)

from fastlstm.inference import Classifier
from fastlstm.scoring.workers import ProcessWorkers


def test_worker_processes_do_not_receive_interrupts(classifier: Classifier) -> None:
    workers = ProcessWorkers(classifier, None, 1)
    try:
        workers.submit(["good"]).result()
        (worker,) = multiprocessing.active_children()
        status = Path(f"/proc/{worker.pid}/status").read_text()
    finally:
        workers.close()
    blocked = int(re.search(r"SigBlk:\s*(\w+)", status)[1], 16)  # type: ignore[index]
    assert blocked >> (signal.SIGINT - 1) & 1
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_workers_that_cannot_start_are_an_error(tmp_path: Path) -> None:
    source = write_table(tmp_path / "in.parquet", make_table(50))
    script = tmp_path / "script.py"
    script.write_text(f"import fastlstm\nfastlstm.score({str(source)!r}, {str(tmp_path / 'out.csv')!r})\n")
    process = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 1
    assert "__main__" in process.stderr.splitlines()[-1]
