"""Models whose tokens are characters or subwords."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.ngram_models import with_ngrams
from tests.helpers.random_models import TEXTS, MakeModel, make_model

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.config.options import Tokens
from fastlstm.convert.export import golden_entries
from fastlstm.inference import Classifier
from fastlstm.serialization.classifier import read_classifier

KINDS: tuple[Tokens, ...] = ("characters", "bpe", "unigram")
EACH_KIND = pytest.mark.parametrize("kind", KINDS)
TEXT = "Not a fantastic film<br />很好看 อาหาร, qwrtz: it was é ж good!"


def classifier_of(kind: Tokens, make: MakeModel = make_model) -> Classifier:
    config = ModelConfig(tokens=kind, vocabulary_size=70, embedding_size=5, hidden_sizes=(4, 3), max_tokens=500)
    return Classifier(with_ngrams(make(config, seed=3)))


@EACH_KIND
@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize("size", [1, 2, 7])
def test_stream_in_pieces_equals_the_whole_text(kind: Tokens, size: int) -> None:
    classifier = classifier_of(kind)
    stream = classifier.stream()
    for start in range(0, len(TEXT), size):
        stream = classifier.stream(stream.feed(TEXT[start : start + size]).state)
    stream.end()
    assert stream.probabilities.tobytes() == classifier.predict_proba(TEXT).tobytes()
    assert stream.known == classifier.known(TEXT)


@EACH_KIND
def test_saved_model_has_the_same_tokens_and_probabilities(kind: Tokens, tmp_path: Path) -> None:
    classifier = classifier_of(kind)
    classifier.save(tmp_path / "model")
    loaded = fastlstm.load(tmp_path / "model")
    assert loaded.saved.config == classifier.saved.config
    for copy in (loaded, pickle.loads(pickle.dumps(classifier))):
        assert copy.predict_proba([TEXT, *TEXTS]).tobytes() == classifier.predict_proba([TEXT, *TEXTS]).tobytes()


@EACH_KIND
def test_explanation_adds_up_and_names_parts_of_the_text(kind: Tokens) -> None:
    explanation = classifier_of(kind).explain(TEXT)
    total = explanation.baseline_logit + explanation.attributions.sum()
    assert total == pytest.approx(explanation.logit, abs=max(explanation.error, 1e-4) * 2)
    for token, (start, end) in zip(explanation.tokens, explanation.char_spans.tolist(), strict=True):
        assert token == (TEXT[start:end] or "▁")
    visible = "".join(token for token in explanation.tokens if token != "▁")
    assert visible == TEXT.replace("<br />", "").replace(" ", "")


@EACH_KIND
def test_occlusion_explains_every_token(kind: Tokens) -> None:
    classifier = classifier_of(kind)
    explanation = classifier.explain(TEXT, method="occlusion")
    assert len(explanation.tokens) == len(classifier.saved.tokenizer.encode(TEXT).ids)


@EACH_KIND
def test_text_of_unknown_letters_has_no_label(kind: Tokens) -> None:
    classifier = classifier_of(kind)
    assert classifier.known("ж жжж") == 0.0
    assert classifier.predict("ж жжж") is None
    assert classifier.predict("film") is not None


@EACH_KIND
def test_golden_texts_of_exports_have_the_ids_of_the_library(kind: Tokens) -> None:
    saved = classifier_of(kind).saved
    for entry in golden_entries(saved):
        assert entry["ids"] == (saved.tokenizer.encode(entry["text"]).ids or [1])


def test_words_are_saved_without_the_field(tmp_path: Path) -> None:
    Classifier(make_model()).save(tmp_path / "model")
    assert '"tokens"' not in (tmp_path / "model" / "config.json").read_text()
    assert read_classifier(tmp_path / "model").config.tokens == "words"


def test_long_run_of_letters_is_read_in_time_that_grows_with_its_length() -> None:
    classifier = classifier_of("bpe")
    assert np.isfinite(classifier.predict_proba("很好看的" * 20_000)).all()
