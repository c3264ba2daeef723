"""Integrated gradients, compared with those of PyTorch's autograd in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.lstm_steps import lstm_features
from tests.helpers.random_models import MakeModel

from fastlstm.config import ModelConfig
from fastlstm.inference.explain import attribution
from fastlstm.inference.explain.attribution import COMPLETENESS_TOLERANCE, integrated_gradients, lobatto
from fastlstm.inference.explain.layers import Layers
from fastlstm.serialization.classifier import SavedModel


def random_ids(model: SavedModel, count: int) -> Any:
    return np.random.default_rng(count).integers(0, model.config.vocabulary_size, count, np.int32)


def first_logit_weight(model: SavedModel) -> Any:
    return model.weights["output.weight"][0]


def expected_gradients(model: SavedModel, ids: Any, points: int) -> tuple[Any, float, float]:
    """Return the attributions, the baseline logit and the logit."""
    vectors = torch.from_numpy(model.weights["embedding.weight"][ids]).double()
    weight = torch.from_numpy(first_logit_weight(model)).double()
    total = torch.zeros(len(ids), dtype=torch.float64)
    logits = []
    nodes, node_weights = lobatto(points)
    for node, node_weight in zip(nodes.tolist(), node_weights.tolist(), strict=True):
        scaled = (node * vectors).requires_grad_()
        logit = lstm_features(model.config, model.weights, scaled) @ weight
        logits.append(float(logit.detach()))
        (gradient,) = torch.autograd.grad(logit, scaled)
        total += node_weight * (gradient * vectors).sum(1)
    return total.numpy(), logits[0], logits[-1]


@pytest.mark.parametrize("count", [1, 2, 13])
def test_gradients_equal_autograd(make_model: MakeModel, config_fields: dict[str, Any], count: int) -> None:
    model = make_model(ModelConfig(**config_fields), seed=count)
    ids = random_ids(model, count)
    result = integrated_gradients(Layers(model.config, model.weights), ids, first_logit_weight(model), 9)
    attributions, baseline_logit, logit = expected_gradients(model, ids, 9)
    np.testing.assert_allclose(result.attributions, attributions, atol=2e-5)
    assert (result.baseline_logit, result.logit) == pytest.approx((baseline_logit, logit), abs=1e-5)


def test_attributions_sum_to_the_change_of_the_logit(make_model: MakeModel, config_fields: dict[str, Any]) -> None:
    model = make_model(ModelConfig(**config_fields), seed=5)
    layers = Layers(model.config, model.weights)
    result = integrated_gradients(layers, random_ids(model, 23), first_logit_weight(model))
    change = result.logit - result.baseline_logit
    assert result.error <= COMPLETENESS_TOLERANCE * max(1.0, abs(change))
    assert abs(result.attributions.sum() - change) == pytest.approx(result.error)


def test_the_number_of_points_grows_until_the_sum_is_within_tolerance(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4, 3), pooling="max"), seed=3)
    layers, ids, weight = Layers(model.config, model.weights), random_ids(model, 17), 20 * first_logit_weight(model)
    monkeypatch.setattr(attribution, "POINT_COUNTS", (2, 3, 200))
    result = integrated_gradients(layers, ids, weight)
    rough = integrated_gradients(layers, ids, weight, 2)
    tolerance = COMPLETENESS_TOLERANCE * max(1.0, abs(rough.logit - rough.baseline_logit))
    assert rough.error > tolerance >= result.error


def test_batches_of_points_give_the_same_result(
    make_model: MakeModel, config_fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(ModelConfig(**config_fields), seed=2)
    layers, ids, weight = Layers(model.config, model.weights), random_ids(model, 11), first_logit_weight(model)
    at_once = integrated_gradients(layers, ids, weight, 16)
    monkeypatch.setattr(attribution, "MAX_STATES_PER_BATCH", 1)
    one_by_one = integrated_gradients(layers, ids, weight, 16)
    np.testing.assert_allclose(one_by_one.attributions, at_once.attributions, atol=1e-5)
    expected = pytest.approx((at_once.baseline_logit, at_once.logit), abs=1e-6)
    assert (one_by_one.baseline_logit, one_by_one.logit) == expected


@pytest.mark.parametrize("count", [2, 3, 16, 64])
def test_quadrature_is_exact_for_polynomials(count: int) -> None:
    nodes, node_weights = lobatto(count)
    assert nodes[0] == 0
    assert nodes[-1] == 1
    assert (np.diff(nodes) > 0).all()
    for power in range(min(2 * count - 2, 12)):
        assert (node_weights * nodes**power).sum() == pytest.approx(1 / (power + 1), abs=1e-5)
