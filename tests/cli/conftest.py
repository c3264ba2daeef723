"""A function that runs the command line in this process, small data, and a small model trained by it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from tests.helpers.command_line import SMALL, Command, Finished, reviews, write_csv

from fastlstm.cli import main


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs `fastlstm ARGUMENTS`; `stdin` is the content of standard input."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> Finished:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        words = [str(argument) for argument in arguments]
        monkeypatch.setattr(sys, "argv", ["fastlstm", *words])
        with pytest.raises(SystemExit) as exit_:
            main(words)
        captured = capsys.readouterr()
        assert isinstance(exit_.value.code, int)
        return Finished(exit_.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """120 labelled texts."""
    return write_csv(tmp_path / "reviews.csv", reviews(120, seed=0))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of `reviews`, trained by the command line. Must not be changed."""
    folder = tmp_path_factory.mktemp("trained")
    source = write_csv(folder / "reviews.csv", reviews(200, seed=0))
    options = [*SMALL, "--epochs", "12", "--learning-rate", "0.03", "--no-baseline", "--validation", "0.2"]
    with pytest.raises(SystemExit) as exit_:
        main(["train", str(source), "--out", str(folder / "model"), *options])
    assert exit_.value.code == 0
    return folder / "model"
