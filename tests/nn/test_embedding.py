"""The embedding has the vectors and gradients of nn.Embedding, and sparse gradients on request."""

from __future__ import annotations

import pytest
import torch

from fastlstm.nn.layers import Embedding


@pytest.mark.parametrize("sparse", [False, True])
def test_vectors_and_gradients_are_those_of_nn_embedding(sparse: bool) -> None:
    embedding, reference = Embedding(11, 5), torch.nn.Embedding(11, 5)
    embedding.sparse = sparse
    with torch.no_grad():
        reference.weight.copy_(embedding.weight)
    ids = torch.tensor([1, 4, 5, 10], dtype=torch.int32)
    grad = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    for module in (embedding, reference):
        torch.autograd.backward(module(ids), grad)
    assert torch.equal(embedding(ids), reference(ids))
    gradient, expected = embedding.weight.grad, reference.weight.grad
    assert gradient is not None
    assert expected is not None
    assert gradient.is_sparse == sparse
    assert torch.equal(gradient.to_dense(), expected)


def test_sparse_gradients_of_two_lookups_add_up() -> None:
    embedding = Embedding(7, 3)
    embedding.sparse = True
    for ids in ([0, 2, 6], [1, 2]):
        torch.autograd.backward(embedding(torch.tensor(ids)).sum())
    assert embedding.weight.grad is not None
    assert embedding.weight.grad.to_dense()[:, 0].tolist() == [1, 1, 2, 0, 0, 0, 1]
