"""The models that come with the package: there, small, whole, and good for what they are for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import fastlstm
from fastlstm import pretrained as models
from fastlstm.errors import ModelNotFoundError
from fastlstm.pretrained import DEFAULT_CLASSIFIER, ENGLISH_ENCODER

MEGABYTE = 10**6


def size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def folder(name: str) -> Path:
    there = models.bundled_model(name)
    assert there is not None
    return there


def test_a_classifier_and_an_encoder_are_bundled_and_small() -> None:
    assert models.bundled_names() == sorted([DEFAULT_CLASSIFIER, ENGLISH_ENCODER])
    assert size(folder(DEFAULT_CLASSIFIER)) < 10 * MEGABYTE
    assert size(folder(DEFAULT_CLASSIFIER)) + size(folder(ENGLISH_ENCODER)) < 15 * MEGABYTE


def test_the_default_model_tells_good_from_bad() -> None:
    model = fastlstm.load()
    assert model.labels == ("negative", "positive")
    assert list(
        model.predict(
            [
                "This movie was fantastic! I really enjoyed it.",
                "A dull, lifeless film with terrible acting.",
                "It is not bad at all, in fact it is one of the best films of the year.",
                "I wanted to like it, but it is a mess from beginning to end.",
            ]
        )
    ) == ["positive", "negative", "positive", "negative"]


def test_the_default_model_can_stream() -> None:
    assert not fastlstm.load().model.config.bidirectional


def test_the_default_model_answers_as_where_it_was_made() -> None:
    expected = json.loads((folder(DEFAULT_CLASSIFIER) / "golden.json").read_bytes())
    answers = fastlstm.load().predict_proba([of["text"] for of in expected])
    np.testing.assert_allclose(answers, [of["probabilities"] for of in expected], rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", [DEFAULT_CLASSIFIER, ENGLISH_ENCODER])
def test_its_card_has_its_figures(name: str) -> None:
    card = (folder(name) / "README.md").read_text("utf-8")
    wanted = (
        ["## On IMDb's test split", "## Where it fails", "licence"]
        if name == DEFAULT_CLASSIFIER
        else ["perplexity"]
    )
    assert [part for part in wanted if part not in card] == []


def test_the_encoder_knows_english_word_order() -> None:
    encoder = fastlstm.load_language_model()
    sentence = "the acting is good , but the plot makes no sense and the ending was a disappointment ."
    words = sentence.split()
    shuffled = " ".join(np.random.default_rng(0).permutation(words))
    assert encoder.evaluate(sentence).perplexity < 100 < encoder.evaluate(shuffled).perplexity
    assert encoder.generate("This movie", max_tokens=8, temperature=0).startswith("This movie")


def test_a_classifier_begins_from_the_encoder_by_its_name(tmp_path: Path) -> None:
    texts = [f"a {word} film number {i}" for i in range(6) for word in ("wonderful", "terrible")]
    records = fastlstm.Dataset(texts, ["good", "bad"] * 6, "a test")
    result = fastlstm.train(
        records,
        tmp_path / "model",
        preset="accurate",
        encoder=ENGLISH_ENCODER,
        epochs=1,
        ngrams=0,
        validation=0.5,
        baseline=False,
    )
    assert list(result.classifier.predict(["a wonderful film number 9", "a terrible film number 9"])) == [
        "good",
        "bad",
    ]


def test_a_folder_goes_before_a_bundled_model_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert models.find_model(DEFAULT_CLASSIFIER) == folder(DEFAULT_CLASSIFIER)
    Path(DEFAULT_CLASSIFIER).mkdir()
    assert models.find_model(DEFAULT_CLASSIFIER) == Path(DEFAULT_CLASSIFIER)
    assert models.find_model("no-such-model") == Path("no-such-model")


@pytest.mark.parametrize("name", ["", ".", "..", "__pycache__", "../models/english", "english/"])
def test_only_plain_names_are_looked_up(name: str) -> None:
    assert models.bundled_model(name) is None


def test_without_a_bundled_model_one_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastlstm.inference.classifier.bundled_model", lambda _: None)
    with pytest.raises(ModelNotFoundError, match="no model given, and none is bundled"):
        fastlstm.load()


def test_the_default_model_knows_when_to_stop_reading() -> None:
    model = fastlstm.load()
    long = "This movie was fantastic! I really enjoyed it. " * 30
    answers = model.read_early([long], 0.99)
    assert answers.read[0] < answers.tokens[0]
    assert model.predict(long, early_exit=0.99) == model.predict(long) == "positive"
