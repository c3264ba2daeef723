"""How the processes of a group divide rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fastlstm.nn.parallel import Group


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("count", [0, 1, 2, 7, 64])
def test_every_row_belongs_to_one_process_in_order(size: int, count: int) -> None:
    shares = [Group(rank, size).share(list(range(count))) for rank in range(size)]
    assert sorted(row for share in shares for row in share) == list(range(count))
    assert all(share == sorted(share) for share in shares)
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("size", [2, 3, 4])
def test_sorted_lengths_are_divided_evenly(size: int) -> None:
    lengths = np.arange(60 * size, 0, -1)
    totals = [int(Group(rank, size).share(lengths).sum()) for rank in range(size)]
    assert max(totals) == min(totals)


def test_lists_arrays_and_tensors_are_divided_alike() -> None:
    group, rows = Group(1, 2), np.arange(14).reshape(7, 2)
    array, tensor = group.share(rows), group.share(torch.from_numpy(rows))
    np.testing.assert_array_equal(array, tensor.numpy())
    assert [list(row) for row in array] == group.share([list(row) for row in rows])
