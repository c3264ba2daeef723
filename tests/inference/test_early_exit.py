"""Texts read no further than their answers need."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.helpers.random_texts import random_texts
from tests.inference.explain.test_attribution import with_ngrams

import fastlstm
from fastlstm.config import ModelConfig
from fastlstm.errors import CorruptModelError, OptionError
from fastlstm.inference import Classifier, network
from fastlstm.kernel import KernelInfo, find_kernel
from fastlstm.serialization.classifier import SavedModel
from fastlstm.serialization.early_exit import NEVER_EXIT, EarlyExit, ExitThreshold

MakeModel = Callable[..., SavedModel]
TEXTS = random_texts(60, longest=40, seed=3)


@pytest.fixture(params=["kernel", "NumPy"])
def classifier(
    request: pytest.FixtureRequest, make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> Classifier:
    """One of which an answer is settled after 3 tokens with 0.7, after 8 with 0.6, after 20 never."""
    if request.param == "NumPy":
        monkeypatch.setattr(network, "find_kernel", lambda: KernelInfo(None, "a test asks for NumPy", None))
    elif find_kernel().kernel is None:
        pytest.skip(f"no kernel: {find_kernel().why_not}")
    config = ModelConfig(embedding_size=5, hidden_sizes=(7, 5), pooling="concat", max_tokens=24, truncate="both")
    bars = (
        ExitThreshold(0.9, (0.7, 0.6, NEVER_EXIT), 0.3, 0.1),
        ExitThreshold(0.99, (NEVER_EXIT, NEVER_EXIT, NEVER_EXIT), 0.0, 0.0),
    )
    model = with_ngrams(make_model(config, seed=4))
    return Classifier(dataclasses.replace(model, early_exit=EarlyExit((3, 8, 20), bars, 100)))


def test_reading_stops_where_the_bar_says(classifier: Classifier) -> None:
    came = classifier.read_early(TEXTS, 0.9)
    lengths = np.array([len(ids) for ids in classifier.encode(TEXTS).ids])
    assert np.array_equal(came.tokens, lengths)
    assert set(came.read[came.read < lengths]) == {3, 8}
    sure = came.probabilities.max(axis=1)
    assert (sure[(came.read == 3) & (lengths > 3)] >= np.float32(0.7)).all()
    assert (sure[(came.read == 8) & (lengths > 8)] >= np.float32(0.6)).all()
    assert came.saved == pytest.approx(1 - came.read.sum() / lengths.sum())
    assert 0 < came.saved < 1
    assert np.array_equal(classifier.predict_proba(TEXTS, early_exit=0.9), came.probabilities)
    chosen = [classifier.labels[k] for k in classifier.choose(came.probabilities)]
    assert classifier.predict(TEXTS, early_exit=0.9) == chosen
    assert classifier.predict(TEXTS[5], early_exit=0.5) == chosen[5]


def test_a_text_that_is_read_to_its_end_has_the_bits_of_the_whole(classifier: Classifier) -> None:
    whole = classifier.predict_proba(TEXTS)
    came = classifier.read_early(TEXTS, 0.9)
    ended = came.read == came.tokens
    assert ended.any()
    assert np.array_equal(came.probabilities[ended], whole[ended])
    assert np.array_equal(classifier.predict_proba(TEXTS, early_exit=0.99), whole)


def test_the_batch_does_not_change_a_bit(classifier: Classifier) -> None:
    together = classifier.read_early(TEXTS, 0.9)
    for k, text in enumerate(TEXTS):
        alone = classifier.read_early([text], 0.9)
        assert np.array_equal(alone.probabilities[0], together.probabilities[k])
        assert alone.read[0] == together.read[k]


def test_no_texts_have_no_answers(classifier: Classifier) -> None:
    came = classifier.read_early([], 0.9)
    assert came.probabilities.shape == (0, 2)
    assert came.saved == 0


def test_a_model_that_has_not_learned_it_says_so(make_model: MakeModel) -> None:
    with pytest.raises(OptionError, match="has not learned when a text need not be read on"):
        Classifier(make_model()).predict("fine", early_exit=0.99)


def test_it_is_saved_with_the_model_and_checked(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    assert fastlstm.load(tmp_path / "model").model.early_exit == classifier.model.early_exit
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_bytes())
    turned = {**config["calibration"]["early_exit"], "stages": [20, 3, 8]}
    spoiled: list[object] = [[], "x", {"stages": []}, turned]
    for ill in spoiled:
        config["calibration"]["early_exit"] = ill
        path.write_text(json.dumps(config))
        with pytest.raises(CorruptModelError, match="lacks or misstates"):
            fastlstm.load(tmp_path / "model")


def test_a_threshold_of_one_s_own_and_early_exit_do_not_go_together(classifier: Classifier) -> None:
    with pytest.raises(OptionError, match="early-exit was learned for the model's own threshold"):
        classifier.predict(TEXTS, threshold=0.9, early_exit=0.9)
