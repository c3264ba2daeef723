"""The sampled softmax: loss and gradients by their definition, an unbiased sample, the words of a step."""

from typing import Any

import numpy as np
import pytest
import torch

from fastlstm.language_model import sampled_softmax
from fastlstm.language_model.sampled_softmax import SAMPLE_MULTIPLE, Sampler, StepVocabulary, sampled_loss

N, H, E, U = 601, 7, 5, 40
"""More rows than a chunk, and odd sizes."""


@pytest.fixture
def problem(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Random arguments of `sampled_loss` in float64."""
    monkeypatch.setattr(sampled_softmax, "operand_dtype", lambda _: torch.float64)
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    sampled = torch.arange(0, U, 2)
    targets = torch.randint(U, (N,), generator=generator)
    positions = torch.where(targets % 2 == 0, targets // 2, -1)
    return {
        "hidden": random(N, H),
        "projection": random(E, H),
        "vectors": random(U, E),
        "biases": random(U),
        "targets": targets,
        "sampled": sampled,
        "log_inclusion": torch.log(torch.linspace(0.2, 1, len(sampled), dtype=torch.float64)),
        "positions": positions,
    }


def reference_loss(problem: dict[str, Any]) -> torch.Tensor:
    """Return the loss by its definition: the negatives weighted by 1 / inclusion probability, and the target."""
    projected = problem["hidden"] @ problem["projection"].T
    logits = projected @ problem["vectors"].T + problem["biases"]
    negatives = logits[:, problem["sampled"]] - problem["log_inclusion"]
    target = logits.gather(1, problem["targets"][:, None])
    others = torch.where(problem["sampled"] == problem["targets"][:, None], -torch.inf, negatives)
    loss: torch.Tensor = (torch.cat([target, others], dim=1).logsumexp(dim=1) - target[:, 0]).mean()
    return loss


def test_loss_and_gradients_are_those_of_the_definition(problem: dict[str, Any]) -> None:
    leaves = [problem[name] for name in ("hidden", "projection", "vectors", "biases")]
    loss, expected_loss = sampled_loss(**problem), reference_loss(problem)
    torch.testing.assert_close(loss, expected_loss, rtol=1e-12, atol=0)
    gradients = torch.autograd.grad(loss * 3, leaves)
    expected_gradients = torch.autograd.grad(expected_loss * 3, leaves)
    for gradient, expected in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


def test_without_a_projection_hidden_states_are_the_embedding_vectors(problem: dict[str, Any]) -> None:
    problem |= {"hidden": problem["hidden"][:, :E].detach().requires_grad_()}
    with_identity = {**problem, "projection": torch.eye(E, dtype=torch.float64)}
    without = {**problem, "projection": None}
    torch.testing.assert_close(sampled_loss(**without), reference_loss(with_identity), rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad(sampled_loss(**without), [problem["hidden"]])
    (expected,) = torch.autograd.grad(reference_loss(with_identity), [problem["hidden"]])
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", [100, 5000])
def test_inclusion_probabilities_are_the_observed_frequencies(size: int) -> None:
    sampler, generator = Sampler(size, 64), np.random.default_rng(0)
    counts, probabilities, rounds = np.zeros(size), np.ones(size), 3000
    for _ in range(rounds):
        ids, log_inclusion = sampler.draw(generator)
        assert (np.diff(ids) > 0).all()
        counts[ids] += 1
        probabilities[ids] = np.exp(log_inclusion)
    assert (counts[:16] == rounds).all()
    drawn = counts > 0
    assert np.abs(counts[drawn] / rounds - probabilities[drawn]).max() < 0.05
    assert counts.sum() / rounds == pytest.approx(64, rel=0.02)


def test_a_vocabulary_not_larger_than_the_sample_is_sampled_completely() -> None:
    ids, log_inclusion = Sampler(30, 64).draw(np.random.default_rng(0))
    np.testing.assert_array_equal(ids, np.arange(30))
    assert (log_inclusion == 0).all()


def test_the_estimate_of_the_denominator_is_unbiased() -> None:
    generator = np.random.default_rng(1)
    weights = np.exp(generator.normal(size=500))
    sampler = Sampler(500, 64)
    estimates = [
        float((weights[ids] / np.exp(logs)).sum()) for ids, logs in (sampler.draw(generator) for _ in range(4000))
    ]
    assert np.mean(estimates) == pytest.approx(weights.sum(), rel=0.01)


def test_bfloat16_hidden_states_get_bfloat16_gradients(problem: dict[str, Any]) -> None:
    hidden = problem["hidden"].detach().bfloat16().requires_grad_()
    loss = sampled_loss(**{**problem, "hidden": hidden})
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(sampled_loss(**problem).item(), rel=1e-2)
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.bfloat16
    assert problem["vectors"].grad.dtype == torch.float64


def test_sampled_words_of_weight_zero_change_nothing(problem: dict[str, Any]) -> None:
    leaves = [problem[name] for name in ("hidden", "projection", "vectors", "biases")]
    weightless = torch.full((3,), torch.inf, dtype=torch.float64)
    padded = {
        **problem,
        "sampled": torch.cat([problem["sampled"], torch.zeros(3, dtype=torch.int64)]),
        "log_inclusion": torch.cat([problem["log_inclusion"], weightless]),
    }
    results = (torch.autograd.grad(sampled_loss(**arguments), leaves) for arguments in (problem, padded))
    for expected, gradient in zip(*results, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-12, atol=1e-15)


def test_step_vocabulary_contains_tokens_and_sample() -> None:
    tokens = [np.array([7, 2], np.int32), np.array([2, 9], np.int32)]
    words = StepVocabulary.used(tokens, np.array([0, 3, 9], np.int32), np.zeros(3, np.float32), 12)
    np.testing.assert_array_equal(words.ids, [0, 2, 3, 7, 9])
    np.testing.assert_array_equal(words.ids[words.sampled], [0, 3, 9])
    rows = words.rows(np.array([9, 2, 0], np.int32))
    np.testing.assert_array_equal(rows, [4, 1, 0])
    np.testing.assert_array_equal(words.sample_positions(rows), [2, -1, 0])


def test_whole_vocabulary_pads_the_sample_and_keeps_its_positions() -> None:
    sample = np.array([0, 3, 4, 9], np.int32)
    words = StepVocabulary.all(sample, np.zeros(4, np.float32), 12)
    assert len(words.sampled) == len(words.log_inclusion) == SAMPLE_MULTIPLE
    assert np.isinf(words.log_inclusion[4:]).all()
    ids = np.array([9, 0, 5, 3], np.int32)
    np.testing.assert_array_equal(words.rows(ids), ids)
    np.testing.assert_array_equal(words.sample_positions(words.rows(ids)), [3, 0, -1, 1])
