"""What an explanation says, against the model's own answers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastlstm.config import ModelConfig
from fastlstm.config.classifier import NGramKinds
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.explain.attribution import COMPLETENESS_TOLERANCE
from fastlstm.serialization.classifier import SavedModel
from fastlstm.text.ngrams import NGRAM_KINDS, NUMBERS, ngrams

MakeModel = Callable[..., SavedModel]
TEXT = "Not bad at all, this movie. Not bad: I would see it again! Again?"


def with_ngrams(model: SavedModel, kinds: NGramKinds = "places") -> SavedModel:
    """The model with a wide part that knows half of the text's n-grams, and others."""
    generator = np.random.default_rng(8)
    cut = Classifier(model).encode([TEXT]).ids
    known = ngrams(cut, kinds=NGRAM_KINDS[kinds]).numbers[::2]
    numbers = np.unique(np.concatenate([known, generator.integers(0, NUMBERS, 50, np.int32)])).astype(np.int32)
    config = dataclasses.replace(model.config, ngrams=len(numbers), ngram_kinds=kinds)
    logits = model.weights["output.bias"].shape[0]
    weight = generator.normal(0, 0.5, (len(numbers), logits)).astype(np.float32)
    return dataclasses.replace(
        model, config=config, weights={**model.weights, "wide.weight": weight}, numbers={"wide.ngrams": numbers}
    )


def log_odds(probabilities: Any, label: int) -> float:
    """The logit behind a row of probabilities, which a softmax leaves open by what all have in common."""
    logs = np.log(probabilities.astype(np.float64))
    return float(logs[1] - logs[0]) * (1 if label else -1) if len(logs) == 2 else float(logs[label] - logs.mean())


MODELS: dict[str, dict[str, Any]] = {
    "two classes": {"labels": ("negative", "positive")},
    "three": {"labels": ("bad", "so so", "good"), "temperature": 1.7},
}


@pytest.fixture(params=MODELS)
def classifier(request: pytest.FixtureRequest, make_model: MakeModel, shape: dict[str, Any]) -> Classifier:
    return Classifier(with_ngrams(make_model(ModelConfig(**shape), seed=3, **MODELS[request.param])))


def test_what_the_tokens_moved_leads_from_the_start_to_the_logit(classifier: Classifier) -> None:
    probabilities = classifier.predict_proba(TEXT)
    for k, label in enumerate(classifier.labels):
        found = classifier.explain(TEXT, label=label)
        assert found.logit == pytest.approx(log_odds(probabilities, k), abs=1e-4)
        assert found.start + found.moved.sum() == pytest.approx(found.logit, abs=found.error + 1e-4)
        assert found.error <= COMPLETENESS_TOLERANCE * max(1.0, abs(found.words.sum()))
        assert found.probability == float(probabilities[k])
        assert sum(span.moved for span in found.spans) == pytest.approx(float(found.moved.sum()), abs=1e-5)
    assert classifier.explain(TEXT).label == classifier.predict(TEXT)


def test_the_n_grams_evidence_is_what_the_answer_lacks_without_them(classifier: Classifier) -> None:
    model = classifier.model
    config = dataclasses.replace(model.config, ngrams=0)
    without = Classifier(dataclasses.replace(model, config=config, numbers={}))
    for label in classifier.labels:
        found = classifier.explain(TEXT, label=label)
        alone = without.explain(TEXT, label=label)
        assert found.evidence.sum() == pytest.approx(found.logit - alone.logit, abs=1e-5)
        assert np.array_equal(found.words, alone.words)
        assert not alone.evidence.any()
        assert found.evidence.any()


