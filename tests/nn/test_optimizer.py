"""Adam: PyTorch's steps, and for words that a step does not read the bits of reading them all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fastlstm.nn import kernel_lstm
from fastlstm.nn import optimizer as adam
from fastlstm.nn.numerics import GPU_GRADIENT_SCALE
from fastlstm.nn.optimizer import Adam

V, I = 37, 13  # noqa: E741 -- words, and numbers in a word's vector


@pytest.fixture(params=["kernel", "PyTorch"])
def words_by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What moves the words' vectors."""
    if request.param == "PyTorch":
        monkeypatch.setattr(adam, "uses_kernel", lambda _: False)
    elif kernel_lstm.kernel() is None:
        pytest.skip("the kernel was not built")
    return str(request.param)


def weights() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(2)
    shapes = {"embedding": (V, I), "output": (5, 3)}
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


def embedding(weight: Tensor) -> nn.Embedding:
    return nn.Embedding(V, I, _weight=weight.detach().clone())


def gradients(step: int) -> tuple[Tensor, Tensor, Tensor]:
    """The words that a step reads, the gradient by their vectors, and that by the rest."""
    generator = torch.Generator().manual_seed(step)
    ids = torch.randperm(V, generator=generator)[: 1 + step % 7].sort().values.int()
    return ids, torch.randn(len(ids), I, generator=generator), torch.randn(5, 3, generator=generator)


def rate(step: int) -> float:
    return 0.01 * (1 - step / 60)


def run(optimizer: Adam, words: nn.Embedding, output: Tensor, steps: range, *, everything: bool = False) -> None:
    for step in steps:
        ids, by_words, by_output = gradients(step)
        optimizer.catch_up(None if everything else ids.numpy())
        torch.autograd.backward((words(ids) * by_words).sum())
        output.grad = by_output.clone()
        optimizer.step(rate(step))


@pytest.mark.parametrize("clip_norm", [0.0, 3.0])
def test_weights_move_as_dense_adam_moves_them(words_by: str, clip_norm: float) -> None:
    peers = weights()
    peer = torch.optim.Adam(peers.values())
    for step in range(50):
        ids, by_words, by_output = gradients(step)
        peers["embedding"].grad = torch.zeros(V, I).index_copy_(0, ids.long(), by_words)
        peers["output"].grad = by_output.clone()
        if clip_norm:
            nn.utils.clip_grad_norm_(peers.values(), clip_norm)
        for group in peer.param_groups:
            group["lr"] = rate(step)
        peer.step()

    own = weights()
    words = embedding(own["embedding"])
    optimizer = Adam(words, {"embedding": words.weight, "output": own["output"]}, clip_norm)
    run(optimizer, words, own["output"], range(50))
    optimizer.catch_up()
    assert words.sparse == (words_by == "kernel")
    torch.testing.assert_close(words.weight, peers["embedding"], atol=3e-6, rtol=1e-5)
    torch.testing.assert_close(own["output"], peers["output"], atol=1e-6, rtol=1e-5)


@pytest.mark.usefixtures("words_by")
def test_a_word_that_catches_up_has_the_bits_of_one_that_never_fell_behind() -> None:
    results = []
    for everything in (False, True):
        own = weights()
        words = embedding(own["embedding"])
        optimizer = Adam(words, {"embedding": words.weight, "output": own["output"]})
        run(optimizer, words, own["output"], range(40), everything=everything)
        optimizer.catch_up()
        results.append([words.weight, *optimizer.state().values()])
    for lazy, eager in zip(*results, strict=True):
        assert torch.equal(lazy, eager)


@pytest.mark.usefixtures("words_by")
def test_a_restored_run_goes_on_with_the_same_bits() -> None:
    results = []
    for stop in (40, 23):
        own = weights()
        words = embedding(own["embedding"])
        named = {"embedding": words.weight, "output": own["output"]}
        optimizer = Adam(words, named, 2.0)
        run(optimizer, words, own["output"], range(stop))
        state = {name: value.clone() for name, value in optimizer.state().items()}
        resumed = Adam(words, named, 2.0)
        resumed.restore(state)
        run(resumed, words, own["output"], range(stop, 40))
        resumed.catch_up()
        results.append([words.weight, own["output"]])
    for whole, parts in zip(*results, strict=True):
        assert torch.equal(whole, parts)


@pytest.mark.usefixtures("words_by")
def test_a_fresh_optimizer_has_no_state() -> None:
    own = weights()
    words = embedding(own["embedding"])
    optimizer = Adam(words, {"embedding": words.weight, "output": own["output"]})
    assert optimizer.state() == {}
    optimizer.catch_up(np.array([3, 5], np.int32))
    assert torch.equal(words.weight, own["embedding"])


@pytest.mark.parametrize(("norm", "clip_norm", "times"), [(4.0, 1.0, 0.25), (0.5, 1.0, 1.0), (4.0, 0.0, 1.0)])
def test_a_gpu_s_gradients_lose_their_scale_and_are_shortened(norm: float, clip_norm: float, times: float) -> None:
    scale = adam._scale_on_gpu(torch.tensor(norm), clip_norm)
    assert float(scale) == pytest.approx(times / GPU_GRADIENT_SCALE, rel=1e-5)


@pytest.mark.parametrize("norm", [float("inf"), float("nan")])
def test_a_gpu_makes_no_step_by_gradients_that_are_no_numbers(norm: float) -> None:
    assert float(adam._scale_on_gpu(torch.tensor(norm), 1.0)) == 0
