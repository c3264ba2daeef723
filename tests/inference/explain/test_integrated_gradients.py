"""Integrated gradients, compared with those of PyTorch's autograd in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.lstm_steps import lstm_features
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.inference.explain import attribution, path
from fastlstm.inference.explain.attribution import COMPLETENESS_TOLERANCE, integrated_gradients
from fastlstm.inference.explain.layers import Layers
from fastlstm.inference.explain.path import LinearReadout
from fastlstm.inference.explain.quadrature import first_points, interval_weights
from fastlstm.serialization.classifier import SavedModel


def random_ids(model: SavedModel, count: int) -> Any:
    return np.random.default_rng(count).integers(0, model.config.vocabulary_size, count, np.int32)


def first_logit(model: SavedModel, scale: float = 1) -> LinearReadout:
    return LinearReadout(scale * model.weights["output.weight"][0])


def expected_gradients(model: SavedModel, ids: Any, points: Any) -> tuple[Any, float, float]:
    """Return the attributions, the baseline logit and the logit."""
    vectors = torch.from_numpy(model.weights["embedding.weight"][ids]).double()
    weight = torch.from_numpy(first_logit(model).weight).double()
    total = torch.zeros(len(ids), dtype=torch.float64)
    logits = []
    for node, node_weight in zip(points.tolist(), interval_weights(points).sum(axis=0).tolist(), strict=True):
        scaled = (node * vectors).requires_grad_()
        logit = lstm_features(model.config, model.weights, scaled) @ weight
        logits.append(float(logit.detach()))
        (gradient,) = torch.autograd.grad(logit, scaled)
        total += node_weight * (gradient * vectors).sum(1)
    return total.numpy(), logits[0], logits[-1]


@pytest.mark.parametrize("count", [1, 2, 13])
def test_gradients_equal_autograd(make_model: MakeModel, config_fields: dict[str, Any], count: int) -> None:
    model, points = make_model(ModelConfig(**config_fields), seed=count), first_points(9)
    ids = random_ids(model, count)
    result = integrated_gradients(Layers(model.config, model.weights), ids, first_logit(model), points)
    attributions, baseline_logit, logit = expected_gradients(model, ids, points)
    np.testing.assert_allclose(result.attributions, attributions, atol=2e-5)
    assert (result.baseline_logit, result.logit) == pytest.approx((baseline_logit, logit), abs=1e-5)


def test_attributions_sum_to_the_change_of_the_logit(make_model: MakeModel, config_fields: dict[str, Any]) -> None:
    model = make_model(ModelConfig(**config_fields), seed=5)
    layers = Layers(model.config, model.weights)
    result = integrated_gradients(layers, random_ids(model, 23), first_logit(model))
    change = result.logit - result.baseline_logit
    assert result.error <= COMPLETENESS_TOLERANCE * max(1.0, abs(change))
    assert abs(result.attributions.sum() - change) == pytest.approx(result.error)


@pytest.mark.parametrize("tolerance", ["COMPLETENESS_TOLERANCE", "INTERVALS_TOLERANCE"])
def test_points_are_added_until_attributions_are_accurate(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch, tolerance: str
) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4, 3), pooling="max"), seed=3)
    layers, ids, readout = Layers(model.config, model.weights), random_ids(model, 17), first_logit(model, scale=20)
    exact = integrated_gradients(layers, ids, readout, first_points(2000)).attributions
    monkeypatch.setattr(attribution, "FIRST_POINTS", 3)
    for name in ("COMPLETENESS_TOLERANCE", "INTERVALS_TOLERANCE"):
        monkeypatch.setattr(attribution, name, 0.002 if name == tolerance else np.inf)
    rough = integrated_gradients(layers, ids, readout, first_points(3))
    result = integrated_gradients(layers, ids, readout)
    limit = 0.002 * max(1.0, abs(rough.logit - rough.baseline_logit))
    assert rough.error > limit >= result.error
    assert np.abs(result.attributions - exact).sum() < np.abs(rough.attributions - exact).sum() / 4


def test_the_number_of_points_is_limited(make_model: MakeModel, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    layers, ids, readout = Layers(model.config, model.weights), random_ids(model, 17), first_logit(model)
    for name in ("COMPLETENESS_TOLERANCE", "INTERVALS_TOLERANCE"):
        monkeypatch.setattr(attribution, name, 0.0)
    counts: list[int] = []
    evaluate = path.StraightPath.evaluate

    def count_and_evaluate(self: path.StraightPath, points: Any) -> Any:
        counts.append(len(points))
        return evaluate(self, points)

    monkeypatch.setattr(path.StraightPath, "evaluate", count_and_evaluate)
    for limits, expected in (((30, 17 * 100), [12, 6, 6, 6]), ((100, 17 * 20), [12, 6])):
        counts.clear()
        for name, limit in zip(("MAX_POINTS", "MAX_TOKEN_POINTS"), limits, strict=True):
            monkeypatch.setattr(attribution, name, limit)
        integrated_gradients(layers, ids, readout)
        assert counts == expected


def test_batches_of_points_give_the_same_result(
    make_model: MakeModel, config_fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(ModelConfig(**config_fields), seed=2)
    layers, ids, readout = Layers(model.config, model.weights), random_ids(model, 11), first_logit(model)
    at_once = integrated_gradients(layers, ids, readout, first_points(16))
    monkeypatch.setattr(path, "MAX_STATES_PER_BATCH", 1)
    one_by_one = integrated_gradients(layers, ids, readout, first_points(16))
    np.testing.assert_allclose(one_by_one.attributions, at_once.attributions, atol=1e-5)
    expected = pytest.approx((at_once.baseline_logit, at_once.logit), abs=1e-6)
    assert (one_by_one.baseline_logit, one_by_one.logit) == expected
