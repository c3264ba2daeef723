"""Early exit: texts are read in stages, until their prediction is probable enough."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.helpers.ngram_models import with_ngrams
from tests.helpers.random_models import MakeModel
from tests.helpers.random_texts import random_texts

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.errors import CorruptModelError, OptionError
from fastlstm.inference import Classifier
from fastlstm.serialization.early_exit import NEVER_EXIT, EarlyExit, ExitThreshold

TEXTS = random_texts(60, longest=40, seed=3)


@pytest.fixture
def classifier(make_model: MakeModel, runtime: None) -> Classifier:  # noqa: ARG001
    """A model that stops after 3 tokens at probability 0.7, after 8 tokens at 0.6, and never after 20 tokens."""
    config = ModelConfig(embedding_size=5, hidden_sizes=(7, 5), pooling="concat", max_tokens=24, truncate="both")
    thresholds = (
        ExitThreshold(0.9, (0.7, 0.6, NEVER_EXIT), 0.3, 0.1),
        ExitThreshold(0.99, (NEVER_EXIT, NEVER_EXIT, NEVER_EXIT), 0.0, 0.0),
    )
    model = with_ngrams(make_model(config, seed=4))
    return Classifier(dataclasses.replace(model, early_exit=EarlyExit((3, 8, 20), thresholds, 100)))


def test_reading_stops_at_the_thresholds(classifier: Classifier) -> None:
    early = classifier.predict_early(TEXTS, 0.9)
    lengths = np.array([len(ids) for ids in classifier.tokenize(TEXTS).ids])
    assert np.array_equal(early.token_counts, lengths)
    assert set(early.tokens_read[early.tokens_read < lengths]) == {3, 8}
    confidence = early.probabilities.max(axis=1)
    assert (confidence[(early.tokens_read == 3) & (lengths > 3)] >= np.float32(0.7)).all()
    assert (confidence[(early.tokens_read == 8) & (lengths > 8)] >= np.float32(0.6)).all()
    assert early.saved_fraction == pytest.approx(1 - early.tokens_read.sum() / lengths.sum())
    assert 0 < early.saved_fraction < 1


def test_predict_and_predict_proba_use_early_exit(classifier: Classifier) -> None:
    early = classifier.predict_early(TEXTS, 0.9)
    labels = [classifier.labels[k] for k in classifier.choose(early.probabilities)]
    assert np.array_equal(classifier.predict_proba(TEXTS, min_agreement=0.9), early.probabilities)
    assert classifier.predict(TEXTS, min_agreement=0.9, label_unknown=True) == labels
    assert np.array_equal(early.known, classifier.known(TEXTS))
    known_labels = [label if known else None for label, known in zip(labels, early.known, strict=True)]
    assert classifier.predict(TEXTS, min_agreement=0.9) == known_labels
    assert classifier.predict(TEXTS[5], min_agreement=0.5) == labels[5]
    tokenized = classifier.tokenize(TEXTS)
    assert np.array_equal(classifier.predict_early(tokenized, 0.9).probabilities, early.probabilities)
    assert classifier.predict(tokenized, min_agreement=0.9) == known_labels


def test_texts_read_to_their_end_have_the_probabilities_of_the_whole_text(classifier: Classifier) -> None:
    whole = classifier.predict_proba(TEXTS)
    early = classifier.predict_early(TEXTS, 0.9)
    finished = early.tokens_read == early.token_counts
    assert finished.any()
    assert np.array_equal(early.probabilities[finished], whole[finished])
    assert np.array_equal(classifier.predict_proba(TEXTS, min_agreement=0.99), whole)


def test_results_do_not_depend_on_the_batch(classifier: Classifier) -> None:
    batch = classifier.predict_early(TEXTS, 0.9)
    for k, text in enumerate(TEXTS):
        single = classifier.predict_early([text], 0.9)
        assert np.array_equal(single.probabilities[0], batch.probabilities[k])
        assert single.tokens_read[0] == batch.tokens_read[k]


def test_an_empty_batch_has_empty_predictions(classifier: Classifier) -> None:
    batches: list[Any] = [[], classifier.tokenize([])]
    for batch in batches:
        early = classifier.predict_early(batch, 0.9)
        assert early.probabilities.shape == (0, 2)
        assert early.saved_fraction == 0


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_model_without_exit_thresholds_raises_option_error(make_model: MakeModel, bidirectional: bool) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), bidirectional=bidirectional)
    with pytest.raises(OptionError) as raised:
        Classifier(make_model(config)).predict("fine", min_agreement=0.99)
    assert raised.value.code == "no-early-exit"


def test_exit_thresholds_are_saved_with_the_model(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    assert fastlstm.load(tmp_path / "model").saved.early_exit == classifier.saved.early_exit


@pytest.mark.parametrize("case", ["list", "string", "incomplete", "unsorted stages"])
def test_invalid_exit_thresholds_raise_corrupt_model_error(
    classifier: Classifier, tmp_path: Path, case: str
) -> None:
    classifier.save(tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_bytes())
    unsorted = {**config["calibration"]["early_exit"], "stages": [20, 3, 8]}
    invalid = {"list": [], "string": "x", "incomplete": {"stages": []}, "unsorted stages": unsorted}
    config["calibration"]["early_exit"] = invalid[case]
    path.write_text(json.dumps(config))
    with pytest.raises(CorruptModelError):
        fastlstm.load(tmp_path / "model")


def test_threshold_and_early_exit_exclude_each_other(classifier: Classifier) -> None:
    with pytest.raises(OptionError) as raised:
        classifier.predict(TEXTS, threshold=0.9, min_agreement=0.9)
    assert raised.value.code == "conflicting-options"
