"""Language models whose tokens are characters or subwords."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.helpers.language_models import FIELDS, write_labelled_texts, write_texts

import fastlstm
from fastlstm.config.options import Tokens
from fastlstm.errors import OptionError
from fastlstm.language_model.inference import LanguageModel, load_language_model
from fastlstm.serialization.classifier import read_classifier

EACH_KIND = pytest.mark.parametrize("tokens", ["characters", "bpe", "unigram"])


def train(folder: Path, tokens: Tokens, **options: Any) -> LanguageModel:
    texts = write_texts(folder / "texts.txt")
    return fastlstm.train_language_model(
        texts, folder / "lm", tokens=tokens, validation=0.2, **FIELDS, **options
    ).model


@EACH_KIND
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_language_model_reads_and_writes_words(tmp_path: Path, tokens: Tokens, direction: str) -> None:
    train(tmp_path, tokens, direction=direction)
    model = load_language_model(tmp_path / "lm")
    assert model.saved.config.tokens == tokens
    prompt = "the film"
    generated = model.generate(prompt, max_tokens=30, seed=1)
    assert generated.startswith(prompt) if direction == "forward" else generated.endswith(prompt)
    assert "▁" not in generated
    assert model.evaluate(["the film was good."]).perplexity > 1


@EACH_KIND
def test_reduced_vocabulary_still_reads_texts(tmp_path: Path, tokens: Tokens) -> None:
    model = train(tmp_path, tokens)
    reduced = model.reduce_vocabulary(8)
    assert reduced.saved.config.vocabulary_size == reduced.saved.tokenizer.get_vocab_size() == 8
    assert reduced.evaluate(["the film"]).perplexity > 1


@EACH_KIND
def test_classifier_takes_the_tokens_of_its_encoder(tmp_path: Path, tokens: Tokens) -> None:
    train(tmp_path, tokens)
    reviews = write_labelled_texts(tmp_path / "reviews.csv")
    fastlstm.train(reviews, tmp_path / "model", encoder=tmp_path / "lm", epochs=1, batch_size=8)
    saved = read_classifier(tmp_path / "model")
    assert saved.config.tokens == tokens
    with pytest.raises(OptionError) as raised:
        fastlstm.train(reviews, tmp_path / "other", encoder=tmp_path / "lm", tokens="words")
    assert raised.value.code == "conflicting-options"
