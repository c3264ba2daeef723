"""The command line called in this process, small data, and one small model trained through it."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fastlstm.cli import main

GOOD, BAD = ["great", "superb", "moving", "funny"], ["awful", "boring", "dull", "weak"]
NEUTRAL = ["the", "film", "was", "a", "story", "with", "actors", "and", "music"]
SMALL = [
    "--preset",
    "tutorial",
    "--hidden-sizes",
    "7",
    "--embedding-size",
    "5",
    "--epochs",
    "2",
    "--batch-size",
    "16",
]
"""Options that make training a matter of a second."""


@dataclass(frozen=True)
class Finished:
    """The result of a command: exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    @property
    def code(self) -> str:
        """The code of the error on standard error, such as "missing-column"; "" if there is none."""
        match = re.search(r"^fastlstm: error\[([a-z0-9-]+)\]: ", self.err, re.MULTILINE)
        return match[1] if match else ""

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON object and nothing else."""
        return json.loads(self.out)


Command = Callable[..., Finished]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `fastlstm ARGUMENTS`; `stdin` is what standard input holds."""

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


def reviews(count: int, seed: int) -> list[tuple[str, str]]:
    """Texts of 3 to 24 words whose class a few words tell."""
    generator = random.Random(seed)
    rows = []
    for i in range(count):
        words = generator.choices(NEUTRAL, k=generator.randint(1, 22))
        words += generator.choices(GOOD if i % 2 else BAD, k=2)
        generator.shuffle(words)
        rows.append((" ".join(words), "good" if i % 2 else "bad"))
    return rows


def write_csv(path: Path, rows: list[tuple[str, str]], header: tuple[str, str] = ("text", "label")) -> Path:
    """A CSV file of texts and labels."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """120 labelled texts."""
    return write_csv(tmp_path / "reviews.csv", reviews(120, seed=0))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has learned `reviews`, trained through the command line."""
    folder = tmp_path_factory.mktemp("trained")
    source = write_csv(folder / "reviews.csv", reviews(200, seed=0))
    options = [*SMALL, "--epochs", "12", "--learning-rate", "0.03", "--no-baseline"]
    with pytest.raises(SystemExit) as exit_:
        main(["train", str(source), "--out", str(folder / "model"), *options])
    assert exit_.value.code == 0
    return folder / "model"
