"""Missing files are reported before PyTorch, scikit-learn and SciPy are imported, which takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.helpers.command_line import Command, error_code, reviews, write_csv

SCRIPT = """
import contextlib, io, json, sys
from fastlstm.cli import main
for arguments in json.loads(sys.argv[1]):
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors):
        try:
            main(arguments)
        except SystemExit as exit_:
            status = exit_.code
    heavy = [name for name in ("torch", "sklearn", "scipy") if name in sys.modules]
    print(json.dumps([status, errors.getvalue(), heavy]))
"""


def test_missing_files_are_reported_before_slow_imports(tmp_path: Path) -> None:
    data, gone = str(write_csv(tmp_path / "reviews.csv", reviews(40, seed=0))), str(tmp_path / "gone.csv")
    out = ["--out", str(tmp_path / "model")]
    commands = [
        ["train", gone, *out],
        ["train", data, "--validation", gone, *out],
        ["train", data, "--test", gone, *out],
        ["train", data, "--preset", "accurate", "--unlabelled", gone, *out],
        ["tune", gone, *out],
        ["tune", data, "--test", gone, *out],
        ["distill", "english-sentiment", gone, *out],
        ["calibrate", gone, *out],
        ["check", gone],
        ["check", data, "--test", gone],
        ["evaluate", gone],
        ["lm", "train", data, gone, *out],
        ["lm", "train", data, "--validation", gone, *out],
    ]
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)], check=True, capture_output=True, text=True
    )
    results = [json.loads(line) for line in process.stdout.splitlines()]
    assert len(results) == len(commands)
    for arguments, (status, errors, heavy) in zip(commands, results, strict=True):
        assert (status, error_code(errors), heavy) == (2, "file-not-found", []), arguments
        assert gone in errors
    assert [path.name for path in tmp_path.iterdir()] == ["reviews.csv"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["train", "elasticsearch://user:secret@host/index", "--out", "model"], "bad-location"),
        (["train", "opensearch:/user:secret@host/index", "--out", "model"], "bad-location"),
        (["train", "s3://key:secret@bucket/reviews.csv", "--out", "model"], "bad-location"),
        (["lm", "train", "https://user:secret@host/texts.txt", "--out", "model"], "bad-location"),
        (["evaluate", "data.csv", "postgresql://user:secret@host/db?table=reviews"], "usage"),
        (["score", "postgresql://host/db?table=t&password=secret", "postgresql://host/db?table=t&password=secret"],
         "sink-is-source"),
    ],
)  # fmt: skip
def test_errors_about_urls_contain_no_password(command: Command, arguments: list[str], code: str) -> None:
    result = command(*arguments)
    assert (result.status, result.code) == (2, code)
    assert "secret" not in result.err
