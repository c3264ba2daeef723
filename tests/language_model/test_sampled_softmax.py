from typing import Any

import numpy as np
import pytest
import torch

from fastlstm.language_model import sampled_softmax
from fastlstm.language_model.sampled_softmax import Sampler, sampled_loss

N, H, E, U = 601, 7, 5, 40
"""More rows than a chunk has, and odd sizes."""


@pytest.fixture
def problem(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(sampled_softmax, "_narrow", lambda _: torch.float64)
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    sampled = torch.arange(0, U, 2)
    expected = torch.randint(U, (N,), generator=generator)
    hits = torch.where(expected % 2 == 0, expected // 2, -1)
    return {
        "states": drawn(N, H),
        "projection": drawn(E, H),
        "words": drawn(U, E),
        "biases": drawn(U),
        "expected": expected,
        "sampled": sampled,
        "log_chances": torch.log(torch.linspace(0.2, 1, len(sampled), dtype=torch.float64)),
        "hits": hits,
    }


def plainly(problem: dict[str, Any]) -> torch.Tensor:
    """The loss by its definition: the rivals' scores, each counted 1 / chance times, and the true token's own."""
    vectors = problem["states"] @ problem["projection"].T
    scores = vectors @ problem["words"].T + problem["biases"]
    rivals = scores[:, problem["sampled"]] - problem["log_chances"]
    own = scores.gather(1, problem["expected"][:, None])
    others = torch.where(problem["sampled"] == problem["expected"][:, None], -torch.inf, rivals)
    loss: torch.Tensor = (torch.cat([own, others], dim=1).logsumexp(dim=1) - own[:, 0]).mean()
    return loss


def test_loss_and_gradients_are_those_of_the_definition(problem: dict[str, Any]) -> None:
    leaves = [problem[name] for name in ("states", "projection", "words", "biases")]
    loss, plain = sampled_loss(**problem), plainly(problem)
    torch.testing.assert_close(loss, plain, rtol=1e-12, atol=0)
    came = torch.autograd.grad(loss * 3, leaves)
    expected = torch.autograd.grad(plain * 3, leaves)
    for one, other in zip(came, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_without_a_projection_states_are_compared_as_they_are(problem: dict[str, Any]) -> None:
    problem |= {"states": problem["states"][:, :E].detach().requires_grad_()}
    eye = {**problem, "projection": torch.eye(E, dtype=torch.float64)}
    bare = {**problem, "projection": None}
    torch.testing.assert_close(sampled_loss(**bare), plainly(eye), rtol=1e-12, atol=0)
    (came,) = torch.autograd.grad(sampled_loss(**bare), [problem["states"]])
    (expected,) = torch.autograd.grad(plainly(eye), [problem["states"]])
    torch.testing.assert_close(came, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("size", [100, 5000])
def test_a_sample_holds_the_commonest_words_always_and_each_other_as_often_as_it_says(size: int) -> None:
    sampler, generator = Sampler(size, 64), np.random.default_rng(0)
    counts, chances, rounds = np.zeros(size), np.ones(size), 3000
    for _ in range(rounds):
        ids, log_chances = sampler.draw(generator)
        assert (np.diff(ids) > 0).all()
        counts[ids] += 1
        chances[ids] = np.exp(log_chances)
    assert (counts[:16] == rounds).all()
    drawn = counts > 0
    assert np.abs(counts[drawn] / rounds - chances[drawn]).max() < 0.05
    assert counts.sum() / rounds == pytest.approx(64, rel=0.02)


def test_a_vocabulary_that_fits_is_sampled_whole() -> None:
    ids, log_chances = Sampler(30, 64).draw(np.random.default_rng(0))
    np.testing.assert_array_equal(ids, np.arange(30))
    assert (log_chances == 0).all()


def test_the_estimate_of_the_softmax_is_true_on_average() -> None:
    generator = np.random.default_rng(1)
    weights = np.exp(generator.normal(size=500))
    sampler = Sampler(500, 64)
    estimates = [
        float((weights[ids] / np.exp(logs)).sum()) for ids, logs in (sampler.draw(generator) for _ in range(4000))
    ]
    assert np.mean(estimates) == pytest.approx(weights.sum(), rel=0.01)


def test_narrow_states_are_taken(problem: dict[str, Any]) -> None:
    narrow = problem["states"].detach().bfloat16().requires_grad_()
    loss = sampled_loss(**{**problem, "states": narrow})
    torch.autograd.backward(loss)
    assert loss.item() == pytest.approx(sampled_loss(**problem).item(), rel=1e-2)
    assert narrow.grad is not None
    assert narrow.grad.dtype == torch.bfloat16
    assert problem["words"].grad.dtype == torch.float64


def test_rivals_of_no_chance_change_nothing(problem: dict[str, Any]) -> None:
    leaves = [problem[name] for name in ("states", "projection", "words", "biases")]
    nobody = torch.full((3,), torch.inf, dtype=torch.float64)
    filled = {
        **problem,
        "sampled": torch.cat([problem["sampled"], torch.zeros(3, dtype=torch.int64)]),
        "log_chances": torch.cat([problem["log_chances"], nobody]),
    }
    expected, came = (torch.autograd.grad(sampled_loss(**of), leaves) for of in (problem, filled))
    for one, other in zip(came, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-15)
