"""Adam takes PyTorch's steps, and updates word vectors late with the bits of updating them in every step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastlstm.nn import kernel_lstm, optimizer
from fastlstm.nn.numerics import GPU_GRADIENT_SCALE
from fastlstm.nn.optimizer import Adam, gpu_gradient_factor
from fastlstm.nn.parallel import Group

V, E = 37, 13
"""Vocabulary size and embedding dimension."""


@pytest.fixture(params=["kernel", "PyTorch"])
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Use one of the two implementations of Adam."""
    if request.param == "PyTorch":
        monkeypatch.setattr(optimizer, "uses_kernel", lambda _: False)
    elif kernel_lstm.kernel() is None:
        pytest.skip("the kernel was not built")
    return str(request.param)


def initial_weights() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(2)
    shapes = {"embedding": (V, E), "output": (5, 3)}
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


def make_adam(clip_norm: float = 0.0) -> tuple[Adam, nn.Embedding, Tensor]:
    """Return an optimizer and the weights it optimizes: word vectors and an output layer."""
    weights = initial_weights()
    embedding = nn.Embedding(V, E, _weight=weights["embedding"].detach().clone())
    adam = Adam(embedding, {"embedding": embedding.weight, "output": weights["output"]}, clip_norm)
    return adam, embedding, weights["output"]


def gradients(step: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the words that a step uses, the gradients of their vectors, and the gradient of the output layer."""
    generator = torch.Generator().manual_seed(step)
    ids = torch.randperm(V, generator=generator)[: 1 + step % 7].sort().values.int()
    return ids, torch.randn(len(ids), E, generator=generator), torch.randn(5, 3, generator=generator)


def learning_rate(step: int) -> float:
    return 0.01 * (1 - step / 60)


def run(
    adam: Adam,
    embedding: nn.Embedding,
    output: Tensor,
    steps: range,
    *,
    all_words: bool = False,
    scale: float = 1.0,
) -> None:
    """Take steps with gradients of a scale; with `all_words`, update all vectors in every step."""
    for step in steps:
        ids, grad_vectors, grad_output = gradients(step)
        adam.catch_up(None if all_words else ids.numpy())
        torch.autograd.backward((embedding(ids) * grad_vectors).sum() * scale)
        output.grad = grad_output.clone() * scale
        adam.step(learning_rate(step))


@pytest.mark.parametrize("clip_norm", [0.0, 3.0])
def test_weights_are_those_of_dense_adam(implementation: str, clip_norm: float) -> None:
    expected = initial_weights()
    reference = torch.optim.Adam(expected.values())
    for step in range(50):
        ids, grad_vectors, grad_output = gradients(step)
        expected["embedding"].grad = torch.zeros(V, E).index_copy_(0, ids.long(), grad_vectors)
        expected["output"].grad = grad_output.clone()
        if clip_norm:
            nn.utils.clip_grad_norm_(expected.values(), clip_norm)
        for group in reference.param_groups:
            group["lr"] = learning_rate(step)
        reference.step()

    adam, embedding, output = make_adam(clip_norm)
    run(adam, embedding, output, range(50))
    adam.catch_up()
    assert embedding.sparse == (implementation == "kernel")
    torch.testing.assert_close(embedding.weight, expected["embedding"], atol=3e-6, rtol=1e-5)
    torch.testing.assert_close(output, expected["output"], atol=1e-6, rtol=1e-5)


@pytest.mark.usefixtures("implementation")
def test_late_updates_have_the_bits_of_updates_in_every_step() -> None:
    results = []
    for all_words in (False, True):
        adam, embedding, output = make_adam()
        run(adam, embedding, output, range(40), all_words=all_words)
        adam.catch_up()
        results.append([embedding.weight, *adam.state().values()])
    for late, expected in zip(*results, strict=True):
        assert torch.equal(late, expected)


@pytest.mark.usefixtures("implementation")
def test_a_restored_optimizer_continues_with_the_same_bits() -> None:
    results = []
    for stop in (40, 23):
        adam, embedding, output = make_adam(2.0)
        run(adam, embedding, output, range(stop))
        state = {name: value.clone() for name, value in adam.state().items()}
        resumed = Adam(embedding, {"embedding": embedding.weight, "output": output}, 2.0)
        resumed.restore(state)
        run(resumed, embedding, output, range(stop, 40))
        resumed.catch_up()
        results.append([embedding.weight, output])
    for expected, actual in zip(*results, strict=True):
        assert torch.equal(actual, expected)


@pytest.mark.usefixtures("implementation")
def test_a_new_optimizer_has_no_state() -> None:
    adam, embedding, _ = make_adam()
    assert adam.state() == {}
    adam.catch_up(np.array([3, 5], np.int32))
    assert torch.equal(embedding.weight, initial_weights()["embedding"])


@pytest.mark.parametrize(("norm", "clip_norm", "clipped"), [(4.0, 1.0, 0.25), (0.5, 1.0, 1.0), (4.0, 0.0, 1.0)])
def test_gradients_of_a_gpu_are_unscaled_and_clipped(norm: float, clip_norm: float, clipped: float) -> None:
    factor = gpu_gradient_factor(torch.tensor(norm), clip_norm)
    assert float(factor) == pytest.approx(clipped / GPU_GRADIENT_SCALE, rel=1e-5)


@pytest.mark.parametrize("norm", [float("inf"), float("nan")])
def test_non_finite_gradients_of_a_gpu_skip_the_step(norm: float) -> None:
    assert float(gpu_gradient_factor(torch.tensor(norm), 1.0)) == 0


class TwoProcesses(Group):
    """A group whose other process has the same gradients as this one."""

    def sum(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        return [2 * tensor for tensor in tensors]


@pytest.mark.usefixtures("implementation")
def test_a_group_steps_by_the_sum_of_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    adam, embedding, output = make_adam()
    run(adam, embedding, output, range(8), scale=2.0)
    monkeypatch.setattr(optimizer, "process_group", lambda: TwoProcesses(0, 2))
    adam_of_group, embedding_of_group, output_of_group = make_adam()
    run(adam_of_group, embedding_of_group, output_of_group, range(8))
    for one in (adam, adam_of_group):
        one.catch_up()
    torch.testing.assert_close(embedding_of_group.weight, embedding.weight, rtol=0, atol=0)
    torch.testing.assert_close(output_of_group, output, rtol=0, atol=0)