def test_occlusion_is_the_answer_to_the_text_without_a_token(classifier: Classifier) -> None:
    found = classifier.explain(TEXT, method="occlusion")
    k = classifier.labels.index(found.label)
    for at in (0, 4, len(found.tokens) - 1):
        first, last = found.places[at]
        without = classifier.predict_proba(TEXT[:first] + " " + TEXT[last:])
        assert found.words[at] == pytest.approx(found.logit - log_odds(without, k), abs=1e-4)
    for span in found.spans:
        first, last = found.places[span.first, 0], found.places[span.last - 1, 1]
        assert span.text == TEXT[first:last]
        without = classifier.predict_proba(TEXT[:first] + " " + TEXT[last:])
        assert span.moved == pytest.approx(found.logit - log_odds(without, k), abs=1e-4)


def test_the_trajectory_is_the_answer_to_the_text_so_far(classifier: Classifier) -> None:
    after, found = classifier.trajectory(TEXT), classifier.explain(TEXT)
    assert after.shape == (len(found.tokens), len(classifier.labels))
    for (_, last), row in zip(found.places, after, strict=True):
        assert np.array_equal(row, classifier.predict_proba(TEXT[:last]))


def test_spans_are_the_clauses(make_model: MakeModel) -> None:
    found = Classifier(make_model()).explain("Wow!! Not bad, really ... 很好看。 The end")
    assert [span.text for span in found.spans] == ["Wow!!", "Not bad,", "really ...", "很  好  看 。", "The end"]
    assert [(span.first, span.last) for span in found.spans] == [(0, 2), (2, 5), (5, 7), (7, 11), (11, 13)]


def test_tokens_that_are_not_read_are_moved_by_n_grams_alone(make_model: MakeModel) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), max_tokens=6, truncate="both"))
    found = Classifier(with_ngrams(model)).explain(TEXT)
    assert found.read.tolist() == [k < 3 or k >= len(found.tokens) - 3 for k in range(len(found.tokens))]
    assert not found.words[~found.read].any()
    assert found.words[found.read].all()
    assert found.evidence[~found.read].any()
    assert found.start + found.moved.sum() == pytest.approx(found.logit, abs=found.error + 1e-4)


@pytest.mark.parametrize("text", ["", " ", "<br />", "\0", "nobodyhasseenthis", "x" * 10_000, "👍🏽", "\u202e"])
@pytest.mark.parametrize("method", ["gradients", "occlusion"])
def test_any_text_has_an_explanation(make_model: MakeModel, text: str, method: str) -> None:
    classifier = Classifier(make_model())
    found = classifier.explain(text, method=method)
    assert len(found.tokens) == len(found.words) == len(classifier.trajectory(text)) > 0
    assert np.isfinite(found.moved).all()
    json.dumps(found.to_dict(), allow_nan=False)


def test_strongest_and_repr_name_what_moved_most(make_model: MakeModel) -> None:
    found = Classifier(make_model()).explain(TEXT)
    order = found.strongest(3)
    assert len(order) == 3
    assert abs(found.moved[order[0]]) == abs(found.moved).max()
    assert repr(found).startswith(f"Explanation({found.label} {found.probability:.1%}: {found.tokens[order[0]]} ")


def test_in_a_notebook_the_text_is_coloured_and_is_no_markup(make_model: MakeModel) -> None:
    found = Classifier(make_model()).explain("<script>alert('bad')</script> & good")
    html = found._repr_html_()
    assert "<script" not in html
    assert html.count('<span style="background:rgba(') == len(found.tokens)
    assert ">good</span>" in html


def test_unknown_labels_and_methods_are_refused(make_model: MakeModel) -> None:
    classifier = Classifier(make_model())
    with pytest.raises(OptionError, match="unknown label 'positiv'; did you mean 'positive'"):
        classifier.explain("fine", label="positiv")
    with pytest.raises(OptionError, match="unknown method 'lime'; known: gradients, occlusion"):
        classifier.explain("fine", method="lime")


def test_a_wide_part_of_pairs_is_shared_as_exactly(make_model: MakeModel) -> None:
    model = with_ngrams(make_model(), "pairs")
    found = Classifier(model).explain(TEXT)
    assert found.start + found.moved.sum() == pytest.approx(found.logit, abs=found.error + 1e-4)
