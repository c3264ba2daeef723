"""`fastlstm predict`: texts as arguments and on standard input, models that cannot be loaded, and help."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
import pytest
from tests.helpers.command_line import Command

from fastlstm.kernel import find_kernel
from fastlstm.kernel.abi import PRECISIONS
from fastlstm.text.tokenizer import TextTokenizer, TokenizedTexts


def test_each_text_gets_its_label_and_probability(command: Command, trained: Path) -> None:
    result = command("predict", "--model", trained, "a great and funny film", "awful,\n dull film")
    assert result.status == 0
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert [(label, text) for label, _, text in rows] == [
        ("good", "a great and funny film"),
        ("bad", "awful, dull film"),
    ]
    assert all(0.5 < float(probability) <= 1 for _, probability, _ in rows)


def test_texts_are_tokenized_once(command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Sequence[str]] = []
    original = TextTokenizer.__call__

    def count_calls(self: TextTokenizer, texts: Sequence[str]) -> TokenizedTexts:
        calls.append(texts)
        return original(self, texts)

    monkeypatch.setattr(TextTokenizer, "__call__", count_calls)
    assert command("predict", "-m", trained, "a great film", "a dull film").status == 0
    assert calls == [["a great film", "a dull film"]]


def test_precision_is_used_or_rejected(command: Command, trained: Path) -> None:
    kernel = find_kernel().kernel
    result = command("predict", "--precision", "int8", "a great and funny film", "-m", trained)
    if kernel is not None and kernel.supports("int8"):
        assert result.out.startswith("good\t")
    else:
        assert (result.status, result.code) == (2, "unsupported-precision")


@pytest.mark.parametrize("name", ["predict", "evaluate", "stream", "serve"])
def test_commands_that_compute_accept_any_precision(name: str) -> None:
    command = importlib.import_module(f"fastlstm.cli.{name}").command
    (precision,) = [parameter for parameter in command.params if parameter.name == "precision"]
    assert isinstance(precision.type, click.Choice)
    assert tuple(precision.type.choices) == ("auto", *PRECISIONS)
    assert precision.default == "float32"


def test_auto_is_the_fastest_precision(command: Command, trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[object] = []

    def fastest(*arguments: object) -> str:
        chosen.append(arguments[0])
        return "float32"

    monkeypatch.setattr("fastlstm.inference.network.fastest_precision", fastest)
    result = command("predict", "--precision", "auto", "a great and funny film", "-m", trained)
    assert result.out.startswith("good\t")
    assert chosen == ["inference"]


def test_threshold_changes_the_label_and_its_probability(command: Command, trained: Path) -> None:
    arguments = ["predict", "-m", trained, "a great film", "--json"]
    (default,) = command(*arguments).json["predictions"]
    (never,) = command(*arguments, "--threshold", "1").json["predictions"]
    assert (default["label"], never["label"]) == ("good", "bad")
    assert default["probabilities"] == never["probabilities"]
    assert never["probability"] == never["probabilities"]["bad"] < 0.5


@pytest.mark.parametrize(("threshold", "code"), [("nan", "bad-option-value"), ("half", "usage")])
def test_invalid_threshold_is_rejected(command: Command, trained: Path, threshold: str, code: str) -> None:
    result = command("predict", "-m", trained, "a great film", "--json", "--threshold", threshold)
    assert (result.status, result.code) == (2, code)


def test_min_agreement_without_exit_thresholds_is_rejected(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "a great film", "--min-agreement", "0.99")
    assert (result.status, result.code) == (2, "no-early-exit")


def test_min_agreement_reports_the_tokens_skipped(command: Command) -> None:
    result = command("predict", "This movie was fantastic! I really enjoyed it. " * 30, "--min-agreement", "0.99")
    assert result.status == 0
    assert result.out.startswith("positive\t")
    assert "300 tokens" in result.err


def test_json_contains_every_probability(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "a great film", "--json")
    (prediction,) = result.json["predictions"]
    assert prediction["label"] == "good"
    assert prediction["text"] == "a great film"
    assert sum(prediction["probabilities"].values()) == pytest.approx(1)
    assert prediction["probability"] == max(prediction["probabilities"].values())


def test_each_line_of_standard_input_is_a_text(command: Command, trained: Path) -> None:
    stdin = "\ufeffgreat superb\r\n\ndull awful\nschön great".encode()
    result = command("predict", "-m", trained, "-", stdin=stdin)
    assert [line.split("\t")[0] for line in result.out.splitlines()][::2] == ["good", "bad"]
    assert [line.split("\t")[2] for line in result.out.splitlines()] == [
        "great superb",
        "",
        "dull awful",
        "schön great",
    ]
    assert len(command("predict", "-m", trained, "-", "--json", stdin=stdin).json["predictions"]) == 4
    assert command("predict", "-m", trained, "-", "--json", stdin=b"").json == {"predictions": []}


def test_a_line_that_is_not_utf8_is_an_error_after_the_lines_before_it(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "-", stdin=b"great\nf\xe4llt\n")
    assert (result.status, result.code) == (2, "not-utf8")
    assert "line 2" in result.err
    assert result.out.startswith("good\t")
    result = command("predict", "-m", trained, "-", "--json", stdin=b"great\nf\xe4llt\n")
    assert (result.status, result.code) == (2, "not-utf8")
    assert [entry["text"] for entry in json.loads(result.out)["predictions"]] == ["great"]


def test_invalid_text_prints_no_json(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "--json", "a lone \udcff surrogate")
    assert (result.status, result.out, result.code) == (2, "", "invalid-unicode")


def test_a_line_longer_than_the_read_buffer_is_one_text(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "-", stdin=b"great " * 50_000 + b"\ndull\n")
    assert [line.split("\t")[0] for line in result.out.splitlines()] == ["good", "bad"]


def test_each_line_is_predicted_before_the_next_one_arrives(trained: Path) -> None:
    arguments = [sys.executable, "-m", "fastlstm", "predict", "-m", str(trained), "-"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for text, label in (("great", "good"), ("dull", "bad")):
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            assert process.stdout.readline().startswith(f"{label}\t")
        process.stdin.close()
        assert process.wait() == 0


def test_a_closed_output_pipe_ends_the_command_quietly(trained: Path) -> None:
    arguments = [sys.executable, "-m", "fastlstm", "predict", "-m", str(trained), "-"]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b"great\n")
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_predict_imports_neither_pytorch_nor_optional_dependencies(trained: Path) -> None:
    script = (
        "import sys\n"
        "from fastlstm.cli import main\n"
        "try: main(['predict', '-m', sys.argv[1], 'a great film'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'pyarrow', 'matplotlib', 'rich', 'platformdirs'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(trained)], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("name", ["predict", "evaluate", "info"])
@pytest.mark.parametrize(
    ("case", "code"),
    [
        ("missing", "model-not-found"),
        ("another folder", "not-a-model"),
        ("too new", "model-too-new"),
        ("damaged", "corrupt-model"),
    ],
)
def test_models_that_cannot_be_loaded_have_different_errors(
    command: Command, trained: Path, tmp_path: Path, name: str, case: str, code: str
) -> None:
    folder = tmp_path / "model"
    if case != "missing":
        folder.mkdir()
    if case in ("too new", "damaged"):
        for file in trained.iterdir():
            if file.is_file():
                (folder / file.name).write_bytes(file.read_bytes())
    if case == "too new":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "format_version": 99}))
    if case == "damaged":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1])
    result = command(name, *([] if name == "info" else ["text"]), "--model", folder)
    assert (result.status, result.out, result.code) == (2, "", code)
    assert len(result.err.splitlines()) == 1
    assert str(folder) in result.err


def test_traceback_is_printed_only_with_debug(command: Command, tmp_path: Path) -> None:
    assert "Traceback" not in command("info", "-m", tmp_path / "missing").err
    assert "Traceback" in command("info", "-m", tmp_path / "missing", "--debug").err


@pytest.mark.parametrize("arguments", [["--help"], ["predict", "--help"], ["train", "--help"], ["--version"]])
def test_help_and_version_succeed(command: Command, arguments: list[str]) -> None:
    assert command(*arguments).status == 0


def test_missing_texts_and_unknown_commands_are_usage_errors(command: Command) -> None:
    missing, unknown = command("predict"), command("trian")
    assert (missing.status, missing.code) == (2, "usage")
    assert (unknown.status, unknown.code) == (2, "usage")
    assert "'trian'" in unknown.err


def test_without_a_command_help_is_printed(command: Command) -> None:
    result = command()
    assert result.status == 2
    assert "predict" in result.err


def test_dash_excludes_other_texts(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "-", "another text", stdin=b"great")
    assert (result.status, result.out, result.code) == (2, "", "conflicting-options")


@pytest.mark.parametrize("count", [30, 300, 3000])
def test_long_texts_are_not_looked_up_as_files(command: Command, trained: Path, count: int) -> None:
    result = command("predict", "-m", trained, "a great film " * count)
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("good\t")


def test_the_default_model_is_not_a_folder_of_its_name(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("english", "english-sentiment"):
        Path(name).mkdir()
    assert command("predict", "I loved this wonderful movie.").out.startswith("positive\t")
    generated = command("lm", "generate", "This movie", "--max-tokens", "2")
    assert generated.out.startswith("This movie")
    assert command("predict", "a", "-m", "english-sentiment").code == "not-a-model"


def test_an_unknown_model_name_lists_the_bundled_models(command: Command) -> None:
    result = command("predict", "a film", "-m", "nowhere")
    assert (result.status, result.code) == (2, "model-not-found")
    assert "english-sentiment" in result.err


def test_a_text_that_starts_with_a_dash_follows_two_dashes(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "-5 stars")
    assert (result.status, result.code) == (2, "usage")
    assert "predict -- '-5 stars'" in result.err
    assert command("predict", "-m", trained, "--", "-5 great stars").out.endswith("\t-5 great stars\n")


def test_a_threshold_excludes_early_exit(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "x", "--threshold", "0.4", "--min-agreement", "0.99")
    assert (result.status, result.code) == (2, "conflicting-options")
    assert {"--threshold", "--min-agreement"} <= set(result.err.split())


def test_an_argument_that_is_not_utf8_is_named_by_its_number(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "fine", "caf\udce9")
    assert (result.status, result.code) == (2, "invalid-unicode")
    assert "text 2" in result.err
    assert "texts[" not in result.err
