"""`fastlstm lm`: train, evaluate, describe and sample language models."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from tests.helpers.command_line import SMALL, Command
from tests.helpers.language_models import FIELDS, SMALL_LM, write_labelled_texts, write_texts

import fastlstm
from fastlstm.config import LanguageModelConfig, LanguageModelTrainingConfig, option_fields
from fastlstm.language_model.loop import LanguageModelEpoch, LanguageModelStep
from fastlstm.language_model.run import run
from fastlstm.language_model.settings import LanguageModelSettings


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("texts") / "texts.txt")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled_texts(tmp_path_factory.mktemp("labelled") / "reviews.csv")


@pytest.fixture
def model(command: Command, texts: Path, tmp_path: Path) -> Path:
    """A language model, trained through the command line."""
    assert command("lm", "train", texts, "--out", tmp_path / "lm", *SMALL_LM).status == 0
    return tmp_path / "lm"


def test_a_finished_run_leaves_no_checkpoint(model: Path) -> None:
    assert not model.with_name("lm.checkpoint").exists()


def test_evaluate_measures_perplexity_on_plain_and_labelled_texts(
    command: Command, texts: Path, labelled: Path, model: Path
) -> None:
    perplexity = command("lm", "evaluate", texts, "--model", model, "--json").json
    assert perplexity["texts"] == 60
    assert 1 < perplexity["perplexity"] < 11.5
    assert perplexity["evaluated_on"] == "texts.txt"
    assert command("lm", "evaluate", labelled, "--model", model).out.startswith("80 texts")


def test_evaluate_on_imdb_measures_its_test_split(command: Command, model: Path, tmp_path: Path) -> None:
    for part, label in (("train", "pos"), ("train", "neg"), ("test", "pos"), ("test", "neg")):
        folder = tmp_path / "aclImdb" / part / label
        folder.mkdir(parents=True)
        for i in range(2 if part == "train" else 3):
            (folder / f"{i}_1.txt").write_text(f"a {label} film", encoding="utf-8")
    arguments = ["lm", "evaluate", "imdb", "--data-dir", tmp_path, "--model", model, "--json"]
    perplexity = command(*arguments).json
    assert (perplexity["texts"], perplexity["evaluated_on"]) == (6, "the official test split")


def test_evaluate_without_model_names_the_bundled_one(command: Command, texts: Path) -> None:
    result = command("lm", "evaluate", texts)
    assert result.status == 0
    assert "english" in result.err


def test_info_describes_the_model_and_its_training(command: Command, model: Path) -> None:
    out = command("lm", "info", "--model", model).out
    facts = dict(line.split("  ", 1) for line in out.splitlines())
    assert facts["direction"].strip() == "forward"
    assert facts["trained on"].strip().startswith("59 texts, ")
    assert "perplexity" in facts
    as_json = command("lm", "info", "--model", model, "--json").json
    assert as_json["model"]["hidden_sizes"] == [7]
    assert as_json["training"]["data"]["count"] == 59


def test_generated_text_depends_on_the_seed(command: Command, model: Path) -> None:
    arguments = ["lm", "generate", "the film", "--model", model, "--max-tokens", "9", "--seed"]
    first, again, other = (command(*arguments, seed).out for seed in ("1", "1", "2"))
    assert first == again != other
    assert first.startswith("the film")


def test_generate_json_has_prompt_and_text(command: Command, model: Path) -> None:
    result = command("lm", "generate", "a", "--model", model, "--temperature", "0", "--json").json
    assert result.keys() == {"prompt", "text"}
    assert result["prompt"] == "a"


def test_generate_does_not_import_pytorch() -> None:
    code = (
        "import sys\nfrom fastlstm.cli import main\n"
        "try: main(['lm', 'generate', 'This', '--max-tokens', '2'])\n"
        "except SystemExit as exit: assert exit.code == 0\n"
        "assert not {'torch', 'rich', 'sklearn'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_several_sources_are_joined_and_json_is_one_object(
    command: Command, texts: Path, labelled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "lm"
    result = command(
        "lm", "train", texts, labelled, "--validation", labelled, "--out", out, *SMALL_LM, "--json"
    )  # fmt: skip
    assert result.json["evaluated_on"] == "reviews.csv"
    assert (result.json["texts"], len(result.json["history"]), len(result.json["validation_losses"])) == (80, 3, 3)
    best = result.json["validation_losses"][result.json["best_epoch"] - 1]
    assert best == min(result.json["validation_losses"]) == pytest.approx(result.json["loss"])
    assert "80 of the 80 " in result.err
    assert result.err.count("  best") >= 1
    record = command("lm", "info", "--model", out, "--json").json["training"]
    assert record["data"]["texts"] == "texts.txt, reviews.csv"
    assert record["data"]["count"] == 140
    assert record["best_epoch"] == result.json["best_epoch"]


def test_ctrl_c_saves_a_checkpoint_that_resumes_to_the_same_model(
    command: Command, texts: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastlstm.cli.progress import Display

    show, out = Display.show_language_model, tmp_path / "stopped"

    def interrupt(self: Display, event: object) -> None:
        show(self, event)  # type: ignore[arg-type]
        if isinstance(event, LanguageModelEpoch):
            signal.raise_signal(signal.SIGINT)

    arguments = ["lm", "train", texts, "--out", out, *SMALL_LM]
    with monkeypatch.context() as patch:
        patch.setattr(Display, "show_language_model", interrupt)
        stopped = command(*arguments)
    assert stopped.status == 130
    assert "fastlstm lm train " in stopped.err.splitlines()[-1]
    assert stopped.err.splitlines()[-1].endswith(" --resume")
    again = command(*arguments)
    assert (again.status, again.code) == (2, "unfinished-run")
    other = command(*arguments, "--resume", "--seed", "5")
    assert (other.status, other.code) == (2, "checkpoint-mismatch")
    assert command(*arguments, "--resume").status == 0
    assert (out / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()


def test_python_trains_the_same_model(texts: Path, model: Path, tmp_path: Path) -> None:
    result = fastlstm.train_language_model(texts, tmp_path / "python", **FIELDS)
    expected = fastlstm.load_language_model(model).saved.weights
    for name, array in result.model.saved.weights.items():
        np.testing.assert_array_equal(array, expected[name])


def test_a_closed_run_resumes_to_the_same_bits(texts: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "closed"
    events = run(LanguageModelSettings.create(texts, out, FIELDS))
    steps = 0
    for event in events:
        steps += isinstance(event, LanguageModelStep)
        if steps == 30:
            break
    events.close()
    assert (tmp_path / "closed.checkpoint").is_file()
    list(run(LanguageModelSettings.create(texts, out, {**FIELDS, "resume": True})))
    expected = safetensors.numpy.load_file(model / "model.safetensors")
    actual = safetensors.numpy.load_file(out / "model.safetensors")
    for name, array in expected.items():
        np.testing.assert_array_equal(actual[name], array)


def test_encoder_starts_from_another_language_model(
    command: Command, texts: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "continued"
    arguments = ["lm", "train", texts, "--encoder", model, "--out", out, "--epochs", "1"]
    arguments += ["--set", "streams=3", "--set", "window=8"]
    assert command(*arguments, "--storage", "int8").status == 0
    continued, first = (fastlstm.load_language_model(folder) for folder in (out, model))
    assert continued.saved.tokenizer.get_vocab() == first.saved.tokenizer.get_vocab()
    assert continued.saved.training["begin"] == "lm"
    lines = texts.read_text().splitlines()
    assert continued.evaluate(lines).perplexity < first.evaluate(lines).perplexity + 0.5
    result = command(*arguments, "--overwrite", "--set", "hidden_sizes=9")
    assert (result.status, result.code) == (2, "conflicting-options")


def test_fields_of_a_config_file_are_used(command: Command, texts: Path, tmp_path: Path) -> None:
    file = tmp_path / "small.toml"
    file.write_text(
        'embedding_size = 6\nhidden_sizes = [7]\nstreams = 3\nwindow = 8\nepochs = 1\nstorage = "float16"\n'
    )
    assert command("lm", "train", texts, "--out", tmp_path / "lm", "--config", file).status == 0
    record = fastlstm.load_language_model(tmp_path / "lm").saved.training
    assert (record["config"]["epochs"], record["config"]["streams"], record["storage"]) == (1, 3, "float16")


def test_help_all_lists_every_field(command: Command) -> None:
    words = command("lm", "train", "--help-all").out.split()
    for kind in (LanguageModelConfig, LanguageModelTrainingConfig):
        assert {field.name for field in option_fields(kind)} <= set(words)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--preset", "quik"], "usage"),
        (["--set", "direction=sideways"], "bad-option-value"),
        (["--set", "epoch=3"], "unknown-option"),
        (["--validation", "1.5"], "bad-fraction"),
        (["--validation", "imdb"], "test-split-as-validation"),
        (["--set", "vocabulary_size=9999"], "vocabulary-too-large"),
        (["--resume"], "no-checkpoint"),
        (["--text-column", "body"], "missing-column"),
    ],
)
def test_wrong_use_is_one_line_with_a_code(
    command: Command, texts: Path, labelled: Path, tmp_path: Path, options: list[str], code: str
) -> None:
    source = labelled if "--text-column" in options else texts
    result = command("lm", "train", source, "--out", tmp_path / "x", *SMALL_LM, *options)
    assert (result.status, result.code) == (2, code)
    assert result.err.splitlines()[-1].startswith("fastlstm: ")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("arguments", [["predict", "a film"], ["evaluate", "reviews.csv"], ["info"]])
def test_classifier_commands_reject_a_language_model(command: Command, arguments: list[str]) -> None:
    result = command(*arguments, "--model", "english")
    assert (result.status, result.code) == (2, "wrong-model-kind")
    assert "fastlstm lm" in result.err


@pytest.mark.parametrize("arguments", [["generate", "a"], ["evaluate", "texts.txt"], ["info"]])
def test_language_model_commands_reject_a_classifier(
    command: Command, labelled: Path, tmp_path: Path, arguments: list[str]
) -> None:
    assert command("train", labelled, "--out", tmp_path / "classifier", *SMALL, "--no-baseline").status == 0
    result = command("lm", *arguments, "--model", tmp_path / "classifier")
    assert (result.status, result.code) == (2, "wrong-model-kind")
