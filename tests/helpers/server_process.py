"""A real server in a separate process."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import IO, Any


class Server:
    """A `fastlstm serve` process.

    Attributes:
        process: The process.
        names: The model names it printed at startup, comma-separated.
        address: Its base URL.
        lines: The JSON log lines so far.
        client: An HTTP client of it.
    """

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        """Start the process and wait until it is ready."""
        import httpx

        command = [sys.executable, "-m", "fastlstm", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert self.process.stderr is not None
        match = re.fullmatch(r"serving (.*) on (http://\S+)\n", self.process.stderr.readline())
        assert match is not None
        self.names, self.address = match.groups()
        self.lines: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._collect_lines, args=(self.process.stderr,))
        self._reader.start()
        self.client = httpx.Client(base_url=self.address, timeout=30)
        for _ in range(600):
            try:
                if self.client.get("/v2/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the server did not become ready")

    def _collect_lines(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.append(json.loads(line))

    def accepts_connections(self) -> bool:
        """Return whether the server accepts new connections."""
        host, port = self.address.removeprefix("http://").split(":")
        try:
            socket.create_connection((host, int(port))).close()
        except OSError:
            return False
        return True

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the process to exit, and return its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(30)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.client.close()
        return status
