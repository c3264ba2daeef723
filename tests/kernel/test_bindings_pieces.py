"""Passes cut into several calls that update the states in place: `h_n` and `c_n` are `h0` and `c0`."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from tests.helpers.kernel_exact import Batch, Results, Size, assert_same_bits, random_batch, run_kernel

from fastlstm.kernel.abi import ForwardArguments
from fastlstm.kernel.bindings import Kernel

SIZES = [Size(23, 1, 5, 13), Size(23, 37, 5, 31), Size(23, 3, 5, 311)]


def forward_in_pieces(kernel: Kernel, b: Batch, cuts: list[int]) -> Results:
    """Run the forward pass with one call per piece."""
    packed = kernel.pack(b.weight_ih, b.weight_hh, b.bias)
    offsets = np.concatenate([[0], np.cumsum(b.batch_sizes)])
    h, c, inputs, outputs = b.h0.copy(), b.c0.copy(), b.inputs, np.empty((len(b.index), packed.H), np.float32)
    edges = [0, *cuts, len(b.batch_sizes)]
    pieces = list(pairwise(edges))
    for begin, end in reversed(pieces) if b.reverse else pieces:
        sizes = b.batch_sizes[begin:end].copy()
        arguments = ForwardArguments(
            T=end - begin, B=int(sizes[0]), I=packed.I, H=packed.H, reverse=int(b.reverse),
            batch_sizes=sizes.ctypes.data, packed=packed.values.ctypes.data,
            inputs=inputs[offsets[begin] :].ctypes.data, outputs=outputs[offsets[begin] :].ctypes.data,
            output_stride=packed.H, h0=h.ctypes.data, c0=c.ctypes.data, h_n=h.ctypes.data, c_n=c.ctypes.data,
        )  # fmt: skip
        assert kernel._library.forward(kernel._isa, ctypes.byref(arguments)) == 0
    return {"outputs": outputs, "h_n": h, "c_n": c}


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cuts", [[], [1], [22], [3, 4, 11], list(range(1, 23))], ids=str)
def test_pieces_are_bit_identical_to_one_call(kernel: Kernel, size: Size, reverse: bool, cuts: list[int]) -> None:
    b = random_batch(replace(size, reverse=reverse))
    assert_same_bits(forward_in_pieces(kernel, b, cuts), run_kernel(kernel, b))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("reverse", [False, True])
def test_weight_and_state_gradients_are_identical_for_inputs_and_projected_rows(
    kernel: Kernel, size: Size, reverse: bool
) -> None:
    b = random_batch(replace(size, reverse=reverse))
    from_inputs, from_projected = run_kernel(kernel, b), run_kernel(kernel, b, projected=True)
    names = ("grad_weight_hh", "grad_bias", "grad_h0", "grad_c0")
    assert_same_bits({name: from_projected[name] for name in names}, from_inputs)
