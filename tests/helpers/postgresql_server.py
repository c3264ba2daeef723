"""A PostgreSQL server in a temporary folder, on a free port of this machine."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PASSWORD = "not-to-be-shown"
"""Of a server that exists for one test."""
USER = "tester"
FOLDERS = (Path("/usr/lib/postgresql"),)
"""Where Debian installs the server, one folder per version."""


def find_server() -> Path | None:
    """Return the folder of `initdb` and `postgres`; None if PostgreSQL is not installed."""
    candidates = [path for folder in FOLDERS for path in sorted(folder.glob("*/bin"), reverse=True)]
    program = shutil.which("initdb")
    if program is not None:
        candidates.append(Path(program).resolve().parent)
    return next((path for path in candidates if (path / "initdb").exists() and (path / "postgres").exists()), None)


@contextmanager
def running_server() -> Iterator[str]:
    """Run a server and yield its URL, postgresql://tester@127.0.0.1:PORT/postgres, which needs `PASSWORD`."""
    programs = find_server()
    assert programs is not None, "PostgreSQL is installed"
    folder = Path(tempfile.mkdtemp(prefix="fastlstm-postgresql-"))
    account = _account()
    try:
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        if account is not None:
            for path in (folder, password_file):
                os.chown(path, account.pw_uid, account.pw_gid)
        data, user = folder / "data", None if account is None else account.pw_uid
        subprocess.run(
            [
                programs / "initdb", "--pgdata", data, "--username", USER, "--pwfile", password_file,
                "--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync",
            ],
            check=True, capture_output=True, user=user, cwd=folder,
        )  # fmt: skip
        port = _free_port()
        server = subprocess.Popen(
            [
                programs / "postgres", "-D", data, "-p", str(port), "-c", "listen_addresses=127.0.0.1",
                "-c", f"unix_socket_directories={folder}", "-c", "fsync=off",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd=folder,
        )  # fmt: skip
        try:
            _wait(server, port)
            yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"
        finally:
            server.terminate()
            server.wait(timeout=30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def execute(database: str, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """Execute a statement in a transaction of its own and return its rows."""
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        cursor = connection.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []


def _account() -> pwd.struct_passwd | None:
    """Return the account of the server: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return pwd.getpwnam("postgres" if "postgres" in names else "nobody")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the server accepts connections."""
    import psycopg

    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(host="127.0.0.1", port=port, user=USER, password=PASSWORD, dbname="postgres").close()
            return
        except psycopg.OperationalError:
            assert server.poll() is None, "the server runs"
            assert time.monotonic() < deadline, "the server accepts connections within a minute"
            time.sleep(0.05)
