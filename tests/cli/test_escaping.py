"""Control characters of labels, texts and names never reach a terminal."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from tests.helpers.command_line import Command, write_csv
from tests.helpers.random_models import MakeModel

from fastlstm.cli.escaping import cell, one_line, printable
from fastlstm.cli.output import console, fact_table, make_table, note
from fastlstm.config import ModelConfig
from fastlstm.inference import Classifier

CONTROL = "\x1b[2J\x07\x9b\u202e\u2066\x00"
ESCAPED = r"\x1b[2J\x07\x9b\u202e\u2066\x00"
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def test_control_characters_become_escape_sequences() -> None:
    assert printable(f"a{CONTROL}b") == f"a{ESCAPED}b"
    assert printable("a\u2028b\u2029") == r"a\u2028b\u2029"
    assert printable("caf\udce9") == r"caf\udce9"
    assert one_line("a\tb\nc\rd") == r"a\tb\nc\x0dd"
    assert cell("a\tb\n c\x1b") == r"a b c\x1b"


@pytest.mark.parametrize(
    "text", ["plain", "很好看 的\u3000电影", "สวัสดี", "مرحبا\u200f", "👩\u200d👩\u200d👧", "a\tb\nc", "\u00a0"]
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


def test_notes_tables_facts_and_consoles_escape(capsys: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    table = make_table(f"a{CONTROL}")
    table.add_row(f"b\n{CONTROL}")
    console(file).print(table)
    console(file).print(f"c{CONTROL}")
    fact_table({"name": f"d\n{CONTROL}"}, file)
    note(f"e\n{CONTROL}")
    printed = file.getvalue() + capsys.readouterr().err
    assert printed.count(ESCAPED) == 5
    assert printed.count(r"\n") == 3
    assert not UNSAFE.search(printed)


@pytest.fixture
def model(make_model: MakeModel, tmp_path: Path) -> Path:
    """A model whose labels contain control characters."""
    saved = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,)), [f"a{CONTROL}", f"b{CONTROL}"])
    Classifier(saved).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    "arguments",
    [
        ("predict", f"not bad{CONTROL} at\tall"),
        ("explain", f"not bad{CONTROL} at\tall\x1b, really"),
        ("info",),
        ("stream", "--label-unknown"),
    ],
)
def test_no_command_prints_control_characters(command: Command, model: Path, arguments: tuple[str, ...]) -> None:
    result = command(*arguments, "--model", model, stdin=f"not bad{CONTROL}".encode())
    assert result.status == 0
    assert ESCAPED in result.out
    assert not UNSAFE.search(result.out + result.err)


def test_tab_separated_lines_keep_their_columns(command: Command, model: Path) -> None:
    (line,) = command("predict", "--model", model, f"not{CONTROL}\tbad\n").out.splitlines()
    label, _, text = line.split("\t")
    assert label in (f"a{ESCAPED}", f"b{ESCAPED}")
    assert text == f"not{ESCAPED} bad"


def test_json_keeps_control_characters(command: Command, model: Path) -> None:
    text = f"not bad{CONTROL}"
    result = command("predict", "--model", model, text, "--json")
    assert json.loads(result.out)["predictions"][0]["text"] == text


def test_training_evaluation_and_checks_print_no_control_characters(command: Command, tmp_path: Path) -> None:
    rows = [(f"good film {k % 7}{CONTROL}", f"a{CONTROL}") for k in range(30)]
    rows += [(f"bad film {k % 5}{CONTROL}", f"b{CONTROL}") for k in range(30)]
    data = write_csv(
        tmp_path / "data\x1b.csv", [(text.replace("\x00", ""), label.replace("\x00", "")) for text, label in rows]
    )
    out = tmp_path / "out\x1b"
    options = ("--preset", "tutorial", "--epochs", "1", "--out", out)
    for result in (
        command("train", data, *options),
        command("evaluate", data, "--model", out),
        command("check", data),
    ):
        assert result.status == 0
        assert r"\x1b" in result.out
        assert not UNSAFE.search(result.out + result.err)


def test_errors_print_no_control_characters(command: Command) -> None:
    result = command("predict", "--model", "none\x1b[2J\n", "text")
    assert (result.status, result.code) == (2, "model-not-found")
    assert r"none\x1b[2J\n" in result.err
    assert not UNSAFE.search(result.err)
