"""`fastlstm predict`: texts given, texts streamed, and models that are not there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import Command

from fastlstm.kernel import find_kernel


def test_each_text_gets_its_label_and_probability(command: Command, trained: Path) -> None:
    result = command("predict", "--model", trained, "a great and funny film", "awful,\n dull film")
    assert result.status == 0
    rows = [line.split("\t") for line in result.out.splitlines()]
    assert [(label, text) for label, _, text in rows] == [
        ("good", "a great and funny film"),
        ("bad", "awful, dull film"),
    ]
    assert all(0.5 < float(probability) <= 1 for _, probability, _ in rows)


def test_a_precision_is_taken_or_told_to_be_missing(command: Command, trained: Path) -> None:
    kernel = find_kernel().kernel
    result = command("predict", "--precision", "int8", "a great and funny film", "-m", trained)
    if kernel is not None and kernel.has("int8"):
        assert result.out.startswith("good\t")
    else:
        assert result.status == 2
        assert "int8 was asked for" in result.err


def test_another_threshold_changes_the_label_and_tells_its_probability(command: Command, trained: Path) -> None:
    arguments = ["predict", "-m", trained, "a great film", "--json"]
    (usual,) = command(*arguments).json["predictions"]
    (never,) = command(*arguments, "--threshold", "1").json["predictions"]
    assert (usual["label"], never["label"]) == ("good", "bad")
    assert usual["probabilities"] == never["probabilities"]
    assert never["probability"] == never["probabilities"]["bad"] < 0.5
    assert command(*arguments, "--threshold", "nan").status == 2
    assert command(*arguments, "--threshold", "half").status == 2


def test_json_holds_every_probability(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "a great film", "--json")
    (prediction,) = result.json["predictions"]
    assert prediction["label"] == "good"
    assert prediction["text"] == "a great film"
    assert sum(prediction["probabilities"].values()) == pytest.approx(1)
    assert prediction["probability"] == max(prediction["probabilities"].values())


def test_lines_of_standard_input_are_texts(command: Command, trained: Path) -> None:
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


def test_a_line_that_is_not_utf8_is_named(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "-", stdin=b"fine\nf\xe4llt\n")
    assert result.status == 2
    assert "line 2 of standard input is not UTF-8" in result.err


def test_an_answer_comes_before_the_next_line_is_written(trained: Path) -> None:
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


def test_a_reader_that_goes_away_is_no_fault_of_ours(trained: Path) -> None:
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


def test_prediction_loads_neither_pytorch_nor_any_extra(trained: Path) -> None:
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
def test_a_model_that_is_missing_foreign_corrupt_or_too_new_is_told_apart(
    command: Command, trained: Path, tmp_path: Path, name: str
) -> None:
    data = [] if name == "info" else ["text"]
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in trained.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    config = json.loads((copy / "config.json").read_text())

    def said(folder: Path) -> str:
        result = command(name, *data, "--model", folder)
        assert (result.status, result.out) == (2, "")
        assert len(result.err.splitlines()) == 1
        return result.err

    assert "no such folder" in said(tmp_path / "gone")
    assert "is not a fastlstm model" in said(tmp_path)
    (copy / "config.json").write_text(json.dumps({**config, "format_version": 99}))
    assert "format version 99, and this fastlstm reads up to 3" in said(copy)
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "model.safetensors").write_bytes((copy / "model.safetensors").read_bytes()[:-1])
    assert "is corrupt: model.safetensors" in said(copy)


def test_no_traceback_unless_asked_for(command: Command, tmp_path: Path) -> None:
    assert "Traceback" not in command("info", "-m", tmp_path / "gone").err
    assert "Traceback" in command("info", "-m", tmp_path / "gone", "--debug").err


def test_help_and_version_and_unknown_commands(command: Command) -> None:
    for arguments in (["--help"], ["predict", "--help"], ["train", "--help"], ["--version"]):
        assert command(*arguments).status == 0
    assert command("predict").status == 2
    unknown = command("trian")
    assert unknown.status == 2
    assert "trian" in unknown.err


def test_a_dash_stands_alone(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "-", "another text", stdin=b"great")
    assert (result.status, result.out) == (2, "")
    assert "pass - alone" in result.err


def test_without_a_command_the_help_comes(command: Command) -> None:
    result = command()
    assert result.status == 2
    assert "Commands:\n" in result.err


def test_lines_before_a_bad_one_are_answered_and_json_never_begins_in_vain(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "-", stdin=b"great\nf\xe4llt\n")
    assert result.status == 2
    assert result.out.startswith("good\t")
    refused = command("predict", "-m", trained, "--json", "a lone \udcff surrogate")
    assert (refused.status, refused.out) == (2, "")


def test_a_line_longer_than_a_read_is_one_text(command: Command, trained: Path) -> None:
    result = command("predict", "-m", trained, "-", stdin=b"great " * 50_000 + b"\ndull\n")
    assert [line.split("\t")[0] for line in result.out.splitlines()] == ["good", "bad"]


def test_a_text_that_names_a_file_and_one_without_a_known_word_are_doubted(
    command: Command, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "reviews.txt").write_text("a great film\n")
    result = command("predict", "-m", trained, "a great film", str(tmp_path / "reviews.txt"), "", "\x00")
    assert result.status == 0
    assert len(result.out.splitlines()) == 4
    assert f"{tmp_path / 'reviews.txt'} is read as a text" in result.err
    assert "the model knows no word" in result.err
    assert command("predict", "-m", trained, "a great film").err == ""


@pytest.mark.parametrize("count", [30, 300, 3000])
def test_a_text_as_long_as_reviews_are_is_no_name(command: Command, trained: Path, count: int) -> None:
    result = command("predict", "-m", trained, "a great film " * count)
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("good\t")


def test_a_folder_does_not_go_before_the_default_model(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("english", "english-sentiment"):
        Path(name).mkdir()
    assert command("predict", "I loved this wonderful movie.").out.startswith("positive\t")
    assert command("generate", "This movie", "--max-tokens", "2").out.startswith("This movie")
    assert "english-sentiment is not a fastlstm model" in command("predict", "a", "-m", "english-sentiment").err


def test_an_unknown_model_is_answered_with_the_names_there_are(command: Command) -> None:
    result = command("predict", "a film", "-m", "nowhere")
    assert result.status == 2
    assert "or the name of a bundled model: english-sentiment\n" in result.err


def test_a_text_that_looks_like_an_option_stands_behind_two_dashes(command: Command, trained: Path) -> None:
    refused = command("predict", "-m", trained, "-5 stars")
    assert refused.status == 2
    assert "A text that begins with - stands behind --" in refused.err
    assert command("predict", "-m", trained, "--", "-5 great stars").out.endswith("\t-5 great stars\n")
