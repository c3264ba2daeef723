"""A real server in a process of its own."""

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

import httpx


class Server:
    """A process that serves, its address, and its log lines so far."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "fastlstm", "serve", "--port", "0", *arguments]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        assert self.process.stderr is not None
        found = re.fullmatch(r"serving (.*) on (http://\S+)\n", self.process.stderr.readline())
        assert found is not None
        self.names, self.address = found.groups()
        self.lines: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read, args=(self.process.stderr,))
        self._reader.start()
        self.client = httpx.Client(base_url=self.address, timeout=30)
        for _ in range(600):
            try:
                if self.client.get("/v2/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError("the server never was ready")

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self.lines.append(json.loads(line))

    def accepts(self) -> bool:
        """Whether new connections are taken."""
        host, port = self.address.removeprefix("http://").split(":")
        try:
            socket.create_connection((host, int(port))).close()
        except OSError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status."""
        self.process.send_signal(how)
        status = self.process.wait(30)
        self._reader.join(10)
        assert self.process.stderr is not None
        self.process.stderr.close()
        self.client.close()
        return status
