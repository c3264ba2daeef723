"""Integrated gradients against those of PyTorch's autograd, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tests.helpers.lstm_steps import features

from fastlstm.config import ModelConfig
from fastlstm.inference.explain import attribution as gradients
from fastlstm.inference.explain.attribution import COMPLETENESS_TOLERANCE, integrated_gradients, lobatto
from fastlstm.inference.explain.layers import Layers
from fastlstm.serialization.classifier import SavedModel

MakeModel = Callable[..., SavedModel]


def ids_of(model: SavedModel, tokens: int) -> Any:
    return np.random.default_rng(tokens).integers(0, model.config.vocabulary_size, tokens, np.int32)


def direction_of(model: SavedModel) -> Any:
    return model.weights["output.weight"][0]


def written_out(model: SavedModel, ids: Any, points: int) -> tuple[Any, float, float]:
    """What each token moved, and the logit at both ends."""
    vectors = torch.from_numpy(model.weights["embedding.weight"][ids]).double()
    weight = torch.from_numpy(direction_of(model)).double()
    total = torch.zeros(len(ids), dtype=torch.float64)
    ends = []
    nodes, shares = lobatto(points)
    for node, share in zip(nodes.tolist(), shares.tolist(), strict=True):
        at = (node * vectors).requires_grad_()
        logit = features(model.config, model.weights, at) @ weight
        ends.append(float(logit.detach()))
        (gradient,) = torch.autograd.grad(logit, at)
        total += share * (gradient * vectors).sum(1)
    return total.numpy(), ends[0], ends[-1]


@pytest.mark.parametrize("tokens", [1, 2, 13])
def test_they_are_those_written_out(make_model: MakeModel, shape: dict[str, Any], tokens: int) -> None:
    model = make_model(ModelConfig(**shape), seed=tokens)
    ids = ids_of(model, tokens)
    found = integrated_gradients(Layers(model.config, model.weights), ids, direction_of(model), 9)
    words, start, end = written_out(model, ids, 9)
    np.testing.assert_allclose(found.words, words, atol=2e-5)
    assert (found.start, found.end) == pytest.approx((start, end), abs=1e-5)


def test_they_sum_to_what_the_logit_moves(make_model: MakeModel, shape: dict[str, Any]) -> None:
    model = make_model(ModelConfig(**shape), seed=5)
    found = integrated_gradients(Layers(model.config, model.weights), ids_of(model, 23), direction_of(model))
    assert found.error <= COMPLETENESS_TOLERANCE * max(1.0, abs(found.end - found.start))
    assert abs(found.words.sum() - (found.end - found.start)) == pytest.approx(found.error)


def test_more_points_are_taken_until_the_sum_is_right(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(ModelConfig(embedding_size=5, hidden_sizes=(4, 3), pooling="max"), seed=3)
    layers, ids, weight = Layers(model.config, model.weights), ids_of(model, 17), 20 * direction_of(model)
    monkeypatch.setattr(gradients, "POINTS", (2, 3, 200))
    found = integrated_gradients(layers, ids, weight)
    rough = integrated_gradients(layers, ids, weight, 2)
    assert rough.error > COMPLETENESS_TOLERANCE * max(1.0, abs(rough.end - rough.start)) >= found.error


def test_points_read_in_several_parts_give_the_same(
    make_model: MakeModel, shape: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model(ModelConfig(**shape), seed=2)
    layers, ids, weight = Layers(model.config, model.weights), ids_of(model, 11), direction_of(model)
    whole = integrated_gradients(layers, ids, weight, 16)
    monkeypatch.setattr(gradients, "PASSES_PER_BATCH", 1)
    parts = integrated_gradients(layers, ids, weight, 16)
    np.testing.assert_allclose(parts.words, whole.words, atol=1e-5)
    assert (parts.start, parts.end) == pytest.approx((whole.start, whole.end), abs=1e-6)


@pytest.mark.parametrize("count", [2, 3, 16, 64])
def test_the_quadrature_is_exact_for_the_powers_it_should_be(count: int) -> None:
    nodes, shares = lobatto(count)
    assert nodes[0] == 0
    assert nodes[-1] == 1
    assert (np.diff(nodes) > 0).all()
    for power in range(min(2 * count - 2, 12)):
        assert (shares * nodes**power).sum() == pytest.approx(1 / (power + 1), abs=1e-5)
