"""The server's processes: settings of the workers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from fastlstm.server import main
from fastlstm.server.settings import Settings


@pytest.mark.parametrize("precision", ["auto", "float32"])
def test_workers_share_one_precision(folder: Path, precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[object] = []
    started: list[Settings] = []

    def fastest(task: str, units: list[int], info: object) -> str:
        del info
        sizes.append((task, units))
        return "bfloat16"

    monkeypatch.setattr("fastlstm.inference.network.fastest_precision", lambda *_: "float32")
    monkeypatch.setattr(main, "fastest_precision", fastest)
    monkeypatch.setattr(main, "supervise", lambda _, settings, __: started.append(settings))
    monkeypatch.setattr("logging.config.dictConfig", lambda _: None)
    settings = Settings(models={"a": folder, "b": folder}, precision=precision, workers=2)
    with socket.socket() as listener:
        main.serve(settings, listener)
    assert [each.precision for each in started] == ["bfloat16" if precision == "auto" else "float32"]
    assert sizes == ([("inference", [7, 7])] if precision == "auto" else [])
