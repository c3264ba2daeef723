"""`Classifier.explain` and `Classifier.trajectory`, compared with the model's own predictions."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from tests.helpers.ngram_models import TEXT, with_ngrams
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.errors import OptionError
from fastlstm.inference import Classifier
from fastlstm.inference.explain.attribution import COMPLETENESS_TOLERANCE

MODELS: dict[str, dict[str, Any]] = {
    "two classes": {"labels": ("negative", "positive")},
    "three": {"labels": ("bad", "so so", "good"), "temperature": 1.7},
}


def class_logit(probabilities: Any, label: int) -> float:
    """Return the logit of a class; for three classes, relative to the mean of all logits."""
    logs = np.log(probabilities.astype(np.float64))
    return float(logs[1] - logs[0]) * (1 if label else -1) if len(logs) == 2 else float(logs[label] - logs.mean())


@pytest.fixture(params=MODELS)
def classifier(request: pytest.FixtureRequest, make_model: MakeModel, config_fields: dict[str, Any]) -> Classifier:
    return Classifier(with_ngrams(make_model(ModelConfig(**config_fields), seed=3, **MODELS[request.param])))


def test_attributions_sum_to_the_logit(classifier: Classifier) -> None:
    probabilities = classifier.predict_proba(TEXT)
    for k, label in enumerate(classifier.labels):
        explanation = classifier.explain(TEXT, label=label)
        total = float(explanation.attributions.sum())
        tolerance = COMPLETENESS_TOLERANCE * max(1.0, abs(explanation.lstm.sum()))
        assert explanation.logit == pytest.approx(class_logit(probabilities, k), abs=1e-4)
        assert explanation.baseline_logit + total == pytest.approx(explanation.logit, abs=explanation.error + 1e-4)
        assert explanation.error <= tolerance
        assert explanation.probability == float(probabilities[k])
        assert sum(clause.attribution for clause in explanation.clauses) == pytest.approx(total, abs=1e-5)
    assert classifier.explain(TEXT).label == classifier.predict(TEXT)


def test_ngram_contributions_equal_the_difference_to_a_model_without_ngrams(classifier: Classifier) -> None:
    config = dataclasses.replace(classifier.saved.config, ngrams=0)
    without = Classifier(dataclasses.replace(classifier.saved, config=config, integer_arrays={}))
    for label in classifier.labels:
        explanation = classifier.explain(TEXT, label=label)
        lstm_only = without.explain(TEXT, label=label)
        assert explanation.ngrams.sum() == pytest.approx(explanation.logit - lstm_only.logit, abs=1e-5)
        assert np.array_equal(explanation.lstm, lstm_only.lstm)
        assert not lstm_only.ngrams.any()
        assert explanation.ngrams.any()


def test_occlusion_equals_the_change_without_a_token_or_clause(classifier: Classifier) -> None:
    explanation = classifier.explain(TEXT, method="occlusion")
    k = classifier.labels.index(explanation.label)
    for token in (0, 4, len(explanation.tokens) - 1):
        start, end = explanation.char_spans[token]
        without = classifier.predict_proba(TEXT[:start] + " " + TEXT[end:])
        assert explanation.lstm[token] == pytest.approx(explanation.logit - class_logit(without, k), abs=1e-4)
    for clause in explanation.clauses:
        start, end = explanation.char_spans[clause.start, 0], explanation.char_spans[clause.end - 1, 1]
        assert clause.text == TEXT[start:end]
        without = classifier.predict_proba(TEXT[:start] + " " + TEXT[end:])
        assert clause.attribution == pytest.approx(explanation.logit - class_logit(without, k), abs=1e-4)


def test_trajectory_equals_the_predictions_for_prefixes(classifier: Classifier) -> None:
    trajectory, explanation = classifier.trajectory(TEXT), classifier.explain(TEXT)
    assert trajectory.shape == (len(explanation.tokens), len(classifier.labels))
    for (_, end), row in zip(explanation.char_spans, trajectory, strict=True):
        assert np.array_equal(row, classifier.predict_proba(TEXT[:end]))


@pytest.mark.parametrize("truncate", ["end", "beginning", "both"])
def test_trajectory_of_a_truncated_text_equals_the_predictions_for_prefixes(
    make_model: MakeModel, truncate: Any
) -> None:
    config = ModelConfig(embedding_size=5, hidden_sizes=(4,), pooling="concat", max_tokens=6, truncate=truncate)
    classifier = Classifier(with_ngrams(make_model(config)))
    ends = classifier.explain(TEXT).char_spans[:, 1]
    expected = classifier.predict_proba([TEXT[:end] for end in ends])
    assert len(ends) > 6
    assert np.array_equal(classifier.trajectory(TEXT), expected)


def test_clauses_end_at_punctuation(make_model: MakeModel) -> None:
    clauses = Classifier(make_model()).explain("Wow!! Not bad, really ... 很好看。 The end").clauses
    assert [clause.text for clause in clauses] == ["Wow!!", "Not bad,", "really ...", "很好看。", "The end"]
    assert [(clause.start, clause.end) for clause in clauses] == [(0, 3), (3, 6), (6, 10), (10, 14), (14, 16)]


def test_truncated_tokens_have_ngram_contributions_only(make_model: MakeModel) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4,), max_tokens=6, truncate="both"))
    explanation = Classifier(with_ngrams(model)).explain(TEXT)
    count = len(explanation.tokens)
    assert explanation.used.tolist() == [k < 3 or k >= count - 3 for k in range(count)]
    assert not explanation.lstm[~explanation.used].any()
    assert explanation.lstm[explanation.used].all()
    assert explanation.ngrams[~explanation.used].any()
    total = explanation.baseline_logit + explanation.attributions.sum()
    assert total == pytest.approx(explanation.logit, abs=explanation.error + 1e-4)


@pytest.mark.parametrize("text", ["", " ", "<br />", "\0", "nobodyhasseenthis", "x" * 10_000, "👍🏽", "\u202e"])
@pytest.mark.parametrize("method", ["gradients", "occlusion"])
def test_any_text_has_an_explanation(make_model: MakeModel, text: str, method: str) -> None:
    classifier = Classifier(make_model())
    explanation = classifier.explain(text, method=method)
    assert len(explanation.tokens) == len(explanation.lstm) == len(classifier.trajectory(text)) > 0
    assert np.isfinite(explanation.attributions).all()
    json.dumps(explanation.to_dict(), allow_nan=False)


def test_strongest_and_repr_start_with_the_largest_attribution(make_model: MakeModel) -> None:
    explanation = Classifier(make_model()).explain(TEXT)
    order = explanation.strongest(3)
    assert len(order) == 3
    assert abs(explanation.attributions[order[0]]) == abs(explanation.attributions).max()
    expected = f"Explanation({explanation.label} {explanation.probability:.1%}: {explanation.tokens[order[0]]} "
    assert repr(explanation).startswith(expected)


def test_notebook_html_colors_each_token_and_escapes_markup(make_model: MakeModel) -> None:
    explanation = Classifier(make_model()).explain("<script>alert('bad')</script> & good")
    html = explanation._repr_html_()
    assert "<script" not in html
    assert html.count('<span style="background:rgba(') == len(explanation.tokens)
    assert ">good</span>" in html


@pytest.mark.parametrize(("option", "value"), [("label", "positiv"), ("method", "lime")])
def test_unknown_labels_and_methods_raise_option_error(make_model: MakeModel, option: str, value: str) -> None:
    arguments: dict[str, Any] = {option: value}
    with pytest.raises(OptionError) as raised:
        Classifier(make_model()).explain("fine", **arguments)
    assert (raised.value.code, raised.value.option, raised.value.value) == ("bad-option-value", option, value)
    assert {"label": "positive", "method": "gradients"}[option] in raised.value.known


def test_contributions_of_word_pairs_sum_to_the_logit(make_model: MakeModel) -> None:
    explanation = Classifier(with_ngrams(make_model(), "pairs")).explain(TEXT)
    total = explanation.baseline_logit + explanation.attributions.sum()
    assert total == pytest.approx(explanation.logit, abs=explanation.error + 1e-4)
