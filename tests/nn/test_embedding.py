"""The embedding: nn.Embedding's vectors and gradients, named by word where that is asked for."""

from __future__ import annotations

import pytest
import torch

from fastlstm.nn.layers import Embedding


@pytest.mark.parametrize("sparse", [False, True])
def test_vectors_and_gradients_are_nn_embedding_s(sparse: bool) -> None:
    words, peer = Embedding(11, 5), torch.nn.Embedding(11, 5)
    words.sparse = sparse
    with torch.no_grad():
        peer.weight.copy_(words.weight)
    ids = torch.tensor([1, 4, 5, 10], dtype=torch.int32)
    by_rows = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    for embedding in (words, peer):
        torch.autograd.backward(embedding(ids), by_rows)
    assert torch.equal(words(ids), peer(ids))
    own, expected = words.weight.grad, peer.weight.grad
    assert own is not None
    assert expected is not None
    assert own.is_sparse == sparse
    assert torch.equal(own.to_dense(), expected)


def test_gradients_of_two_readings_add_up() -> None:
    words = Embedding(7, 3)
    words.sparse = True
    for ids in ([0, 2, 6], [1, 2]):
        torch.autograd.backward(words(torch.tensor(ids)).sum())
    assert words.weight.grad is not None
    read = words.weight.grad.to_dense()[:, 0]
    assert read.tolist() == [1, 1, 2, 0, 0, 0, 1]
