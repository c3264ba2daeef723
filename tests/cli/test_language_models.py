import json
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from tests.cli.conftest import Command

import fastlstm
from fastlstm.language_model.loop import LanguageModelEpoch

SMALL = ["--embedding-size", "6", "--hidden-sizes", "7", "--streams", "3", "--window", "8", "--epochs", "3"]
SMALL += ["--warmup", "0", "--learning-rate", "0.02"]
WORDS = ("the", "a", "film", "was", "good", "bad", "very", "story", "it", "end")


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty texts of few words, a text a line."""
    generator = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("texts") / "texts.txt"
    lines = (" ".join(generator.choice(WORDS, int(n))) + "." for n in generator.integers(3, 15, 60))
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("labelled") / "reviews.csv"
    rows = [
        " ".join([*generator.choice(WORDS[:4], int(n)), ("good,positive", "bad,negative")[i % 2]])
        for i, n in enumerate(generator.integers(2, 9, 80))
    ]
    path.write_text("\n".join(["text,label", *rows]))
    return path


@pytest.fixture
def pretrained(command: Command, texts: Path, tmp_path: Path) -> Path:
    assert command("pretrain", texts, "--out", tmp_path / "lm", *SMALL).status == 0
    return tmp_path / "lm"


def test_a_language_model_is_trained_measured_and_used(
    command: Command, texts: Path, labelled: Path, pretrained: Path, tmp_path: Path
) -> None:
    assert not pretrained.with_name("lm.checkpoint").exists()
    few = command("pretrain", texts, "--out", tmp_path / "few", *SMALL, "--streams", "64", "--epochs", "1")
    assert "tokens are few: they are read in" in few.err
    evaluated = command("evaluate", texts, "--model", pretrained, "--json").json
    assert evaluated["texts"] == 60
    assert 1 < evaluated["perplexity"] < 11.5
    assert command("evaluate", labelled, "--model", pretrained).out.startswith("80 texts")
    assert evaluated["measured_on"] == "texts.txt"
    info = command("info", "--model", pretrained).out
    for words in ("a language model", "perplexity", "59 texts", "forward"):
        assert words in info
    generated = [
        command("generate", "the film", "--model", pretrained, "--max-tokens", "9", "--seed", seed).out
        for seed in ("1", "1", "2")
    ]
    assert generated[0] == generated[1] != generated[2]
    assert generated[0].startswith("the film")
    as_json = command("generate", "a", "--model", pretrained, "--temperature", "0", "--json").json
    assert set(as_json) == {"prompt", "text"}

    result = command(
        "train",
        labelled,
        "--encoder",
        pretrained,
        "--out",
        tmp_path / "m",
        "--epochs",
        "2",
        "--json",
        "--ngrams",
        "20",
    )
    assert result.status == 0, result.err
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    assert config["model"]["hidden_sizes"] == [7]
    assert config["training"]["config"]["pretraining_epochs"] == 0
    assert config["training"]["encoder"] == "lm"
    assert "began from the language model `lm`" in (tmp_path / "m" / "README.md").read_text()
    assert fastlstm.load(tmp_path / "m").predict(["a film good", "the bad"]) == ["positive", "negative"]


def test_several_texts_are_read_and_the_result_is_one_object(
    command: Command, texts: Path, labelled: Path, tmp_path: Path
) -> None:
    result = command(
        "pretrain", texts, labelled, "--validation", labelled, "--out", tmp_path / "lm", *SMALL, "--json"
    )  # fmt: skip
    assert result.json["measured_on"] == "reviews.csv"
    assert (result.json["texts"], len(result.json["history"]), len(result.json["validation_losses"])) == (80, 3, 3)
    best = result.json["validation_losses"][result.json["best_epoch"] - 1]
    assert best == min(result.json["validation_losses"]) == pytest.approx(result.json["loss"])
    assert "reading 140 texts" in result.err
    assert "80 of the 80 held-out texts stand among those learned from too" in result.err
    assert result.err.count("  best") >= 1
    info = command("info", "--model", tmp_path / "lm").out
    for words in ("texts.txt, reviews.csv", "epoch kept", "of tokens unknown"):
        assert words in info


def test_ctrl_c_says_how_to_go_on(
    command: Command, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fastlstm.cli.progress import Display

    show, out = Display.show_pretraining, tmp_path / "lm"

    def interrupting(self: Display, event: object) -> None:
        show(self, event)  # type: ignore[arg-type]
        if isinstance(event, LanguageModelEpoch):
            signal.raise_signal(signal.SIGINT)

    arguments = ["pretrain", texts, "--out", out, *SMALL]
    with monkeypatch.context() as patch:
        patch.setattr(Display, "show_pretraining", interrupting)
        stopped = command(*arguments)
    assert stopped.status == 130
    assert stopped.err.splitlines()[-1].startswith("fastlstm: stopped and saved; go on with: fastlstm pretrain")
    again = command(*arguments)
    assert again.status == 2
    assert "holds an unfinished run; pass --resume" in again.err
    other = command(*arguments, "--resume", "--seed", "5")
    assert other.status == 2
    assert "belongs to another run: its seed is 0, this one's is 5" in other.err
    assert command(*arguments, "--resume").status == 0
    assert command("pretrain", texts, "--out", tmp_path / "whole", *SMALL).status == 0
    assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()


def test_python_trains_the_same_language_model(texts: Path, pretrained: Path, tmp_path: Path) -> None:
    result = fastlstm.train_language_model(
        texts,
        tmp_path / "two",
        embedding_size=6,
        hidden_sizes=(7,),
        streams=3,
        window=8,
        epochs=3,
        warmup=0,
        learning_rate=0.02,
    )
    ours = fastlstm.load_language_model(pretrained).model.weights
    for name, array in result.model.model.weights.items():
        np.testing.assert_array_equal(array, ours[name])


def test_an_interrupted_run_goes_on_to_the_same_bits(texts: Path, pretrained: Path, tmp_path: Path) -> None:
    from fastlstm.language_model.api import make_job
    from fastlstm.language_model.loop import LanguageModelStep
    from fastlstm.language_model.run import LanguageModelJob, run

    def job(resume: bool) -> LanguageModelJob:
        options = {"embedding_size": 6, "hidden_sizes": (7,), "streams": 3, "window": 8, "epochs": 3}
        return make_job(
            texts,
            tmp_path / "three",
            preset="quick",
            validation=0.01,
            begin=None,
            text_column="text",
            data_dir=None,
            device="auto",
            overwrite=False,
            resume=resume,
            storage="float32",
            options={**options, "warmup": 0, "learning_rate": 0.02},
        )

    events = run(job(False))
    seen = 0
    for event in events:
        seen += isinstance(event, LanguageModelStep)
        if seen == 30:
            break
    events.close()
    assert (tmp_path / "three.checkpoint").is_file()
    list(run(job(True)))
    expected = safetensors.numpy.load_file(pretrained / "model.safetensors")
    came = safetensors.numpy.load_file(tmp_path / "three" / "model.safetensors")
    for name, array in expected.items():
        np.testing.assert_array_equal(came[name], array)


def test_a_language_model_begins_from_another(
    command: Command, texts: Path, pretrained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "further"
    arguments = [
        "pretrain",
        texts,
        "--from",
        pretrained,
        "--out",
        out,
        "--streams",
        "3",
        "--window",
        "8",
        "--epochs",
        "1",
    ]
    assert command(*arguments, "--storage", "int8").status == 0
    further, first = (fastlstm.load_language_model(folder) for folder in (out, pretrained))
    assert further.model.tokenizer.get_vocab() == first.model.tokenizer.get_vocab()
    lines = texts.read_text().splitlines()
    assert further.evaluate(lines).perplexity < first.evaluate(lines).perplexity + 0.5
    refused = command(*arguments, "--overwrite", "--hidden-sizes", "9")
    assert refused.status == 2
    assert "hidden-sizes was given with a model to begin from" in refused.err


def test_what_a_model_is_not_for_is_said(
    command: Command, labelled: Path, pretrained: Path, tmp_path: Path
) -> None:
    refused = command("predict", "--model", pretrained, "a film")
    assert refused.status == 2
    assert "is a language model, and predict needs a classifier" in refused.err
    command(
        "train", labelled, "--out", tmp_path / "m", "--preset", "tutorial", "--hidden-sizes", "5", "--epochs", "1"
    )
    refused = command("generate", "a", "--model", tmp_path / "m")
    assert refused.status == 2
    assert refused.err.rstrip().endswith(
        "is not a fastlstm language model: it holds a text classifier, which fastlstm predict, evaluate and info "
        "take; expected a language model, as fastlstm pretrain writes it"
    )
    for option, words in ((["--threshold", "0.3"], "predicts no class"), (["--precision", "int8"], "in float32")):
        refused = command("evaluate", labelled, "--model", pretrained, *option)
        assert refused.status == 2
        assert words in refused.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "quik"], "unknown preset 'quik'; did you mean 'quick'?"),
        (["--direction", "sideways"], "unknown direction 'sideways'"),
        (["--validation", "1.5"], "the fraction to hold out is 1.5"),
        (["--vocabulary-size", "9999"], r"the texts have \d+ different words"),
    ],
)
def test_wrong_use_is_said_in_a_line(
    command: Command, texts: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    refused = command("pretrain", texts, "--out", tmp_path / "x", *SMALL, *options)
    assert refused.status in (1, 2)
    assert re.search(message, refused.err)
    assert len(refused.err.strip().splitlines()[-1:]) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--encoder", "LM", "--embedding-size", "9"], "embedding-size was given with an encoder"),
        (["--encoder", "nowhere"], "no model at nowhere"),
        (["--budget", "soon"], "budget is 'soon'; expected a duration"),
        (["--budget", "10m", "--resume"], "a run with a budget can't be resumed"),
        (["--preset", "accurate", "--unlabelled", "nowhere.txt"], "there is no file or folder 'nowhere.txt'"),
        (["--unlabelled", "nowhere.txt"], "nothing reads them, since small does not pretrain"),
        (["--encoder", "LM", "--unlabelled", "nowhere.txt"], "nothing reads them, since small does not pretrain"),
        (["--budget", "10m", "--preset", "tutorial"], "the preset tutorial was given with a budget"),
        (["--validation", "imdb"], "imdb can't be the validation texts"),
    ],
)
def test_what_a_run_can_t_begin_from_is_said(
    command: Command, labelled: Path, pretrained: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    given = [str(pretrained) if option == "LM" else option for option in options]
    refused = command("train", labelled, "--out", tmp_path / "x", *given)
    assert refused.status == 2
    assert message in refused.err
    assert not (tmp_path / "x").exists()


def test_a_student_learns_from_its_teacher_on_texts_without_labels(
    command: Command, labelled: Path, texts: Path, tmp_path: Path
) -> None:
    shape = ["--preset", "tutorial", "--hidden-sizes", "6", "--embedding-size", "5", "--no-baseline"]
    assert command("train", labelled, "--out", tmp_path / "teacher", *shape, "--epochs", "8").status == 0
    student = command(
        "distill", tmp_path / "teacher", labelled, "--unlabelled", texts, "--out", tmp_path / "student",
        *shape, "--epochs", "3", "--ngrams", "10",
    )  # fmt: skip
    assert student.status == 0, student.err
    assert "the teacher has read 124 texts" in student.err
    assert fastlstm.load(tmp_path / "student").labels == fastlstm.load(tmp_path / "teacher").labels
    again = fastlstm.distill(
        tmp_path / "teacher", labelled, tmp_path / "again", unlabelled=texts, preset="tutorial", baseline=False,
        hidden_sizes=(6,), embedding_size=5, epochs=3, ngrams=10,
    )  # fmt: skip
    for name, array in fastlstm.load(tmp_path / "student").model.weights.items():
        np.testing.assert_array_equal(again.classifier.model.weights[name], array)
    card = (tmp_path / "student" / "README.md").read_text()
    for words in ("60 texts without labels", "classifier `teacher`, its teacher", "10 words and word pairs"):
        assert words in card


@pytest.mark.parametrize("model", [[], None, {}, {"direction": ["forward"]}])
def test_a_language_model_that_says_nothing_of_itself_is_corrupt(
    command: Command, labelled: Path, pretrained: Path, tmp_path: Path, model: object
) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(pretrained, broken)
    config = json.loads((broken / "config.json").read_bytes())
    (broken / "config.json").write_text(json.dumps({**config, "model": model}), encoding="utf-8")
    refused = command("train", labelled, "--out", tmp_path / "x", "--encoder", broken)
    assert refused.status == 2
    assert "lacks or misstates" in refused.err
